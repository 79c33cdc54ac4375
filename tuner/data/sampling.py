"""Rows at random from a JSON Lines file of any size, without reading the file.

A random byte is drawn, and the row that holds it is taken: a row comes with a
probability that is proportional to its bytes, its newline included, wherever in
the file it lies (``tuner/data/estimate.py`` undoes the proportion). A draw reads
one block around its byte, and more only where the row goes on beyond it, so its
cost does not depend on the size of the file. Blank lines are no rows.
"""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from tuner.errors import InputError
from tuner.workers.counter import LONGEST_ROW

#: Bytes read around a drawn byte, and at most at once in a long row.
BLOCK: Final = 64 << 10
STRIDE: Final = 1 << 20
#: Bytes of rows that are held at once. Rows so long that a sample of them is more are fewer.
MOST_TEXT: Final = 256 << 20
#: How many times the draws that were asked for may be made, where most of them meet blank lines.
PATIENCE: Final = 20


@dataclass(frozen=True)
class Line:
    """The line that holds a drawn byte; a row, unless it is blank."""

    start: int  #: its first byte in the file, after a byte order mark
    end: int  #: the byte after its newline; of a row too large, after what was read of it
    text: bytes | None  #: without the newline; None when it is longer than ``LONGEST_ROW``

    @property
    def blank(self) -> bool:
        """Nothing is on it but white space."""
        return self.text is not None and not self.text.strip()

    @property
    def size(self) -> int:
        """Its bytes in the file, newline included; of a row too large, as many as were read."""
        return self.end - self.start


@dataclass(frozen=True)
class Drawn:
    """A sample of a file's rows, in the order in which they were drawn."""

    rows: tuple[Line, ...]  #: a row may come more than once
    blank: int  #: further draws, which met blank lines
    total_bytes: int  #: of the file


def draw_rows(path: Path, count: int, seed: int) -> list[tuple[int, bytes | None]]:
    """As :func:`draw`: only each row's first byte in the file, and its text or None."""
    return [(row.start, row.text) for row in draw(path, count, seed).rows]


def draw(path: Path, count: int, seed: int) -> Drawn:
    """``count`` random rows.

    They are fewer where the rows are so long that ``count`` of them would fill the
    memory, or where a file is blank lines almost all through.

    Raises:
        InputError: no row was found, or the file became shorter while it was read.
        OSError: it cannot be read.
    """
    random = np.random.default_rng(seed)
    rows: list[Line] = []
    blank = held = 0
    with Reader(path) as reader:
        while reader.size and held < MOST_TEXT and len(rows) < count:
            for byte in random.integers(0, reader.size, count - len(rows)).tolist():
                line = reader.at(byte)
                if line.blank:
                    blank += 1
                    continue
                rows.append(line)
                held += len(line.text or b"")
                if held >= MOST_TEXT:
                    break
            if len(rows) + blank >= PATIENCE * count:
                break
        reader.check()
    if not rows:
        raise InputError("file.empty", file=path.name)
    return Drawn(tuple(rows), blank, reader.size)


class Reader:
    """Finds the line around a byte of a file that nobody is expected to write. Use as a context.

    Its methods raise ``InputError`` when the file has become shorter than it was.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._file = path.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size
        mark = codecs.BOM_UTF8
        self._first = len(mark) if self._read(0, min(len(mark), self.size)) == mark else 0
        # What is known of rows too large: nobody looks for their ends twice.
        self._large: list[Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def check(self) -> None:
        """See that the file has not become shorter."""
        if os.fstat(self._file.fileno()).st_size < self.size:
            raise InputError("file.changed", file=self._name)

    def at(self, byte: int) -> Line:
        """The line that holds ``byte``. A newline belongs to the line that it ends."""
        if byte < self._first:
            return Line(0, self._first, b"")  # the byte order mark is no part of the first row
        for large in self._large:
            if large.start <= byte < large.end:
                return large
        base = max(self._first, byte - BLOCK // 2)
        block = self._read(base, min(self.size, base + BLOCK))
        start = self._start(byte, base, block)
        end = self._end(byte, base, block, start + LONGEST_ROW)
        if end - start > LONGEST_ROW:
            line = Line(start, end, None)
            self._large = [known for known in self._large if known.start != start] + [line]
            return line
        inside = base <= start and end <= base + len(block)
        text = block[start - base : end - base] if inside else self._read(start, end)
        return Line(start, end, text.removesuffix(b"\n"))

    def _start(self, byte: int, base: int, block: bytes) -> int:
        """The first byte of the line, looked for backwards."""
        before = max(
            (line for line in self._large if line.end <= byte),
            key=lambda line: line.end, default=None,
        )  # fmt: skip
        floor = before.end - 1 if before else self._first
        stop = byte
        while (cut := block.rfind(b"\n", 0, stop - base)) < 0:
            if base <= floor:
                # The row too large that ends unread here goes on to this byte.
                return before.start if before else floor
            stop, base = base, max(floor, base - STRIDE)
            block = self._read(base, stop)
        return base + cut + 1

    def _end(self, byte: int, base: int, block: bytes, limit: int) -> int:
        """The byte after the line's newline or after the file, not looked for beyond ``limit``."""
        seen = byte
        while (cut := block.find(b"\n", seen - base)) < 0:
            seen = base + len(block)
            if seen >= self.size or seen > limit:
                return seen
            base = seen
            block = self._read(base, min(self.size, base + STRIDE))
        return base + cut + 1

    def _read(self, start: int, end: int) -> bytes:
        parts = []
        while start < end:
            part = os.pread(self._file.fileno(), end - start, start)
            if not part:
                raise InputError("file.changed", file=self._name)
            parts.append(part)
            start += len(part)
        return b"".join(parts)
