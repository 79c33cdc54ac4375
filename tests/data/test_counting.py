"""A file is cut into pieces at line ends, each byte in one piece, and the pieces come back in order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers import chat, write_jsonl
from tuner.data import counting
from tuner.data.counting import Counters, cuts
from tuner.errors import InputError
from tuner.workers.counter import SLOW, Deviates

PIECE: Final = 8
LONGEST: Final = 32
#: Nothing is counted: every row is left over, with the place where it begins.
NO_ENCODER: Final = {"encoder": "none"}


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Pieces and rows of a few bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PIECE", PIECE)
        patch.setattr(counting, "LONGEST_ROW", LONGEST)
        yield


def as_datasets_cuts(data: bytes) -> Iterator[bytes]:
    """The loop of ``datasets.packaged_modules.json``: a piece, and the rest of its last line."""
    source = io.BytesIO(data)
    while batch := source.read(PIECE):
        yield batch + source.readline()


LINES = st.lists(st.binary(max_size=LONGEST - 2).map(lambda line: line.replace(b"\n", b"")))


@given(LINES, st.booleans())
@example([b"x" * 7, b"y"], True)  # a piece that ends where a line does
@example([b""] * 20, True)
@example([b"x" * 8], False)
def test_each_byte_is_in_one_piece_and_pieces_end_at_line_ends(
    lines: list[bytes], ended: bool
) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    with TemporaryDirectory() as place:
        path = Path(place) / "rows.jsonl"
        path.write_bytes(data)
        found = list(cuts(path, len(data)))
    assert [start for start, _ in found] == [0, *(end for _, end in found)][: len(found)]
    assert (found[-1][1] if found else 0) == len(data)
    assert all(data[end - 1 : end] == b"\n" for _, end in found[:-1])
    assert [data[start:end] for start, end in found] == list(as_datasets_cuts(data))


def test_no_piece_goes_beyond_the_size_that_the_file_had(tmp_path: Path) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_bytes(b"0123456\n" * 5)
    for size in range(40):
        ends = [end for _, end in cuts(path, size)]
        assert max(ends, default=0) == size
        assert ends == sorted(set(ends))


@given(st.lists(st.integers(0, LONGEST - 2), max_size=8), st.integers(0, 3))
def test_a_row_that_is_too_long_is_named_with_its_number(sizes: list[int], after: int) -> None:
    # A piece and its last line are read: the row may begin at any byte of the piece.
    lines = [b"x" * size for size in (*sizes, PIECE + LONGEST, *[3] * after)]
    with TemporaryDirectory() as place:
        path = Path(place) / "rows.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        with pytest.raises(InputError) as caught:
            list(cuts(path, path.stat().st_size))
    assert caught.value.key == "file.row_too_long"
    assert caught.value.params["row"] == len(sizes) + 1
    assert caught.value.params["file"] == "rows.jsonl"


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few hundred rows that make many pieces."""
    monkeypatch.setattr(counting, "PIECE", 1 << 10)
    monkeypatch.setattr(counting, "LONGEST_ROW", 1 << 14)
    rows = [chat(f"question {n}", "a" * (n % 90)) for n in range(400)]
    return write_jsonl(tmp_path / "talks.jsonl", rows)


def counters(path: Path, strict: bool = True) -> Counters:
    return Counters(path, path.stat().st_size, NO_ENCODER, (), (), strict)


def test_pieces_come_in_the_files_order_with_each_row_where_it_begins(talks: Path) -> None:
    with counters(talks) as lean:
        pieces = list(lean.pieces())
    assert len(pieces) > 20
    assert [(p.start, p.end) for p in pieces] == list(cuts(talks, talks.stat().st_size))
    whole = talks.read_bytes()
    starts = np.concatenate([piece.counted.offset for piece in pieces])
    assert [orjson.loads(whole[at : whole.index(b"\n", at)]) for at in starts] == [
        orjson.loads(line) for line in whole.splitlines()
    ]
    assert set(np.concatenate([piece.counted.length for piece in pieces])) == {SLOW}


def test_a_row_that_deviates_ends_the_count(talks: Path) -> None:
    with talks.open("ab") as more:
        more.write(b'{"messages": []}\n["no", "object"]\n')
    with counters(talks) as lean, pytest.raises(Deviates, match="object"):
        list(lean.pieces())


def test_a_row_that_is_too_long_ends_the_count_with_its_number(talks: Path) -> None:
    with talks.open("ab") as more:
        more.write(b'"' + b"x" * (1 << 15) + b'"\n')
    with counters(talks) as lean, pytest.raises(InputError) as caught:
        list(lean.pieces())
    assert (caught.value.key, caught.value.params["row"]) == ("file.row_too_long", 401)


def test_a_file_that_became_shorter_is_not_counted(talks: Path) -> None:
    size = talks.stat().st_size
    talks.write_bytes(talks.read_bytes()[: size // 2])
    with (
        Counters(talks, size, NO_ENCODER, (), (), True) as lean,
        pytest.raises((Deviates, InputError)),
    ):
        list(lean.pieces())


def test_who_leaves_early_leaves_no_process(talks: Path) -> None:
    with counters(talks) as lean:
        processes = list(lean._processes)
        next(lean.pieces())
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
