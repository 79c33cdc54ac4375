"""A bad file is named, with the line, before anything heavy starts."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import chat, write_jsonl
from tuner.data.files import check
from tuner.data.formats import shape
from tuner.errors import InputError, NotFoundError, TunerError

GOOD = json.dumps(chat("你好", "Hi"), ensure_ascii=False)


def problem(path: Path) -> TunerError:
    with pytest.raises(TunerError) as caught:
        check(path)
    for lang in ("en", "zh"):
        assert path.name in caught.value.say(lang)
    return caught.value


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_are_recognised_in_every_kind_of_file(tmp_path: Path) -> None:
    assert check(write_jsonl(tmp_path / "a.jsonl", [chat("q", "a")])) == "messages (jsonl)"
    assert check(put(tmp_path / "a.json", f"[{GOOD}]")) == "messages (json)"
    assert check(put(tmp_path / "a.csv", 'query,response\nq,"a\nb"\n')) == "query/response (csv)"
    assert check(put(tmp_path / "a.txt", "one line\n")) == "text (txt)"
    assert check(put(tmp_path / "A.JSONL", GOOD)) == "messages (jsonl)"
    assert check(tmp_path) == "folder"


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (chat("q", "a"), "messages"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "ShareGPT"),
        ({"conversation": [{"role": "user", "content": "q"}]}, "messages"),
        ({"Instruction": "q", "input": "", "output": "a"}, "Alpaca"),
        ({"instruction": "q", "output": "a"}, "query/response"),
        ({"text": "t"}, "text"),
        ({"prompt": "q", "completion": "a"}, "query/response"),
        ({"messages": []}, "messages"),
        ({"messages": "[]"}, "messages"),
        ({}, "query/response"),
    ],
)
def test_a_format_is_named_by_its_columns(row: dict[str, Any], name: str) -> None:
    assert shape(row, {}) == name


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert isinstance(problem(tmp_path / "none.jsonl"), NotFoundError)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", ""), ("b.jsonl", "\n \n\n"), ("c.json", "[]"), ("d.csv", "query,response\n"),
     ("e.txt", "\n\n"), ("f.parquet", ""), ("g.csv", "")],
)  # fmt: skip
def test_a_file_without_rows_is_empty(tmp_path: Path, name: str, content: str) -> None:
    assert problem(put(tmp_path / name, content)).key == "file.empty"


@pytest.mark.parametrize("kind", ["xlsx", "doc", "", "jsonl.gz"])
def test_a_kind_of_file_that_ms_swift_does_not_read_is_refused(tmp_path: Path, kind: str) -> None:
    error = problem(put(tmp_path / f"rows.{kind}".rstrip("."), GOOD))
    assert "jsonl" in error.say("en")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt"])
@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
def test_another_encoding_is_named_with_its_line(tmp_path: Path, name: str, encoding: str) -> None:
    first = GOOD.replace("你好", "q") if name == "a.jsonl" else "query,response"
    error = problem(put(tmp_path / name, f"{first}\n问,答\n".encode(encoding)))
    assert error.key == "file.not_utf8_line"
    assert error.params["row"] == (2 if encoding == "gbk" else 1)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_byte_order_mark_does_no_harm(tmp_path: Path, name: str) -> None:
    content = {"a.jsonl": GOOD + "\n", "a.json": f"[{GOOD}]", "a.csv": "query,response\nq,a\n"}[
        name
    ]
    path = put(tmp_path / name, codecs.BOM_UTF8 + content.encode())
    assert check(path).startswith(("messages", "query/response"))


def test_a_broken_line_is_named_by_its_number_blank_lines_counted(tmp_path: Path) -> None:
    error = problem(put(tmp_path / "a.jsonl", f"{GOOD}\n\n{GOOD}\n{GOOD[:-5]}\n{GOOD}\n"))
    assert (error.key, error.params["row"]) == ("file.bad_json_line", 4)


def test_a_torn_last_line_is_broken_too(tmp_path: Path) -> None:
    assert problem(put(tmp_path / "a.jsonl", f"{GOOD}\n{GOOD[:20]}")).params["row"] == 2


@pytest.mark.parametrize("line", [f"[{GOOD}]", "3", "null", '"text"', "NaN"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    error = problem(put(tmp_path / "a.jsonl", f"{GOOD}\n{line}\n"))
    assert (error.key, error.params["row"]) == ("file.not_object", 2)


def test_a_json_file_must_hold_a_list_of_objects(tmp_path: Path) -> None:
    assert problem(put(tmp_path / "a.json", GOOD)).key == "file.not_array"
    assert problem(put(tmp_path / "b.json", f"{GOOD}\n{GOOD}\n")).key == "file.not_array"
    error = problem(put(tmp_path / "c.json", f"[{GOOD}, 3]"))
    assert (error.key, error.params["row"]) == ("file.not_object", 2)
    error = problem(put(tmp_path / "d.json", f"[{GOOD},\n{GOOD},\n]"))
    assert (error.key, error.params["row"]) == ("file.bad_json_line", 3)


@pytest.mark.parametrize("name", ["deep.jsonl", "deep.json"])
def test_absurdly_nested_rows_are_a_sentence_and_not_a_crash(tmp_path: Path, name: str) -> None:
    assert isinstance(problem(put(tmp_path / name, "[" * 100_000)), InputError)


def test_a_long_cell_of_a_csv_is_a_row_like_any_other(tmp_path: Path) -> None:
    assert (
        check(put(tmp_path / "a.csv", "query,response\nq," + "长" * 200_000 + "\n"))
        == "query/response (csv)"
    )
