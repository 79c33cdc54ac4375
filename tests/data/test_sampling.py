"""Rows come in proportion to their bytes, whole, from files of every shape."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data.sampling import BLOCK, Reader, draw, draw_rows
from tuner.errors import InputError
from tuner.workers.counter import LONGEST_ROW

#: The 99.9 % point of chi-square with 4 degrees of freedom.
CHI_SQUARE = 18.47


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(content)
    return path


def sparse(folder: Path, *pieces: bytes | int) -> Path:
    """A file of these bytes; a number is that many zero bytes, which take no room on the disk."""
    path = folder / "sparse.jsonl"
    with path.open("wb") as sink:
        for piece in pieces:
            if isinstance(piece, int):
                sink.seek(piece, os.SEEK_CUR)
            else:
                sink.write(piece)
        sink.truncate()
    return path


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize(
    ("sizes", "drawn"),
    [((1, 3, 10, 40, 400), 20_000), ((BLOCK // 8, BLOCK // 2, BLOCK - 1, BLOCK, 2 * BLOCK), 2_000)],
)
def test_rows_are_drawn_in_proportion_to_their_bytes(
    tmp_path: Path, sizes: tuple[int, ...], drawn: int, end: bytes
) -> None:
    rows = [bytes([ord("a") + i]) * size for i, size in enumerate(sizes)]
    path = file_of(tmp_path, b"\n".join(rows) + end)
    seen = Counter(text for _, text in draw_rows(path, drawn, 1))
    assert set(seen) <= set(rows)
    chi_square = 0.0
    for row in rows:
        size = len(row) + (len(end) if row is rows[-1] else 1)
        expected = drawn * size / path.stat().st_size
        chi_square += (seen[row] - expected) ** 2 / expected
    assert chi_square < CHI_SQUARE


@given(st.lists(st.binary(max_size=20), max_size=12), st.booleans(), st.booleans())
def test_the_line_around_every_byte_is_the_line_that_holds_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], mark: bool, newline: bool
) -> None:
    head = b"\xef\xbb\xbf" if mark else b""
    content = head + b"\n".join(lines) + (b"\n" if newline else b"")
    # A file that begins with a mark by chance has one.
    first = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    path = file_of(tmp_path_factory.getbasetemp(), content)
    with Reader(path) as reader:
        for byte in range(len(content)):
            line = reader.at(byte)
            if byte < first:
                assert (line.start, line.end, line.blank) == (0, first, True)
                continue
            start = max(first, content.rfind(b"\n", 0, byte) + 1)
            end = (content.find(b"\n", byte) + 1) or len(content)
            assert (line.start, line.end) == (start, end)
            assert line.text == content[start:end].removesuffix(b"\n")


def test_long_rows_come_whole(tmp_path: Path) -> None:
    rows = [b"a" * (3 * BLOCK), b"b" * 5, b"c" * (40 * BLOCK), b"d" * 7]
    path = file_of(tmp_path, b"\n".join(rows))
    found = draw(path, 200, 0).rows
    assert {row.text for row in found} >= {rows[0], rows[2]}
    for row in found:
        assert row.text in rows
        assert row.text is not None
        assert row.size == len(row.text) + (row.text != rows[3])


def test_a_carriage_return_stays_in_the_row_and_a_byte_order_mark_does_not(tmp_path: Path) -> None:
    path = file_of(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n')
    assert set(draw_rows(path, 50, 0)) == {(3, b'{"a": 1}\r'), (13, b'{"a": 2}\r')}


def test_blank_lines_are_drawn_again_and_counted(tmp_path: Path) -> None:
    path = file_of(tmp_path, (b"\n  \r\n\t\n" + b"x" * 6 + b"\n") * 1_000)
    found = draw(path, 4_000, 0)
    assert {row.text for row in found.rows} == {b"x" * 6}
    assert len(found.rows) == 4_000
    assert found.blank == pytest.approx(4_000, rel=0.1)  # as many bytes as the rows have
    assert found.total_bytes == path.stat().st_size


def test_the_same_seed_draws_the_same_rows_and_another_seed_draws_others(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"".join(b"%d\n" % i for i in range(10_000)))
    first = draw_rows(path, 50, 1)
    assert draw_rows(path, 50, 1) == first
    assert draw_rows(path, 50, 2) != first
    # Neither the head of the file nor its order: any piece of the draws is a sample.
    assert max(start for start, _ in first[:10]) > 10_000
    assert first != sorted(first)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n \n\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_row_is_an_error_and_no_endless_search(
    tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(InputError) as caught:
        draw_rows(file_of(tmp_path, content), 10, 0)
    assert caught.value.key == "file.empty"


def test_a_row_of_100_mb_is_found_and_not_read(tmp_path: Path) -> None:
    size = 100 << 20
    path = sparse(tmp_path, b"first\n", size, b"\n" + b"last\n" * 4_000_000)
    found = draw(path, 200, 0)
    assert {(row.start, row.text) for row in found.rows if row.start < size} == {(6, None)}
    assert {row.text for row in found.rows} == {None, b"last"}
    assert all(row.size > LONGEST_ROW for row in found.rows if row.text is None)
    # 100 MB of 119 MB, whichever end of the row the draws met first.
    assert sum(row.text is None for row in found.rows) == pytest.approx(168, abs=20)


def test_the_ends_of_a_row_too_large_belong_to_no_other_row(tmp_path: Path) -> None:
    size, long = LONGEST_ROW + 3 * BLOCK, b"b" * (3 * BLOCK)
    path = sparse(tmp_path, b"a\n", size, b"\n", long, b"\n", size)
    after = 2 + size + 1
    for order in (1, -1):
        with Reader(path) as reader:
            for byte in [0, 1, 2, after // 2, after - 1, after, after + len(long)][::order]:
                line = reader.at(byte)
                assert line.text == (b"a" if byte < 2 else None if byte < after else long)
                assert line.start == (0 if byte < 2 else 2 if byte < after else after)
            unended = after + len(long) + 1
            for byte in [unended, unended + size - 1, unended + size // 2][::order]:
                assert (reader.at(byte).start, reader.at(byte).text) == (unended, None)


def test_a_row_of_exactly_the_longest_size_is_read(tmp_path: Path) -> None:
    path = sparse(tmp_path, LONGEST_ROW - 1, b"\n", LONGEST_ROW, b"\n")
    with Reader(path) as reader:
        assert reader.at(LONGEST_ROW // 2).text == bytes(LONGEST_ROW - 1)
        assert reader.at(LONGEST_ROW + 5).text is None


def test_a_sample_of_long_rows_does_not_fill_the_memory(tmp_path: Path) -> None:
    row = LONGEST_ROW - (1 << 20)
    path = sparse(tmp_path, *((row, b"\n") * 200))
    rows = draw(path, 1_000, 0).rows
    assert 256 << 20 <= sum(len(row.text or b"") for row in rows) <= 272 << 20


def test_a_draw_reads_two_blocks_and_not_the_file(tmp_path: Path) -> None:
    path = sparse(tmp_path, b"x\n", (BLOCK // 4 - 1), b"\n", 5 << 30, b"\n")
    with path.open("r+b") as sink:
        sink.seek(4 << 30)
        sink.write(b"\n" + b"y" * (BLOCK // 4) + b"\n")
    with Reader(path) as reader:
        before = _bytes_read()
        line = reader.at((4 << 30) + 100)
        assert line.text == b"y" * (BLOCK // 4)
        assert _bytes_read() - before <= 2 * BLOCK + 4_096


def _bytes_read() -> int:
    """What this process has read so far, the reading of this figure included."""
    io = Path("/proc/self/io")
    if not io.exists():
        pytest.skip("this system does not count what is read")
    return int(io.read_text().split()[1])


def test_a_file_that_becomes_shorter_is_said_to_have_changed(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"row\n" * 100_000)
    with Reader(path) as reader:
        os.truncate(path, 1_000)
        for look in (lambda: reader.at(300_000), lambda: reader.at(900), reader.check):
            with pytest.raises(InputError) as caught:
                look()
            assert caught.value.key == "file.changed"
            assert caught.value.params == {"file": "rows.jsonl"}
