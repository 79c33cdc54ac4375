"""A cleaned dataset: the rows of a look that stay, and the list of those that went, with their reasons.

Both are new files, written whole or not at all; the files that hold the rows
are only read. A kept row is written with its messages in ms-swift's form and the
other columns that ms-swift keeps, so it trains to the same tokens. What ms-swift
loses has no such form: these rows are listed, and never kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from tuner.data.findings.flags import Flag, read_flags
from tuner.data.rows import FOUND, Rows, standard
from tuner.errors import InputError, NotFoundError, StorageError, TunerError
from tuner.files import read_json
from tuner.records import Sentence, from_dict, to_dict
from tuner.texts import LANGS

if TYPE_CHECKING:
    from tuner.workers.child import Call

#: Reasons that a search for faults leaves as flags of the rows.
FLAGGED: Final[Mapping[str, Flag]] = {
    "exact_duplicate": Flag.EXACT_DUPLICATE,
    "near_duplicate": Flag.NEAR_DUPLICATE,
    "leaked": Flag.LEAKED,
    "empty_answer": Flag.EMPTY_ANSWER,
    "one_word_answer": Flag.ONE_WORD_ANSWER,
    "placeholder": Flag.PLACEHOLDER,
    "secret": Flag.SECRET,
    "personal_data": Flag.PERSONAL_DATA,
}
#: Why a row can be removed, in the order in which it is told.
REASONS: Final = ("lost", "untrained", "over_long", *FLAGGED)
DEFAULT_DROP: Final = ("lost", "untrained", "exact_duplicate", "leaked", "empty_answer")
#: Columns that ms-swift keeps of a row beside its messages (``RowPreprocessor.standard_keys``).
BESIDE: Final = frozenset(
    {f"{side}{key}" for side in ("", "rejected_", "positive_", "negative_")
     for key in ("messages", "images", "videos", "audios", "tools", "objects")}
    | {"rejected_response", "label", "channel", "margin", "teacher_prompt", "teacher_images",
       "chat_template_kwargs", "ref_audios", "audio_codes", "questions", "kinds", "options",
       "target_probs", "state", "question_ids", "criteria", "omnijev_column_keys", "omnijev_video"}
) - {"messages"}  # fmt: skip
#: Characters of a removed row that the list shows.
SHOWN: Final = 300
#: How often progress is told, in rows, and how often a cancel is heard.
TOLD_EVERY: Final = 2_000
HEARD_EVERY: Final = 100
_BLOCK: Final = 4_096


@dataclass(frozen=True)
class Cleaned:
    """What a cleaning left. ``kept`` and ``removed`` are all rows that were read."""

    kept: int
    removed: int
    by_reason: Mapping[str, int]  #: rows; one with two reasons counts for both
    out: Path
    removed_list: Path


def clean(
    folder: Path,
    out: Path,
    drop: Collection[str],
    max_length: int | None,
    progress: Callable[[int, int], None],
    check: Callable[[], None],
) -> Cleaned:
    """Write the rows of the look in ``folder`` that stay to ``out``, the others' list beside it.

    ``drop`` names :data:`REASONS`. Lost rows go whether they are named or not;
    "over_long" needs ``max_length``. ``progress`` hears rows done and rows in
    all; what ``check`` raises ends the cleaning, and nothing is left of it.

    Raises:
        InputError: an unknown reason, no search for faults where one is needed, a file that is
            there already, a store that has changed, or no row would stay.
        NotFoundError: the look or a store is gone.
        StorageError: no room for the files, or no right to write them.
    """
    wanted = _known(drop)
    removed_list = out.with_name(f"{out.stem}.removed.jsonl")
    look = _Look.open(folder, wanted, max_length)
    for place in (out, removed_list):
        if os.path.lexists(place) or place.resolve() in look.sources:
            raise InputError("clean.would_overwrite", file=str(place))
    kept = removed = 0
    by_reason: Counter[str] = Counter()
    try:
        with _new_files(out, removed_list) as (rows, gone), _Stores(look.rows) as stores:
            for done, (part, number, position, reasons) in enumerate(look.walk()):
                if done % HEARD_EVERY == 0:
                    check()
                if done % TOLD_EVERY == 0:
                    progress(done, max(done, look.total))
                row = None if position is None else stores.row(part, position)
                if row is not None and not reasons:
                    rows.write(orjson.dumps(row) + b"\n")
                    kept += 1
                    continue
                gone.write(orjson.dumps(look.removal(part, number, position, reasons, row)) + b"\n")
                by_reason.update(reasons)
                removed += 1
            check()
            if not kept:
                raise InputError("clean.nothing_left", rows=removed)
            progress(kept + removed, kept + removed)
    except OSError as error:
        if isinstance(error, TunerError):
            raise
        raise StorageError(
            "disk.cannot_write", folder=str(out.parent), reason=error.strerror or str(error)
        ) from error
    met = {name: by_reason[name] for name in REASONS if by_reason[name]}
    return Cleaned(kept, removed, met, out, removed_list)


def serve(
    call: Call, folder: str, out: str, drop: list[str], max_length: int | None
) -> dict[str, Any]:
    """The verb ``clean``: :func:`clean` for another process. Progress tells ``done`` and ``total`` rows."""

    def progress(done: int, total: int) -> None:
        call.progress(stage="clean", done=done, total=total)

    cleaned = clean(Path(folder), Path(out), drop, max_length, progress, call.check)
    answer: dict[str, Any] = to_dict(cleaned)
    return answer


def _known(drop: Collection[str]) -> tuple[str, ...]:
    """The named reasons, in the order of :data:`REASONS`."""
    for name in drop:
        if name not in REASONS:
            raise InputError("clean.unknown", name=name, known=", ".join(REASONS))
    return tuple(name for name in REASONS if name in drop)


@dataclass(frozen=True)
class _Look:
    """The training side of a look, and what is asked of its rows."""

    rows: Rows
    read: Sequence[int]  #: rows that each dataset has, lost ones too
    problems: Mapping[tuple[int, int], Mapping[str, Any]]  #: lost rows by dataset and number
    sources: frozenset[Path]  #: files that hold the rows
    wanted: tuple[str, ...]
    max_length: int | None
    flags: NDArray[np.uint16] | None

    @classmethod
    def open(cls, folder: Path, wanted: tuple[str, ...], max_length: int | None) -> Self:
        try:
            rows = Rows.open(folder, "train")
            found = read_json(folder / FOUND)
            problems = _problems(folder)
        except (OSError, ValueError, KeyError) as error:
            raise NotFoundError("clean.no_look") from error
        facts = found.get("parts", {}).get("train", ())
        read = [int(part["read"]) for part in facts] or [0] * len(rows.stores)
        for part, number in problems:
            read[part] = max(read[part], number)
        stores = [store for side in found["stores"].values() for store in side]
        names = [re.sub(r"#\d+$", "", store["name"]) for store in stores]
        sources = {Path(name).resolve() for name in (*names, *(store["path"] for store in stores))}
        return cls(
            rows, read, problems, frozenset(sources), wanted, max_length,
            _flags(folder, len(rows), wanted),
        )  # fmt: skip

    @property
    def total(self) -> int:
        """Rows in all."""
        return max(sum(self.read), len(self.rows))

    def walk(self) -> Iterator[tuple[int, int, int | None, tuple[str, ...]]]:
        """Every row that was read: dataset, number in it, position (None: lost), reasons to go.

        A row is lost when no column has it. The list of problems tells why, but
        it ends at some length.
        """
        part, following = 0, 1
        for start in range(0, len(self.rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            parts, numbers = self.rows.part[block].tolist(), self.rows.row[block].tolist()
            bits = self._bits(block).tolist()
            for place, (of, number, found) in enumerate(zip(parts, numbers, bits, strict=True)):
                while part < of:
                    yield from self._lost(part, following, self.read[part] + 1)
                    part, following = part + 1, 1
                yield from self._lost(part, following, number)
                yield part, number, start + place, _names(found)
                following = max(following, number + 1)
        for rest in range(part, len(self.read)):
            yield from self._lost(rest, following, self.read[rest] + 1)
            following = 1

    @staticmethod
    def _lost(
        part: int, first: int, end: int
    ) -> Iterator[tuple[int, int, int | None, tuple[str, ...]]]:
        for number in range(first, end):
            yield part, number, None, ("lost",)

    def _bits(self, block: slice) -> NDArray[np.uint32]:
        """For each row of a block one bit a reason, in the order of :data:`REASONS`."""
        bits = np.zeros(len(self.rows.length[block]), np.uint32)
        for name in self.wanted:
            if name == "untrained":
                concerned = self.rows.trained[block] == 0
            elif name == "over_long" and self.max_length is not None:
                concerned = self.rows.length[block] > self.max_length
            elif name in FLAGGED and self.flags is not None:
                concerned = (self.flags[block] & FLAGGED[name]) != 0
            else:
                continue
            bits[concerned] |= np.uint32(1 << REASONS.index(name))
        return bits

    def removal(
        self, part: int, number: int, position: int | None, reasons: Sequence[str],
        row: Mapping[str, Any] | None,
    ) -> dict[str, Any]:  # fmt: skip
        """A line of the list of removed rows; secrets and personal data in its text are masked."""
        from tuner.data.findings.secrets import masked  # only a row that goes needs its tables

        problem = self.problems.get((part, number), {}) if row is None else {}
        text = problem.get("text", "") if row is None else _said(row)
        why = [self._why(name, position, problem) for name in reasons]
        return {
            "data": self.rows.names[part],
            "row": number,
            "reasons": reasons,
            "why": {
                lang: (" " if lang == "en" else "").join(sentence.say(lang) for sentence in why)
                for lang in LANGS
            },
            # Masked as a whole, then cut: half a key would not be known as one.
            "text": masked(text)[:SHOWN],
        }

    def _why(self, name: str, position: int | None, problem: Mapping[str, Any]) -> Sentence:
        if name == "lost" and problem:
            return Sentence("clean.why_lost", {"reason": from_dict(Sentence, problem["reason"])})
        if name == "over_long" and position is not None:
            length = int(self.rows.length[position])
            return Sentence(
                "clean.why_over_long", {"length": length, "max_length": self.max_length}
            )
        return Sentence(f"clean.reason.{name}")


def _flags(folder: Path, count: int, wanted: Sequence[str]) -> NDArray[np.uint16] | None:
    """The rows' flags, where a reason needs them."""
    names = [name for name in wanted if name in FLAGGED]
    if not names:
        return None
    try:
        flags = read_flags(folder)
    except OSError:
        flags = None
    if flags is None or len(flags) != count:
        raise InputError("clean.no_findings", names=", ".join(names))
    return flags


def _problems(folder: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """The lost rows of the training side that a look has kept, by dataset and number."""
    path = folder / "problems.jsonl"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as source:
        lines = [json.loads(line) for line in source]
    return {(line["part"], line["row"]): line for line in lines if line["side"] == "train"}


@cache
def _names(bits: int) -> tuple[str, ...]:
    return tuple(name for place, name in enumerate(REASONS) if bits >> place & 1)


def _conversation(row: Any) -> dict[str, Any]:
    """A row of a store as it is written. Raises ``ValueError`` or ``AttributeError`` for anything else."""
    whole = standard(row)
    if not all(isinstance(message, dict) for message in whole["messages"]):
        raise ValueError("no messages")
    return whole | {key: row[key] for key in row if key in BESIDE and row[key] is not None}


def _said(row: Mapping[str, Any]) -> str:
    """What is said in a conversation, without the system prompt, which many rows share."""
    contents = [m.get("content") for m in row["messages"] if m.get("role") != "system"]
    return "\n".join(
        content if isinstance(content, str) else orjson.dumps(content).decode()
        for content in contents
        if content is not None
    )


class _Stores:
    """Reads rows from the stores of a look, from the first byte to the last. Use as a context."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._part, self._here = -1, 0
        self._store: BinaryIO | None = None
        self._before: tuple[int, int] = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._close(certain=kind is None)

    def row(self, part: int, position: int) -> dict[str, Any]:
        """The conversation of a row, with the other columns that ms-swift keeps."""
        name = self._rows.stores[part]
        try:
            if part != self._part or self._store is None:
                self._close(certain=True)
                self._store = _opened(name)
                self._part, self._here, self._before = part, 0, self._state()
            line = self._line(int(self._rows.offset[position]))
        except FileNotFoundError as error:
            raise NotFoundError("file.missing", file=name) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError("file.unreadable", file=name, reason=reason) from error
        try:
            return _conversation(orjson.loads(line))
        except (ValueError, AttributeError) as error:
            raise InputError("clean.changed", file=name) from error

    def _line(self, offset: int) -> bytes:
        assert self._store
        before = b"\n"
        if offset != self._here:  # rows that were lost lie between
            self._store.seek(max(0, offset - 1))
            before = self._store.read(1) if offset else b"\n"
        line = self._store.readline()
        self._here = offset + len(line)
        # A line that begins elsewhere than it did belongs to another file.
        return line if before == b"\n" else b""

    def _state(self) -> tuple[int, int]:
        assert self._store
        state = os.fstat(self._store.fileno())
        return state.st_size, state.st_mtime_ns

    def _close(self, certain: bool) -> None:
        """Close the store. Raises where it changed while it was read, if ``certain`` matters."""
        if self._store is None:
            return
        changed = self._state() != self._before
        self._store.close()
        self._store = None
        if certain and changed:
            raise InputError("clean.changed", file=self._rows.stores[self._part])


def _opened(store: str) -> BinaryIO:
    return Path(store).open("rb", buffering=1 << 18)


@contextlib.contextmanager
def _new_files(*places: Path) -> Iterator[list[BinaryIO]]:
    """Files that appear in their places together, once all is written. Nothing stays of a failure."""
    drafts = [place.with_name(f".{uuid.uuid4().hex}.part") for place in places]
    moved: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(draft.open("xb")) for draft in drafts]
        for draft, place in zip(drafts, places, strict=True):
            _move(draft, place)
            moved.append(place)
    except BaseException:
        for place in moved:
            place.unlink(missing_ok=True)
        raise
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def _move(draft: Path, place: Path) -> None:
    """Give a file its name, unless another file has got it in the meantime."""
    try:
        os.link(draft, place)
    except FileExistsError as error:
        raise InputError("clean.would_overwrite", file=str(place)) from error
    except OSError as error:  # a disk that has no links
        if os.path.lexists(place):
            raise InputError("clean.would_overwrite", file=str(place)) from error
        os.rename(draft, place)
