"""A cleaned set holds every row that stays as it was, and says of every other row why it went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.looks import make_look
from tests.helpers import chat, read_jsonl, write_jsonl
from tuner.data.cleaning import BESIDE, DEFAULT_DROP, FLAGGED, REASONS, Cleaned, clean, serve
from tuner.data.findings.flags import FLAGS, Flag
from tuner.data.findings.scan import find
from tuner.data.rows import COLUMNS, FOUND, Rows
from tuner.errors import InputError, NotFoundError, StorageError
from tuner.files import read_json, write_json
from tuner.records import Sentence, to_dict
from tuner.workers.child import Call, Cancelled

KEY = "sk-proj-a8Kd93hfGq27LmZx04VbNc61Ty5RwEp"
ROWS = [chat(f"question {n}", f"answer {n}") for n in range(6)]


def lose(folder: Path, lost: Mapping[int, Iterable[int]], told: int = 100) -> None:
    """Take rows (by dataset, numbers from 1) out of a look's columns, as if ms-swift lost them."""
    rows = Rows.open(folder, "train")
    gone = [(part, number) for part, numbers in lost.items() for number in sorted(set(numbers))]
    keep = np.array(
        [pair not in set(gone) for pair in zip(rows.part.tolist(), rows.row.tolist(), strict=True)],
        bool,
    )
    read = [int((rows.part == part).sum()) for part in range(len(rows.names))]
    for name, kind in COLUMNS.items():
        np.array(getattr(rows, name))[keep].astype(kind).tofile(folder / f"train.{name}")
    problems = [
        {"side": "train", "part": part, "row": number, "stage": "valid", "text": f"row {number}",
         "reason": to_dict(Sentence("reason.bad_role", {"role": f"fish {number}"}))}
        for part, number in gone[:told]
    ]  # fmt: skip
    write_jsonl(folder / "problems.jsonl", problems)
    facts = [{"name": n, "read": r} for n, r in zip(rows.names, read, strict=True)]
    write_json(folder / FOUND, read_json(folder / FOUND) | {"parts": {"train": facts, "eval": []}})


def flag(folder: Path, flags: Sequence[int]) -> None:
    np.array(flags, "<u2").tofile(folder / FLAGS)


def run(
    folder: Path, out: Path, drop: Collection[str] = REASONS, max_length: int | None = None
) -> Cleaned:
    return clean(folder, out, drop, max_length, lambda *_: None, lambda: None)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def look(tmp_path: Path) -> Path:
    """Six rows with nothing wrong."""
    folder = make_look(tmp_path / "look", ROWS)
    flag(folder, [0] * len(ROWS))
    return folder


TEXT = st.text('ab 三\n"\\', max_size=6)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": TEXT}
)
ROW = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=3)},
    optional={
        "tools": TEXT, "channel": TEXT, "system": TEXT, "id": st.integers(0, 9), "images": st.just(["a.png"]),
    },
)  # fmt: skip


@st.composite
def looks(draw: st.DrawFn) -> dict[str, Any]:
    parts = {f"set {n}": draw(st.lists(ROW, max_size=8)) for n in range(draw(st.integers(1, 3)))}
    count = sum(map(len, parts.values()))
    lost = {
        part: draw(st.sets(st.integers(1, len(rows)))) if rows else set()
        for part, rows in enumerate(parts.values())
    }
    valid = count - sum(map(len, lost.values()))
    return {
        "parts": parts, "lost": lost, "told": draw(st.integers(0, 3)),
        "flags": draw(st.lists(st.integers(0, 1023), min_size=valid, max_size=valid)),
        "drop": draw(st.sets(st.sampled_from(REASONS))),
        "max_length": draw(st.none() | st.integers(1, 12)),
    }  # fmt: skip


def expected(rows: Rows, position: int, given: Mapping[str, Any]) -> list[str]:
    """The reasons of one row, by a plain reading of what they mean."""
    limit, flags = given["max_length"], Flag(given["flags"][position])
    met = {
        "untrained": rows.trained[position] == 0,
        "over_long": limit is not None and rows.length[position] > limit,
        **{name: bit in flags for name, bit in FLAGGED.items()},
    }
    return [name for name in REASONS if name in given["drop"] and met.get(name)]


@given(looks())
def test_every_row_is_kept_as_it_was_or_listed_with_its_reasons(given: dict[str, Any]) -> None:
    with TemporaryDirectory() as place:
        folder, out = make_look(Path(place) / "look", given["parts"]), Path(place) / "clean.jsonl"
        lose(folder, given["lost"], given["told"])
        flag(folder, given["flags"])
        before = digests(folder)
        rows = Rows.open(folder, "train")
        reasons = {rows.where(p): expected(rows, p, given) for p in range(len(rows))}
        stay = [p for p in range(len(rows)) if not reasons[rows.where(p)]]
        if not stay:
            with pytest.raises(InputError, match="would be removed"):
                run(folder, out, given["drop"], given["max_length"])
            assert list(Path(place).iterdir()) == [folder]
            return
        cleaned = run(folder, out, given["drop"], given["max_length"])
        assert digests(folder) == before

        lines = out.read_bytes().splitlines(keepends=True)
        for line, position in zip(lines, stay, strict=True):
            images = {k: ["a.png"] for k in ("images",) if b'"images":' in line}
            assert line == orjson.dumps(rows.conversation(position) | images) + b"\n"

        every = [(name, n + 1) for name, its in given["parts"].items() for n in range(len(its))]
        listed = [(r["data"], r["row"], r["reasons"]) for r in read_jsonl(cleaned.removed_list)]
        gone = [(*where, reasons.get(where, ["lost"])) for where in every]
        assert listed == [(*where, why) for *where, why in gone if why]
        assert (cleaned.kept, cleaned.removed) == (len(lines), len(listed))
        assert cleaned.kept + cleaned.removed == len(every)
        names = [name for *_, why in listed for name in why]
        assert cleaned.by_reason == {name: names.count(name) for name in REASONS if name in names}


def test_a_row_that_ms_swift_loses_is_listed_with_its_own_reason_in_both_languages(
    look: Path,
) -> None:
    lose(look, {0: [2, 5, 6]}, told=1)
    flag(look, [0] * 3)
    cleaned = run(look, look.parent / "out.jsonl", drop=())
    first, *others = read_jsonl(cleaned.removed_list)
    assert first == {
        "data": "train.jsonl", "row": 2, "reasons": ["lost"], "text": "row 2",
        "why": {
            lang: Sentence(
                "clean.why_lost", {"reason": Sentence("reason.bad_role", {"role": "fish 2"})}
            ).say(lang)
            for lang in ("en", "zh")
        },
    }  # fmt: skip
    assert [other["row"] for other in others] == [5, 6]  # more were lost than are told of
    assert all(other["why"]["en"] == "ms-swift cannot train on this row." for other in others)


def test_every_reason_says_itself_in_both_languages(look: Path) -> None:
    flag(look, [sum(Flag), *[0] * 5])
    trained = np.fromfile(look / "train.trained", "<i4")
    trained[0] = 0
    trained.tofile(look / "train.trained")
    lengths = Rows.open(look, "train").length
    lengths = np.array(lengths)
    lengths[0] = 4_000
    lengths.tofile(look / "train.length")
    cleaned = run(look, look.parent / "out.jsonl", max_length=2_048)
    (row,) = read_jsonl(cleaned.removed_list)
    assert row["reasons"] == list(REASONS[1:])
    for lang, stop in (("en", ". "), ("zh", "。")):
        assert len(row["why"][lang].rstrip("。.").split(stop)) == len(row["reasons"])
        assert "4,000" in row["why"][lang]
        assert "2,048" in row["why"][lang]


def test_what_nobody_should_see_is_masked_in_the_list_also_where_it_would_be_cut(
    tmp_path: Path,
) -> None:
    rows = [
        chat("x" * (300 - cut) + f" {KEY}", "write to anna.berg@gmail.com")
        for cut in range(len(KEY) + 2)
    ]
    folder = make_look(tmp_path / "look", [*rows, chat("a", "b")])
    flag(folder, [*[Flag.SECRET] * len(rows), 0])
    cleaned = run(folder, tmp_path / "out.jsonl", ["secret"])
    assert cleaned.removed == len(rows)
    texts = [row["text"] for row in read_jsonl(cleaned.removed_list)]
    assert max(map(len, texts)) == 300
    for text in texts:
        assert KEY[4:12] not in text
        assert "anna.berg" not in text


def test_columns_that_ms_swift_knows_stay_with_their_row_and_others_go(tmp_path: Path) -> None:
    extras = {"images": ["a.png"], "rejected_response": "no", "label": 0.5, "margin": None, "id": 7}
    folder = make_look(tmp_path / "look", [chat("a", "b") | extras | {"system": "s"}])
    cleaned = run(folder, tmp_path / "out.jsonl", ["lost"])
    assert read_jsonl(cleaned.out) == [
        chat("a", "b", "s") | {"images": ["a.png"], "rejected_response": "no", "label": 0.5}
    ]


@pytest.mark.slow
def test_the_columns_that_stay_are_those_that_ms_swift_keeps() -> None:
    from swift.dataset.preprocessor.core import RowPreprocessor

    assert set(RowPreprocessor.standard_keys) == BESIDE | {"messages"}


def test_a_cleaned_set_is_clean(tmp_path: Path) -> None:
    talk = [
        chat(f"Where does river {n} end?", f"River {n} ends in the sea {n}.") for n in range(40)
    ]
    rows = [*talk, *talk[:7], chat("Where?", ""), chat("What is it?", " ")]
    checks = [talk[3], chat("Who is there?", "It is the postman again.")]
    folder = make_look(tmp_path / "look", rows, checks)
    find(folder, lambda *_: None, lambda: None)
    cleaned = run(folder, tmp_path / "out.jsonl", DEFAULT_DROP)
    assert cleaned.by_reason == {
        "untrained": 1, "exact_duplicate": 7, "leaked": 2, "empty_answer": 2,
    }  # fmt: skip
    again = make_look(tmp_path / "again", read_jsonl(cleaned.out), checks)
    find(again, lambda *_: None, lambda: None)
    once_more = run(again, tmp_path / "twice.jsonl", DEFAULT_DROP)
    assert (once_more.kept, once_more.removed) == (39, 0)
    assert once_more.out.read_bytes() == cleaned.out.read_bytes()
    assert once_more.removed_list.read_bytes() == b""


def many(folder: Path, count: int = 4_500) -> Path:
    make_look(folder, [chat(str(n), "b" * (n % 2)) for n in range(count)])
    return folder


def calls(limit: int) -> Iterator[None]:
    """A check that hears of a cancel at its ``limit``-th call."""
    yield from [None] * limit
    raise Cancelled


@pytest.mark.parametrize("limit", [0, 1, 20, 45])
def test_a_cancel_leaves_nothing_behind(tmp_path: Path, limit: int) -> None:
    folder, place = many(tmp_path / "look"), tmp_path / "place"
    place.mkdir()
    heard = calls(limit)
    with pytest.raises(Cancelled):
        clean(
            folder, place / "out.jsonl", ["untrained"], None, lambda *_: None, lambda: next(heard)
        )
    assert list(place.iterdir()) == []


def test_progress_is_told_every_two_thousand_rows_and_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = many(tmp_path / "look")
    clean(folder, tmp_path / "o", ["untrained"], None, lambda *at: told.append(at), lambda: None)
    assert told == [(0, 4_500), (2_000, 4_500), (4_000, 4_500), (4_500, 4_500)]


def test_the_verb_answers_in_json_and_hears_a_cancel(look: Path) -> None:
    sent: list[dict[str, Any]] = []
    call = Call(3, sent.append)
    out = look.parent / "out.jsonl"
    answer = json.loads(json.dumps(serve(call, str(look), str(out), list(DEFAULT_DROP), None)))
    assert answer == {
        "kept": 6, "removed": 0, "by_reason": {}, "out": str(out),
        "removed_list": str(look.parent / "out.removed.jsonl"),
    }  # fmt: skip
    assert sent[-1] == {"id": 3, "progress": {"stage": "clean", "done": 6, "total": 6}}
    call.cancelled.set()
    with pytest.raises(Cancelled):
        serve(call, str(look), str(look.parent / "other.jsonl"), [], None)
    assert not (look.parent / "other.jsonl").exists()


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    name = str(tmp_path / "given.jsonl")
    folder = make_look(tmp_path / "look", {f"{name}#3": ROWS}, ROWS[:1])
    (tmp_path / "there.jsonl").touch()
    (tmp_path / "listed.removed.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "nowhere")
    stores = Rows.open(folder, "train").stores + Rows.open(folder, "eval").stores
    before = digests(tmp_path)
    for out in (*stores, name, "there.jsonl", "listed.jsonl", "link.jsonl"):
        with pytest.raises(InputError, match="exists already"):
            run(folder, tmp_path / out, ["lost"])
    assert digests(tmp_path) == before


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(look: Path) -> None:
    out = look.parent / "place" / "out.jsonl"
    out.parent.mkdir()

    def appear(*_: int) -> None:
        out.write_text("precious")

    with pytest.raises(InputError, match="exists already"):
        clean(look, out, ["lost"], None, appear, lambda: None)
    assert [path.read_text() for path in out.parent.iterdir()] == ["precious"]


def test_an_unknown_reason_is_refused_with_those_there_are(look: Path) -> None:
    with pytest.raises(InputError, match=r"'fishy'.*near_duplicate"):
        run(look, look.parent / "out.jsonl", ["lost", "fishy"])


@pytest.mark.parametrize("flags", [None, [0], [0] * 7])
def test_reasons_that_need_a_search_ask_for_one(look: Path, flags: list[int] | None) -> None:
    (look / FLAGS).unlink()
    if flags is not None:
        flag(look, flags)
    with pytest.raises(InputError, match=r"near_duplicate, leaked cannot"):
        run(look, look.parent / "out.jsonl", ["leaked", "lost", "near_duplicate"])
    assert run(look, look.parent / "out.jsonl", ["lost", "untrained", "over_long"]).kept == 6


def test_rows_that_have_gone_or_changed_are_named(look: Path) -> None:
    out = look.parent / "out.jsonl"
    (store,) = map(Path, Rows.open(look, "train").stores)
    whole = store.read_bytes()
    for changed in (b"", whole[1:], b"\n" + whole, whole[: len(whole) // 2], b'{"messages":[1]}\n'):
        store.write_bytes(changed)
        with pytest.raises(InputError, match="has changed") as caught:
            run(look, out, ["lost"])
        assert caught.value.params["file"] == str(store)

    store.write_bytes(whole)

    def change() -> None:
        store.write_bytes(whole + b"\n")

    with pytest.raises(InputError, match="has changed"):  # while it is read
        clean(look, out, ["lost"], None, lambda *_: None, change)
    store.unlink()
    with pytest.raises(NotFoundError, match="no such file"):
        run(look, out, ["lost"])
    (look / FOUND).unlink()
    with pytest.raises(NotFoundError, match="Read the data again"):
        run(look, out, ["lost"])
    assert list(look.parent.iterdir()) == [look]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    folder = make_look(tmp_path / "look", [chat(str(n), "long" * 500) for n in range(1_000)])
    with pytest.raises(StorageError, match="No space left"):
        run(folder, small_disk / "out.jsonl", ["lost"])
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(look: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        run(look, look.parent / "nowhere" / "out.jsonl", ["lost"])
