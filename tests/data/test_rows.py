"""What a look leaves on disk is what is read of it: columns to the value, rows as ms-swift has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.looks import make_look
from tests.helpers import chat, write_jsonl
from tuner.data.rows import COLUMNS, FOUND, Columns, Rows, column, selected, standard
from tuner.files import write_json

#: One row of each column, from the least to the most that the column can hold.
VALUES = st.tuples(*(
    st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for kind in COLUMNS.values()
))  # fmt: skip
BATCH = st.lists(VALUES, max_size=5)


def by_column(rows: Sequence[tuple[int, ...]]) -> dict[str, list[int]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)}


@given(st.lists(st.tuples(BATCH, st.booleans()), max_size=6))
def test_what_is_appended_is_read_and_what_is_rolled_back_is_not(
    batches: list[tuple[list[tuple[int, ...]], bool]],
) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        written = Columns(folder, "train")
        Columns(folder, "eval").close()
        stay: list[tuple[int, ...]] = []
        for batch, forget in batches:
            mark = written.mark()
            written.append(**by_column(batch))
            if forget:
                written.rollback(mark)
            else:
                stay += batch
        written.close()
        stores = [{"path": "a.jsonl", "name": "a"}]
        write_json(folder / FOUND, {"stores": {"train": stores, "eval": []}})
        rows = Rows.open(folder, "train")
        assert len(rows) == len(stay)
        assert {name: getattr(rows, name).tolist() for name in COLUMNS} == by_column(stay)
        assert {name: getattr(rows, name).dtype.str for name in COLUMNS} == COLUMNS
        assert len(Rows.open(folder, "eval")) == 0


def test_columns_are_flat_little_endian_files_on_every_machine(tmp_path: Path) -> None:
    columns = Columns(tmp_path, "train")
    columns.append(length=[1], trained=[2], offset=[3], row=np.array([4], ">i8"), part=[5])
    columns.close()
    found = {name: (tmp_path / f"train.{name}").read_bytes() for name in COLUMNS}
    assert found == {
        "length": b"\1\0\0\0", "trained": b"\2\0\0\0", "offset": b"\3" + bytes(7),
        "row": b"\4" + bytes(7), "part": b"\5\0",
    }  # fmt: skip


def test_a_side_without_rows_is_empty_and_no_error(tmp_path: Path) -> None:
    folder = make_look(tmp_path, [chat("a", "b")])
    rows = Rows.open(folder, "eval")
    assert (len(rows), rows.stores, rows.names) == (0, (), ())
    assert column(folder, "eval", "offset").dtype == np.int64


def test_a_look_that_is_not_whole_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Rows.open(tmp_path, "train")
    folder = make_look(tmp_path, [chat("a", "b")])
    (folder / "train.part").unlink()
    with pytest.raises(FileNotFoundError):
        Rows.open(folder, "train")
    (folder / FOUND).write_text("[]")
    with pytest.raises(ValueError, match="not an object"):
        Rows.open(folder, "train")


TEXT = st.text(max_size=5)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXT})
ROW = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=3)},
    optional={"tools": TEXT, "channel": TEXT, "other": st.none() | TEXT},
)


@given(st.lists(st.lists(ROW, min_size=1, max_size=4), min_size=1, max_size=3))
def test_each_position_gives_its_conversation_and_where_it_is_from(
    parts: list[list[dict[str, Any]]],
) -> None:
    with TemporaryDirectory() as place:
        folder = make_look(Path(place), {f"set {n}": rows for n, rows in enumerate(parts)})
        rows = Rows.open(folder, "train")
        every = [
            (f"set {n}", number, row)
            for n, part in enumerate(parts)
            for number, row in enumerate(part, 1)
        ]
        assert len(rows) == len(every)
        for position, (name, number, row) in enumerate(every):
            assert rows.where(position) == (name, number)
            assert rows.conversation(position) == {k: v for k, v in row.items() if k != "other"}


def test_a_store_that_is_gone_or_has_changed_is_not_taken_for_the_row(tmp_path: Path) -> None:
    folder = make_look(tmp_path, [chat("the first question", "a"), chat("the second", "b")])
    rows = Rows.open(folder, "train")
    store = Path(rows.stores[0])
    first, second = store.read_bytes().splitlines(keepends=True)
    # Cut, moved by a byte, and lines of another kind.
    for changed in (b"", first + second[:9], b" " + first + second, first + b'{"text": "b"}\n'):
        store.write_bytes(changed)
        with pytest.raises(ValueError, match=r".+"):
            rows.conversation(1)
    store.unlink()
    with pytest.raises(FileNotFoundError):
        rows.conversation(1)


@pytest.mark.parametrize("row", [{}, {"messages": None}, {"messages": "text"}, {"messages": {}}])
def test_what_is_no_conversation_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no messages"):
        standard(row)


def test_a_system_column_goes_first_unless_a_system_turn_stands_there() -> None:
    said = chat("q", "a", "of the turn")
    assert standard(chat("q", "a") | {"system": "of the column"}) == chat("q", "a", "of the column")
    assert standard(chat("q", "a") | {"system": ""}) == chat("q", "a", "")
    assert standard(chat("q", "a") | {"system": None}) == chat("q", "a")
    assert standard(said | {"system": "of the column"}) == said
    assert standard({"messages": [], "system": "alone"}) == {"messages": []}


@given(st.none() | TEXT, ROW, st.none() | TEXT)
def test_the_row_that_is_read_is_left_as_it_was(
    column: str | None, row: dict[str, Any], turn: str | None
) -> None:
    given_row = row | {"system": column}
    if turn is not None:
        given_row["messages"] = [{"role": "system", "content": turn}, *given_row["messages"]]
    before = orjson.dumps(given_row)
    standard(given_row)
    assert orjson.dumps(given_row) == before


@pytest.mark.slow
@given(
    st.none() | TEXT,
    st.lists(st.sampled_from(["system", "user", "assistant"]), min_size=1, max_size=4),
)
def test_messages_are_those_that_ms_swifts_preprocessor_makes(
    system: str | None, roles: list[str]
) -> None:
    from tuner.workers.loading import prepared

    messages = [{"role": role, "content": f"turn {n}"} for n, role in enumerate(roles)]
    row = {"messages": messages, "system": system, "channel": "c"}
    theirs = prepared(row, tuple(row))
    assert theirs is not None
    ours = standard(row)
    plain = [{k: m[k] for k in ("role", "content")} for m in theirs["messages"]]
    assert (plain, theirs["channel"]) == (ours["messages"], ours["channel"])


def test_positions_of_a_split_are_read_where_there_is_one(tmp_path: Path) -> None:
    rows = [chat(str(n), "a") for n in range(5)]
    split = make_look(tmp_path / "split", rows, held=[3, 1])
    train, held = selected(split, "train.index"), selected(split, "train.held")
    assert train is not None
    assert held is not None
    assert (train.tolist(), held.tolist()) == ([0, 2, 4], [1, 3])
    whole = make_look(tmp_path / "whole", rows)
    assert selected(whole, "train.index") is None
    assert selected(whole, "train.held") is None


def test_rows_of_a_file_in_place_are_found_by_their_bytes(tmp_path: Path) -> None:
    """Offsets count bytes, not characters; lost rows lie between."""
    source = write_jsonl(tmp_path / "a.jsonl", [chat("你好", "🐟"), {"no": 1}, chat("é", "ok")])
    lines = source.read_bytes().splitlines(keepends=True)
    columns = Columns(tmp_path, "train")
    columns.append(
        length=[1, 1], trained=[1, 1], offset=[0, len(lines[0]) + len(lines[1])], row=[1, 3],
        part=[0, 0],
    )  # fmt: skip
    columns.close()
    stores = [{"path": str(source), "name": "a.jsonl"}]
    write_json(tmp_path / FOUND, {"stores": {"train": stores, "eval": []}})
    rows = Rows.open(tmp_path, "train")
    assert [rows.conversation(p) for p in range(2)] == [chat("你好", "🐟"), chat("é", "ok")]
    assert [rows.where(p) for p in range(2)] == [("a.jsonl", 1), ("a.jsonl", 3)]
