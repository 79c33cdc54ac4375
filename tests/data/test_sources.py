"""What was chosen as data becomes files and ids that ms-swift takes, or a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import chat, read_jsonl, write_jsonl
from tuner.data.sources import resolve
from tuner.errors import InputError, NotFoundError, StorageError, TunerError
from tuner.settings import Settings

NAMES = {"NAME": "Tuna", "AUTHOR": "Ocean Lab"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "数据 rows.jsonl", [chat("q", "a")])


@pytest.mark.parametrize(
    "ident",
    ["AI-ModelScope/alpaca-gpt4-data-zh", "swift/self-cognition#500", "hf::tatsu-lab/alpaca",
     "ms::a/b:default#10", "AI-ModelScope/COIG-CQIA:xhs/zhihu#20"],
)  # fmt: skip
def test_ids_in_ms_swifts_syntax_pass_as_they_are(home: Settings, ident: str) -> None:
    data, shape = resolve(home, [f" {ident} "], [ident])
    assert data.train == data.validation == (ident,)
    assert shape == ""


def test_a_local_file_becomes_absolute_and_keeps_its_count(
    home: Settings, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    data, shape = resolve(home, [rows.name, f"./{rows.name}#5"], split_ratio=0.1)
    assert data.train == (str(rows), f"{rows}#5")
    assert (data.validation, data.split_ratio) == ((), 0.1)
    assert shape == "messages (jsonl)"


def test_an_embedded_set_is_filled_and_brings_its_own_validation(home: Settings) -> None:
    data, shape = resolve(home, ["embedded/identity"], values=NAMES)
    train, validation = (read_jsonl(Path(part[0])) for part in (data.train, data.validation))
    assert len(train) > len(validation) >= 30
    assert any("Tuna" in message["content"] for row in train for message in row["messages"])
    assert shape == "messages (jsonl)"


def test_given_validation_rows_or_a_split_replace_an_embedded_sets_own(
    home: Settings, rows: Path
) -> None:
    assert resolve(home, ["embedded/commands"], [str(rows)])[0].validation == (str(rows),)
    assert resolve(home, ["embedded/commands"], split_ratio=0.1)[0].validation == ()


@pytest.mark.parametrize(
    ("train", "validation", "ratio", "kind", "named"),
    [
        ([], [], 0.0, InputError, ""),
        (["", "  "], [], 0.0, InputError, ""),
        (["no/such/file.jsonl"], [], 0.0, NotFoundError, "no/such/file.jsonl"),
        (["rows.csv#10"], [], 0.0, NotFoundError, "rows.csv"),
        (["/no/such"], [], 0.0, NotFoundError, "/no/such"),
        (["~nobody-of-this-name/rows.jsonl"], [], 0.0, NotFoundError, "nobody-of-this-name"),
        (["a/b"], ["~/no such.jsonl"], 0.0, NotFoundError, "no such.jsonl"),
        (["one word"], [], 0.0, InputError, "one word"),
        (["a/b/c"], [], 0.0, InputError, "a/b/c"),
        (["a/b#many"], [], 0.0, InputError, "a/b#many"),
        (["a/b#0"], [], 0.0, InputError, "a/b#0"),
        (["a/b\0"], [], 0.0, InputError, "a/b"),
        (["长" * 5000], [], 0.0, InputError, "长长"),
        (["embedded/none"], [], 0.0, NotFoundError, "embedded/identity"),
        (["embedded/identity"], [], 0.0, InputError, "NAME"),
        (["a/b"], [], 1.0, InputError, "1"),
        (["a/b"], [], -0.1, InputError, "-0.1"),
        (["a/b"], [], float("nan"), InputError, "nan"),
        (["a/b"], ["c/d"], 0.1, InputError, ""),
    ],
)
def test_what_cannot_be_data_is_a_sentence_that_names_it(
    home: Settings,
    train: list[str],
    validation: list[str],
    ratio: float,
    kind: type[TunerError],
    named: str,
) -> None:
    with pytest.raises(kind) as caught:
        resolve(home, train, validation, ratio)
    assert named in caught.value.say("en")
    assert named in caught.value.say("zh")


def test_a_bad_file_is_found_among_the_validation_files_too(
    home: Settings, rows: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{")
    with pytest.raises(InputError, match=r"broken\.jsonl, line 1"):
        resolve(home, [str(rows)], [str(broken)])


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        resolve(Settings(home=tmp_path / "file"), ["embedded/identity"], values=NAMES)
