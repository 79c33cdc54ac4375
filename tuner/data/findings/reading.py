"""The rows of a look, read once from the first to the last as their stores lie on the disk.

Rows are numbered through both sides: first those of the training datasets, in
the order of their positions, then those of the validation datasets. What a
split holds out counts as validation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from tuner.data.rows import Rows, standard
from tuner.errors import InputError, NotFoundError

#: Roles of rows. A row that ``#count`` left out neither trains nor validates.
UNUSED: Final = 0
TRAINS: Final = 1
VALIDATES: Final = 2
#: A batch ends after this many rows or characters: what is made of one batch is held in memory.
BATCH_ROWS: Final = 2_000
BATCH_CHARACTERS: Final = 1_000_000
#: Columns of a row that make it another row though its messages are the same.
_MEANT: Final = re.compile(
    r"tools|images?|videos?|audios?|objects|label|margin|(?:rejected|positive|negative)_.*"
)
_MEDIA: Final = re.compile(r"images?|videos?|audios?")
_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True)
class Item:
    """One row as the detectors see it."""

    number: int
    turns: tuple[tuple[str, str], ...]  #: role and text
    channel: str | None
    digest: int  #: equal for rows that teach the same, 64 bits
    media: bool  #: pictures or sound belong to it, which nobody here looks at

    @property
    def text(self) -> str:
        """Everything that is said in it."""
        return "\n".join([text for _, text in self.turns])

    @property
    def talk(self) -> str:
        """What is said in it, without the system prompt, which many rows share."""
        return "\n".join([text for role, text in self.turns if role != "system"])


@dataclass(frozen=True)
class Source:
    """Both sides of a look."""

    train: Rows
    validation: Rows
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Source:
        """The look in ``folder``. Raises ``OSError`` or ``ValueError`` when there is none."""
        return cls(Rows.open(folder, "train"), Rows.open(folder, "eval"), folder)

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)

    @cached_property
    def roles(self) -> NDArray[np.uint8]:
        """What each row is for: :data:`UNUSED`, :data:`TRAINS` or :data:`VALIDATES`."""
        roles = np.full(len(self), VALIDATES, np.uint8)
        index, held = (self.folder / name for name in ("train.index", "train.held"))
        roles[: len(self.train)] = UNUSED if index.exists() else TRAINS
        if index.exists():
            roles[np.fromfile(index, "<i8")] = TRAINS
        if held.exists():
            roles[np.fromfile(held, "<i8")] = VALIDATES
        if (chosen := self.folder / "eval.index").exists():
            roles[len(self.train) :] = UNUSED
            roles[len(self.train) + np.fromfile(chosen, "<i8")] = VALIDATES
        return roles

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each row."""
        return np.concatenate([self.train.length, self.validation.length])

    def where(self, number: int) -> tuple[str, int]:
        """The dataset of a row and its number in it, from 1."""
        rows, position = self._side(number)
        return rows.where(position)

    def item(self, number: int) -> Item:
        """One row. Raises what :meth:`batches` raises."""
        rows, position = self._side(number)
        part = int(rows.part[position])
        with _store(rows, part) as store:
            store.seek(int(rows.offset[position]))
            return _item(number, store.readline(), rows.stores[part])

    def batches(self) -> Iterator[list[Item]]:
        """Every row, in order, some at a time.

        Raises:
            NotFoundError: a store is gone.
            InputError: a store has changed since it was measured.
        """
        batch: list[Item] = []
        size = 0
        for item in self._items():
            batch.append(item)
            size += sum(len(text) for _, text in item.turns)
            if len(batch) == BATCH_ROWS or size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _side(self, number: int) -> tuple[Rows, int]:
        count = len(self.train)
        return (self.train, number) if number < count else (self.validation, number - count)

    def _items(self) -> Iterator[Item]:
        number = 0
        for rows in (self.train, self.validation):
            store: BinaryIO | None = None
            current, here = -1, 0
            try:
                for start in range(0, len(rows), _BLOCK):
                    block = slice(start, start + _BLOCK)
                    for part, offset in zip(
                        rows.part[block].tolist(), rows.offset[block].tolist(), strict=True
                    ):
                        if part != current or store is None:
                            if store is not None:
                                store.close()
                            store, current, here = _store(rows, part), part, 0
                        if offset != here:  # rows that were lost lie between
                            store.seek(offset)
                        line = store.readline()
                        here = offset + len(line)
                        yield _item(number, line, rows.stores[part])
                        number += 1
            finally:
                if store is not None:
                    store.close()


def _store(rows: Rows, part: int) -> BinaryIO:
    try:
        return Path(rows.stores[part]).open("rb", buffering=1 << 18)
    except OSError as error:
        raise NotFoundError("file.missing", file=rows.stores[part]) from error


def _item(number: int, line: bytes, store: str) -> Item:
    try:
        row = orjson.loads(line)
        messages = standard(row)["messages"]
        turns = tuple([(str(m.get("role")), _text(m.get("content"))) for m in messages])
    except (ValueError, AttributeError) as error:
        raise InputError("finding.changed", file=store) from error
    rest = [
        (key, row[key])
        for key in sorted(row)
        if _MEANT.fullmatch(key) and row[key] not in (None, "", [], {})
    ]
    channel = row.get("channel")
    known = hashlib.blake2b(orjson.dumps((turns, rest)), digest_size=8).digest()
    return Item(
        number,
        turns,
        None if channel is None else str(channel),
        int.from_bytes(known, "little"),
        any(_MEDIA.fullmatch(key) for key, _ in rest),
    )


def _text(content: Any) -> str:
    """A message's words; of a message in parts those of its text parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "\n".join([text for text in texts if isinstance(text, str)])
    return "" if content is None else orjson.dumps(content).decode()
