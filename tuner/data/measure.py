"""The verb ``measure``: every row of a dataset, read as ms-swift reads it, with its exact length.

A JSON Lines file whose rows are plain is counted where it lies, by lean
processes; whatever is special in it is handed to ms-swift's own code, row by
row. Everything else is loaded by ms-swift's loader, written once as JSON Lines
and counted in the same way. A random part of what was counted quickly is
counted again by ms-swift; one difference, and all rows go the exact way.

It runs in a warm child, and refuses to repair anything.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from tuner.data import sampling
from tuner.data.counting import Counters
from tuner.data.estimate import Draw, estimate
from tuner.data.files import check_all
from tuner.data.rows import FOUND, Columns, Side, standard
from tuner.errors import InputError
from tuner.files import write_json
from tuner.records import Sentence, to_dict
from tuner.workers import encoders, loading
from tuner.workers.counter import Counted, Deviates, turns
from tuner.workers.probing import Reference
from tuner.workers.probing import measure as by_shape
from tuner.workers.shapes import Shape

if TYPE_CHECKING:
    from tuner.workers.child import Call

PREVIEW_ROWS: Final = 3
#: Lost rows that are kept with their texts; all are counted.
MOST_PROBLEMS: Final = 10_000
#: Rows of each dataset that ms-swift counts again.
CHECKED: Final = 200
#: Draws of the estimate, and the file size (bytes) from which one is worth making.
DRAWS: Final = 1_000
WORTH: Final = 4 << 20
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


def measure(
    call: Call, model: str, model_type: str, template: str, train: list[str], validation: list[str],
    split_ratio: float, system: str | None, seed: int, out: str, columns: dict[str, str],
    agent_template: str | None, encoders_folder: str, max_length: int, only_estimate: bool,
) -> dict[str, Any]:  # fmt: skip
    """Lengths and trained tokens of every valid row, in the folder ``out`` (see ``tuner/data/rows``).

    Progress tells ``stage``, ``done`` and ``total`` rows, and for a large file an
    ``estimate`` (:class:`tuner.records.Estimate`) before anything else is known.

    Raises:
        NotFoundError: a dataset that the hub does not have, or no way to reach it.
        InputError: no row of a dataset came through, none has an answer to learn, or
            there are too few for the split or count; a file that cannot be read.
    """
    started = time.monotonic()
    call.progress(stage="load", done=0, total=0)
    reference = _reference(model, model_type, template, system, agent_template)
    spec: Mapping[str, str] = {"encoder": "ms-swift"}
    if reference.tokenizer_json is not None:
        spec = encoders.admit(Path(encoders_folder), reference.tokenizer_json)
    encoder = encoders.load(spec) if "file" in spec else None
    folder = Path(out)
    folder.mkdir(parents=True)
    asked = Asked(call, reference, encoder, spec, folder, columns, max_length)
    guessed = _estimate(asked, train)
    if guessed is not None:
        call.progress(stage="estimate", estimate=guessed, done=0, total=0)
    if only_estimate:
        return {"estimate": guessed, "seconds": time.monotonic() - started}
    problems = Problems(folder)
    parts = {"train": _side(asked, "train", train, problems)}
    trained = np.fromfile(folder / "train.trained", "<i4")
    if not trained.any():
        raise InputError("data.no_answers", data=", ".join(train), rows=len(trained))
    held = _split(folder, parts["train"], train, split_ratio, seed)
    parts["eval"] = _side(asked, "eval", validation, problems)
    problems.close()
    everything = [*parts["train"], *parts["eval"]]
    found = {
        "stores": {
            side: [{"path": part.store, "name": part.name} for part in parts[side]]
            for side in ("train", "eval")
        },
        "parts": {side: [_facts(part) for part in parts[side]] for side in parts},
        "split": held,
        "valid": sum(part.valid for part in parts["train"]),
        "problem_count": problems.count,
        "trained_tokens": int(trained.sum(dtype=np.int64)),
        "untrained": int((trained == 0).sum()),
        "channels": dict(sum((part.channels for part in parts["train"]), Counter())),
        "path": " + ".join(dict.fromkeys(part.path for part in everything)),
        "checked": sum(part.checked for part in everything),
        "preview": _preview(folder, parts["train"]),
        "seconds": round(time.monotonic() - started, 2),
        "estimate": guessed,
    }
    write_json(folder / FOUND, found)
    return found


_kept: dict[tuple[str | None, ...], Reference] = {}


def _reference(*key: str | None) -> Reference:
    """The template for these arguments; the last one is kept warm."""
    if key not in _kept:
        model, model_type, template, system, agent_template = key
        assert model and model_type and template
        made = Reference(model, model_type, template, system, agent_template)
        _kept.clear()
        _kept[key] = made
    return _kept[key]


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

    def close(self) -> None:
        """Flush."""
        self._sink.close()


def _side(asked: Asked, side: Side, names: Sequence[str], problems: Problems) -> list[Part]:
    columns = Columns(asked.folder, side)
    parts = []
    try:
        for number, name in enumerate(names):
            parts.append(_Count(asked, side, number, name, columns, problems).run())
    finally:
        columns.close()
    return parts


class _Count:
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
        self._mark = columns.mark(), problems.count
        self._agreed = 0  #: rows that both ways of ms-swift's code have encoded alike

    def run(self) -> Part:
        """The part, its columns written."""
        try:
            return self._run()
        except Differs:
            # The quick count cannot be trusted here: ms-swift counts every row.
            print(f"{self.part.name}: a quick count differs, ms-swift counts all", flush=True)
            self.columns.rollback(self._mark[0])
            self.problems.count = self._mark[1]
            slowly = dataclasses.replace(self.asked, encoder=None, spec={"encoder": FALLBACK})
            again = _Count(slowly, self.side, self.number, self.part.name, self.columns, self.problems)
            return again.run()

    def _run(self) -> Part:
        name, asked = self.part.name, self.asked
        path = Path(_without_count(name))
        mark = self._mark
        if loading.is_plain(name, asked.columns) and path.is_file():
            try:
                self._count(path, strict=True)
            except Deviates as deviation:
                print(f"{path.name}: row {deviation.row}: {deviation.why}", flush=True)
                self.columns.rollback(mark[0])
                self.problems.count = mark[1]
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
        try:
            rows, tally = loading.load(part.name, asked.columns)
        except InputError:
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
            self._count(store, strict=False)
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

    def _count(self, path: Path, strict: bool) -> None:
        asked, part = self.asked, self.part
        before = path.stat()
        part.store, part.path = str(path), asked.spec["encoder"]
        size = before.st_size
        if not size:
            return
        shapes = self._shapes(path, size) if asked.encoder else []
        spec = asked.spec if asked.encoder else {"encoder": "none"}
        draw = np.random.default_rng(len(part.name))
        with Counters(path, size, spec, self._hazards.texts, shapes, strict) as counters:
            for piece in counters.pieces():
                rows = len(piece.counted.length)
                if strict:
                    self._same_columns(piece.counted.columns)
                asked.call.progress(
                    stage="count", done=part.read + rows,
                    total=max(part.read + rows, round((part.read + rows) * size / piece.end)),
                )  # fmt: skip
                self._take(path, piece.counted, counters, strict)
                share = -(-CHECKED * (piece.end - piece.start) // size)
                self._check(path, piece.counted, draw, share, strict)
        after = path.stat()
        if strict and (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
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
            row = _parsed(line)
            if row is not None:
                met[_roles(row)] += 1
        made = (
            asked.reference.shape(roles, asked.encoder)
            for roles, _ in met.most_common(FIRST_SHAPES)
            if _ordinary(roles)
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
                    if isinstance(result, tuple):
                        length[number], trained[number] = result
                    else:
                        valid[number] = False
                        loaded[number] = result != "lost"
        refused = np.flatnonzero(loaded & ~valid)
        place = part.loaded + np.cumsum(loaded) - 1
        if counted.slow:
            print(f"{path.name}: {len(counted.slow)} rows by ms-swift's own code", flush=True)
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
        self, store: Any, counted: Counted, counters: Counters, strict: bool
    ) -> Iterator[tuple[int, tuple[int, int] | str]]:
        """Each row that is left over: its length and trained tokens, or how it is lost."""
        asked = self.asked
        for turn, (number, roles) in enumerate(counted.slow):
            if turn % 100 == 0:
                asked.call.check()
            store.seek(int(counted.offset[number]))
            line = store.readline()
            row = _parsed(line)
            assert row is not None
            if roles and asked.encoder and _ordinary(roles):
                known = {shape.roles for shape in counters.shapes}
                shape = asked.reference.shape(roles, asked.encoder)
                if shape is not None:
                    if roles not in known:
                        counters.shapes.append(shape)
                    contents = _contents(row)
                    if shape.takes(contents) and not any(map(self._hazards, contents)):
                        yield number, by_shape(shape, contents, asked.encoder)
                        continue
            yield number, self._exactly(row, number, strict)

    def _exactly(self, row: dict[str, Any], number: int, strict: bool) -> tuple[int, int] | str:
        """A row by ms-swift's own code; "lost" or "refused" where it will not train on it."""
        stage, text = "valid", loading.shown(row)
        try:
            if strict:
                prepared = loading.prepared(row, tuple(self._first or ()))
                if prepared is None:
                    self._lost(self._number(number), stage, Sentence("reason.no_messages"), text)
                    return "lost"
                row = prepared
            stage = "encode"
            return self._encoded(row)
        except Exception as error:  # whatever ms-swift raises is the reason
            self._lost(self._number(number), stage, loading.reason_of(error), text)
            return "lost" if stage == "valid" else "refused"

    def _encoded(self, row: dict[str, Any]) -> tuple[int, int]:
        """Rows with tools come in thousands: once both ways agree on enough, the quicker one."""
        reference, encoder = self.asked.reference, self.asked.encoder
        if encoder is None or not reference.cuttable or not row.get("tools"):
            return reference.encode(row)
        certain = self._agreed % CHECKED == 0 if self._agreed >= CHECKED else True
        exact = reference.encode(row) if certain else None
        with reference.quick(encoder):
            quick = reference.encode_quickly(row)
        if exact not in (None, quick):
            raise Differs(self.part.name)
        self._agreed += 1
        self.part.checked += certain
        return quick

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


def _split(
    folder: Path, parts: Sequence[Part], names: Sequence[str], ratio: float, seed: int
) -> dict[str, int]:
    """Write which valid rows train and which are held out; the counts before the template.

    Nothing is written where all rows train.
    """
    loaded = sum(part.loaded for part in parts)
    if not ratio and not any(_count(name) for name in names):
        return {"chosen": loaded, "train": loaded, "held": 0}
    train, held = loading.split(names, [part.loaded for part in parts], ratio, True, seed)
    starts = np.cumsum([0, *(part.loaded for part in parts)])
    refused = np.array(
        [s + n for s, part in zip(starts, parts, strict=False) for n in part.refused], np.int64
    )
    for name, chosen in (("index", train), ("held", held)):
        kept = chosen[~np.isin(chosen, refused)]
        (kept - np.searchsorted(refused, kept)).astype("<i8").tofile(folder / f"train.{name}")
    return {"chosen": len(train) + len(held), "train": len(train), "held": len(held)}


def _facts(part: Part) -> dict[str, Any]:
    return {
        "name": part.name, "lines": part.lines, "read": part.read, "loaded": part.loaded,
        "valid": part.valid, "path": part.path, "checked": part.checked,
    }  # fmt: skip


def _estimate(asked: Asked, names: Sequence[str]) -> dict[str, Any] | None:
    """What a random thousand rows say of a large file; None where the exact answer is as near."""
    paths = [Path(_without_count(name)) for name in names]
    if len(paths) != 1 or not loading.is_plain(names[0], asked.columns) or not paths[0].is_file():
        return None
    size = paths[0].stat().st_size
    if size < WORTH:
        return None
    draws = []
    for number, (_, line) in enumerate(sampling.draw_rows(paths[0], DRAWS, 11)):
        if number % 50 == 0:
            asked.call.check()
        draws.append(Draw(len(line or b"") + 1, _drawn(asked, line)))
    return dict(to_dict(estimate(draws, size, asked.max_length)))


def _drawn(asked: Asked, line: bytes | None) -> int | None:
    """Tokens of a drawn row; None for one that ms-swift would lose."""
    row = _parsed(line)
    if row is None:
        return None
    roles = _roles(row)
    if asked.encoder and _ordinary(roles):
        contents = _contents(row)
        shape = asked.reference.shape(roles, asked.encoder)
        if (
            shape
            and shape.takes(contents)
            and not any(map(asked.reference.hazards, contents))
        ):
            return by_shape(shape, contents, asked.encoder)[0]
    try:
        prepared = loading.prepared(row, tuple(row))
        return asked.reference.encode(prepared)[0] if prepared else None
    except Exception:  # lost, for whatever reason; the exact pass will say which
        return None


def _preview(folder: Path, parts: Sequence[Part]) -> list[Any]:
    """The first conversations of the first datasets, long texts cut."""
    shown: list[Any] = []
    for part in parts:
        with Path(part.store).open("rb") as store:
            for line in itertools.islice(store, 2 * PREVIEW_ROWS):
                row = _parsed(line)
                if row and len(shown) < PREVIEW_ROWS and row.get("messages"):
                    shown.append(loading.messages_of(standard(row)))
    return shown


def _parsed(line: bytes | None) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line or b"")
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _roles(row: dict[str, Any]) -> tuple[str, ...]:
    return turns(row)[0]


def _contents(row: dict[str, Any]) -> list[str]:
    return turns(row)[1]


def _ordinary(roles: tuple[str, ...]) -> bool:
    """Turns of user and assistant, one after the other, the assistant's last."""
    rest = roles[1:] if roles[:1] == ("system",) else roles
    return bool(rest) and rest == ("user", "assistant") * (len(rest) // 2)


def _dumped(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    except TypeError:  # a lone surrogate, which JSON can hold and UTF-8 cannot
        return json.dumps(row, default=str).encode()


def _count(name: str) -> bool:
    return bool(re.search(r"#\d+$", name))


def _without_count(name: str) -> str:
    return re.sub(r"#\d+$", "", name)
