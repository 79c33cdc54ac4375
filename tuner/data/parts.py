"""One dataset of a look: its rows counted, the special ones handed to ms-swift, into columns.

A JSON Lines file whose rows are plain is counted where it lies. Everything else
is loaded by ms-swift's loader, written once as JSON Lines and counted in the
same way. A random part of what was counted quickly is counted again by
ms-swift; one difference, and all rows go ms-swift's way.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np
import orjson

from tuner.data import sampling
from tuner.data.counting import Counters
from tuner.data.files import check_all
from tuner.data.rows import Columns, Side
from tuner.errors import InputError
from tuner.records import Sentence, to_dict
from tuner.workers import encoders, loading
from tuner.workers.counter import Counted, Deviates, turns
from tuner.workers.crowd import Crowd, Outcome, settle
from tuner.workers.probing import Reference
from tuner.workers.probing import measure as by_shape
from tuner.workers.shapes import Shape

if TYPE_CHECKING:
    from tuner.workers.child import Call

#: Lost rows that are kept with their texts; all are counted.
MOST_PROBLEMS: Final = 10_000
#: Rows of each dataset that ms-swift counts again.
CHECKED: Final = 200
#: Sequences of roles whose shapes are made before the count begins.
FIRST_SHAPES: Final = 16
#: What ``path`` says where a quick count was tried and was not equal.
FALLBACK: Final = "ms-swift (a quick count differed)"


@dataclass
class Asked:
    """What is to be measured, and how."""

    call: Call
    reference: Reference
    encoder: encoders.Encoder | None  #: None: ms-swift's own code for every row
    spec: Mapping[str, str]
    folder: Path
    columns: Mapping[str, str]
    max_length: int


@dataclass
class Part:
    """One dataset as it was found."""

    name: str
    store: str = ""
    lines: int = 0  #: in the file, where it is one of lines
    read: int = 0
    loaded: int = 0  #: that ms-swift's loader keeps
    valid: int = 0  #: that its template takes
    path: str = ""  #: which encoder counted it
    checked: int = 0  #: rows that ms-swift counted again
    refused: list[int] = field(default_factory=list)  #: loaded rows that the template does not take
    channels: Counter[str] = field(default_factory=Counter)


class Problems:
    """Rows that ms-swift loses, each with its reason and text, one JSON object a line."""

    def __init__(self, folder: Path) -> None:
        self._sink = (folder / "problems.jsonl").open("wb")
        self.count = 0

    def add(self, side: Side, part: int, row: int, stage: str, reason: Sentence, text: str) -> None:
        """One lost row. ``row`` counts from 1 in its dataset."""
        self.count += 1
        if self.count <= MOST_PROBLEMS:
            line = {"side": side, "part": part, "row": row, "stage": stage}
            line |= {"reason": to_dict(reason), "text": text[:500]}
            self._sink.write(json.dumps(line).encode() + b"\n")

    def mark(self) -> tuple[int, int]:
        """Where the list ends now."""
        return self.count, self._sink.tell()

    def rollback(self, mark: tuple[int, int]) -> None:
        """Forget what was added since the mark."""
        self.count, end = mark
        self._sink.seek(end)
        self._sink.truncate()

    def close(self) -> None:
        """Flush."""
        self._sink.close()


class PartCounter:
    """Counting one dataset into one side's columns."""

    def __init__(
        self, asked: Asked, side: Side, number: int, name: str, columns: Columns, problems: Problems
    ) -> None:
        self.asked, self.side, self.number = asked, side, number
        self.columns, self.problems = columns, problems
        self.part = Part(name)
        self._first: dict[str, str] | None = None  #: columns of the file's first piece
        self._source: Sequence[int] | None = None  #: row numbers, where ms-swift loaded the rows
        self._at = 0  #: rows of the store that are done
        self._reason: Sentence | None = None  #: why the first lost row is lost
        self._hazards = asked.reference.hazards
        self._crowd: Crowd | None = None
        self._mark = columns.mark(), problems.mark()
        self._agreed = 0  #: rows that both ways of ms-swift's code have encoded alike

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        crowd, self._crowd = self._crowd, None
        if crowd is not None:
            crowd.close()

    def run(self) -> Part:
        """The part, its columns written."""
        try:
            return self._run()
        except Differs:
            # The quick count cannot be trusted here: ms-swift counts every row.
            log(f"{self.part.name}: a quick count differs, ms-swift counts all")
            self.columns.rollback(self._mark[0])
            self.problems.rollback(self._mark[1])
            slowly = dataclasses.replace(self.asked, encoder=None, spec={"encoder": FALLBACK})
            again = PartCounter(
                slowly, self.side, self.number, self.part.name, self.columns, self.problems
            )
            return again.run()

    def _run(self) -> Part:
        name, asked = self.part.name, self.asked
        path = Path(without_count(name))
        mark = self._mark
        if loading.is_plain(name, asked.columns) and path.is_file():
            before = _stamp(path)
            try:
                self.count(path, strict=True)
            except (Deviates, ValueError, OSError) as deviation:
                if _stamp(path) != before:
                    raise InputError("file.changed", file=path.name) from deviation
                if not isinstance(deviation, Deviates):
                    raise
                log(f"{path.name}: row {deviation.row}: {deviation.why}")
                self.columns.rollback(mark[0])
                self.problems.rollback(mark[1])
                self.part, self._at, self._reason = Part(name), 0, None
            else:
                self._require_rows()
                return self.part
        self._load(path)
        return self.part

    def _load(self, path: Path) -> None:
        """Let ms-swift load the dataset, keep its rows as JSON Lines, count those."""
        asked, part = self.asked, self.part
        asked.call.progress(stage="load", done=0, total=0)
        before = _stamp(path)
        try:
            rows, tally = loading.load(part.name, asked.columns)
        except (InputError, OSError) as error:
            if before is not None and _stamp(path) != before:
                raise InputError("file.changed", file=path.name) from error
            if path.is_file():
                check_all(path)  # names the line, where it is a line's fault
            raise
        part.lines = part.read = tally.read
        for row, reason, text in tally.problems:
            self._lost(row, "valid", reason, text)
        store = asked.folder / f"{self.side}-{self.number}.jsonl"
        with store.open("wb") as sink:
            for number, row in enumerate(rows):
                if number % 2000 == 0:
                    asked.call.progress(stage="load", done=number, total=len(rows))
                kept = {key: value for key, value in row.items() if value is not None}
                kept.pop("dataset", None)
                sink.write(_dumped(kept) + b"\n")
        self._source, self._at = tally.source_rows, 0
        try:
            self.count(store, strict=False)
        except Deviates as deviation:
            raise RuntimeError(f"{store}: {deviation.row}: {deviation.why}") from deviation
        self._require_rows()

    def _require_rows(self) -> None:
        """Raise if nothing came through: ms-swift cannot go on either."""
        if not self.part.valid:
            raise InputError(
                "data.no_valid_rows", data=self.part.name, rows=self.part.read,
                reason=self._reason or Sentence("reason.empty"),
            )  # fmt: skip

    def count(self, path: Path, strict: bool) -> None:
        """Count the rows of a JSON Lines file; ``strict`` if it is as it came. Raises ``Deviates``, ``Differs``."""
        asked, part = self.asked, self.part
        before = _stamp(path)
        part.store, part.path = str(path), asked.spec["encoder"]
        size = path.stat().st_size
        if not size:
            return
        asked.call.progress(stage="count", done=0, total=0)
        shapes = self._shapes(path, size) if asked.encoder else []
        spec = asked.spec if asked.encoder else {"encoder": "none"}
        draw = np.random.default_rng(len(part.name))
        hazards = self._hazards.texts
        with Counters(path, size, spec, hazards, shapes, strict) as counters, self:
            for piece in counters.pieces(asked.call.check):
                rows = len(piece.counted.length)
                if strict:
                    self._same_columns(piece.counted.columns)
                asked.call.progress(
                    stage="count", done=self._at + rows,
                    total=max(self._at + rows, round((self._at + rows) * size / piece.end)),
                )  # fmt: skip
                self._take(path, piece.counted, counters, strict)
                share = -(-CHECKED * (piece.end - piece.start) // size)
                self._check(path, piece.counted, draw, share, strict)
        if strict and _stamp(path) != before:
            raise InputError("file.changed", file=path.name)

    def _same_columns(self, columns: dict[str, str]) -> None:
        """Each piece must look to pyarrow like the first, or ms-swift reads another file than we."""
        if self._first is None:
            self._first = columns
            if columns.get("messages") != "list":
                raise Deviates(0, "messages")
        if any(self._first.get(key) != kind for key, kind in columns.items()):
            raise Deviates(0, "columns")

    def _shapes(self, path: Path, size: int) -> list[Shape]:
        """Shapes for the sequences of roles that a random few rows have."""
        asked = self.asked
        assert asked.encoder
        met: Counter[tuple[str, ...]] = Counter()
        for _, line in sampling.draw_rows(path, min(300, 1 + size // 50), 7):
            row = parsed(line)
            if row is not None:
                met[roles_of(row)] += 1
        made = (
            asked.reference.shape(roles, asked.encoder)
            for roles, _ in met.most_common(FIRST_SHAPES)
            if ordinary(roles)
        )
        return [shape for shape in made if shape is not None]

    def _take(self, path: Path, counted: Counted, counters: Counters, strict: bool) -> None:
        """Settle what the lean process left over, and append the piece's valid rows."""
        part = self.part
        length, trained = counted.length.copy(), counted.trained.copy()
        loaded = np.ones(len(length), bool)
        valid = np.ones(len(length), bool)
        if counted.slow:
            with path.open("rb") as store:
                for number, result in self._settled(store, counted, counters, strict):
                    if isinstance(result[1], Sentence):
                        stage, reason = str(result[0]), result[1]
                        valid[number], loaded[number] = False, stage != "valid"
                        text = loading.shown(_at(store, counted, number))
                        self._lost(self._number(number), stage, reason, text)
                    else:
                        length[number], trained[number] = result
        refused = np.flatnonzero(loaded & ~valid)
        place = part.loaded + np.cumsum(loaded) - 1
        if counted.slow:
            log(f"{path.name}: {len(counted.slow)} rows by ms-swift's own code")
        part.refused += [int(place[number]) for number in refused]
        rows = np.array([self._number(int(number)) for number in np.flatnonzero(valid)], np.int64)
        self.columns.append(
            length=length[valid], trained=trained[valid], offset=counted.offset[valid],
            row=rows, part=np.full(len(rows), self.number),
        )  # fmt: skip
        self._at += len(length)
        if self._source is None:
            part.read = part.lines = self._at
        part.loaded += int(loaded.sum())
        part.valid += len(rows)
        part.channels.update(counted.channels)

    def _number(self, number: int) -> int:
        """The number from 1, in the source, of a row of the piece at hand."""
        place = self._at + number
        return place + 1 if self._source is None else int(self._source[place])

    def _settled(
        self, store: BinaryIO, counted: Counted, counters: Counters, strict: bool
    ) -> Iterator[tuple[int, Outcome]]:
        """Each row that is left over: its length and trained tokens, or how it is lost."""
        asked = self.asked
        columns = tuple(self._first or ()) if strict else None
        waiting: list[int] = []
        for turn, (number, roles) in enumerate(counted.slow):
            if turn % 100 == 0:
                asked.call.check()
            if (found := self._by_new_shape(store, counted, number, roles, counters)) is not None:
                yield number, found
            elif asked.encoder and asked.reference.cuttable and self._agreed >= CHECKED:
                waiting.append(number)
            else:
                yield number, self._both_ways(_at(store, counted, number), columns)
        if waiting:
            yield from self._by_many(store, counted, waiting, columns)

    def _by_new_shape(
        self, store: BinaryIO, counted: Counted, number: int, roles: tuple[str, ...], counters: Counters
    ) -> tuple[int, int] | None:  # fmt: skip
        """A row whose sequence of roles the lean processes did not know yet; they learn it."""
        asked = self.asked
        if not roles or not asked.encoder or not ordinary(roles):
            return None
        shape = asked.reference.shape(roles, asked.encoder)
        if shape is None:
            return None
        if all(known.roles != roles for known in counters.shapes):
            counters.shapes.append(shape)
        contents = contents_of(_at(store, counted, number))
        if not shape.takes(contents) or any(map(self._hazards, contents)):
            return None
        return by_shape(shape, contents, asked.encoder)

    def _both_ways(self, row: dict[str, Any], columns: tuple[str, ...] | None) -> Outcome:
        """A row by ms-swift's code, and again with the admitted encoder, which must agree."""
        reference, encoder = self.asked.reference, self.asked.encoder
        exact = settle(reference, copy.deepcopy(row), columns, quickly=False)
        if encoder is not None and reference.cuttable:
            with reference.quick(encoder):
                if settle(reference, row, columns, quickly=True) != exact:
                    raise Differs(self.part.name)
            self._agreed += 1
            self.part.checked += 1
        return exact

    def _by_many(
        self, store: BinaryIO, counted: Counted, numbers: Sequence[int], columns: tuple[str, ...] | None
    ) -> Iterator[tuple[int, Outcome]]:  # fmt: skip
        """Rows that need ms-swift's code, in many processes; one in :data:`CHECKED` both ways."""
        lines = [_line(store, counted, number) for number in numbers]
        assert self.asked.encoder
        if self._crowd is None:
            self._crowd = Crowd(self.asked.reference, self.asked.encoder, columns)
        yield from zip(numbers, self._crowd.settle(lines, self.asked.call.check), strict=True)
        for line in lines[::CHECKED]:
            self._both_ways(orjson.loads(line), columns)

    def _lost(self, row: int, stage: str, reason: Sentence, text: str) -> None:
        self._reason = self._reason or reason
        self.problems.add(self.side, self.number, row, stage, reason, text)

    def _check(self, path: Path, counted: Counted, draw: Any, share: int, strict: bool) -> None:
        """Let ms-swift count a random few of the rows again. Raises ``Differs`` on one difference."""
        quick = np.flatnonzero(counted.length >= 0)
        chosen = draw.choice(quick, min(share, len(quick)), replace=False)
        with path.open("rb") as store:
            for number in chosen:
                store.seek(int(counted.offset[number]))
                row = orjson.loads(store.readline())
                if strict:
                    row = loading.prepared(row, tuple(self._first or ())) or {}
                found = int(counted.length[number]), int(counted.trained[number])
                if self.asked.reference.encode(row) != found:
                    raise Differs(self.part.name)
        self.part.checked += len(chosen)


class Differs(Exception):
    """A quick count is not what ms-swift gives: all rows go ms-swift's way."""


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None for one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _line(store: BinaryIO, counted: Counted, number: int) -> bytes:
    """A row of a piece as it stands in its file."""
    store.seek(int(counted.offset[number]))
    return store.readline()


def _at(store: BinaryIO, counted: Counted, number: int) -> dict[str, Any]:
    """A row of a piece."""
    row: dict[str, Any] = orjson.loads(_line(store, counted, number))
    return row


def parsed(line: bytes | None) -> dict[str, Any] | None:
    """A line as a JSON object; None for one that is none."""
    try:
        row = orjson.loads(line or b"")
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def roles_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The roles of a row's turns, the system column's first; none for a row that is not plain."""
    return turns(row)[0]


def contents_of(row: dict[str, Any]) -> list[str]:
    """The texts of a row's turns, in the order of :func:`roles_of`."""
    return turns(row)[1]


def ordinary(roles: tuple[str, ...]) -> bool:
    """Turns of user and assistant, one after the other, the assistant's last."""
    rest = roles[1:] if roles[:1] == ("system",) else roles
    return bool(rest) and rest == ("user", "assistant") * (len(rest) // 2)


def _dumped(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    except TypeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return json.dumps(row, default=str).encode()


def without_count(name: str) -> str:
    """A dataset's name without its ``#count``."""
    return re.sub(r"#\d+$", "", name)


def log(line: str) -> None:
    """A line for the child's log."""
    sys.stderr.write(line + "\n")
