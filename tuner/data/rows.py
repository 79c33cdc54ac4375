"""The rows behind a report: their lengths on disk, memory-mapped, and their texts by position.

A look leaves one folder. For each side of it ("train", "eval") there is one
flat file a column, little-endian, one value a valid row, in file order; the
texts stay where they are, in JSON Lines files that ``stores`` names. Nothing
here is read before it is asked for, so a look at a billion rows opens at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from tuner.files import read_json

Side = Literal["train", "eval"]
#: Column -> type on disk. ``row`` counts from 1 in the source, ``offset`` is in bytes in its store,
#: ``part`` says which of the side's datasets a row is from.
COLUMNS: Final = {"length": "<i4", "trained": "<i4", "offset": "<i8", "row": "<i8", "part": "<i2"}
#: Written last in a look's folder: it says that everything else is whole.
FOUND: Final = "found.json"


@dataclass(frozen=True)
class Rows:
    """One side of a look. Positions count from 0 over its valid rows."""

    stores: tuple[str, ...]  #: JSON Lines files, one a part
    names: tuple[str, ...]  #: what the user calls them, one a part
    length: NDArray[np.int32]  #: tokens, before max_length
    trained: NDArray[np.int32]  #: of those, how many count in the loss
    offset: NDArray[np.int64]
    row: NDArray[np.int64]
    part: NDArray[np.int16]

    @classmethod
    def open(cls, folder: Path, side: Side) -> Rows:
        """The columns that a look left. Raises ``OSError`` or ``ValueError`` when they are gone."""
        found = read_json(folder / FOUND)
        stores = found["stores"][side]
        return cls(
            tuple(store["path"] for store in stores),
            tuple(store["name"] for store in stores),
            *(column(folder, side, name) for name in COLUMNS),
        )

    def __len__(self) -> int:
        return len(self.length)

    def conversation(self, position: int) -> dict[str, Any]:
        """The row as ms-swift's preprocessors leave it: ``messages``, and ``tools``, ``channel`` if any.

        Raises:
            OSError: the file that holds it is gone.
            ValueError: it has changed since it was measured.
        """
        with Path(self.stores[self.part[position]]).open("rb") as store:
            store.seek(int(self.offset[position]))
            return standard(orjson.loads(store.readline()))

    def where(self, position: int) -> tuple[str, int]:
        """The dataset and the number of the row in it, from 1."""
        return self.names[self.part[position]], int(self.row[position])


def standard(row: Any) -> dict[str, Any]:
    """A plain row's messages with its ``system`` column put first, as ms-swift does.

    Raises ``ValueError`` for what is no conversation.
    """
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        raise ValueError("no messages")
    turns: list[Any] = list(messages)
    system = row.get("system")
    if isinstance(system, str) and turns and turns[0].get("role") != "system":
        turns.insert(0, {"role": "system", "content": system})
    rest = {key: row[key] for key in ("tools", "channel") if row.get(key) is not None}
    return {"messages": turns} | rest


def column(folder: Path, side: Side, name: str) -> NDArray[Any]:
    """One column of a look, memory-mapped; empty when the side has no rows."""
    path = folder / f"{side}.{name}"
    kind = np.dtype(COLUMNS[name])
    if path.stat().st_size == 0:
        return np.empty(0, kind)
    return np.memmap(path, kind, "r")


Selection = Literal["train.index", "train.held", "eval.index"]


def selected(folder: Path, which: Selection) -> NDArray[np.int64] | None:
    """Positions of the rows that train, that a split holds out, or that validate; None: all, or none held."""
    path = folder / which
    return np.fromfile(path, "<i8") if path.is_file() else None


class Columns:
    """Writes one side's columns, appending; readable once closed."""

    def __init__(self, folder: Path, side: Side) -> None:
        self._sinks = {name: (folder / f"{side}.{name}").open("wb") for name in COLUMNS}

    def append(self, **values: Sequence[int] | NDArray[Any]) -> None:
        """Equally many values for each column."""
        for name, sink in self._sinks.items():
            sink.write(np.asarray(values[name], dtype=COLUMNS[name]).tobytes())

    def mark(self) -> dict[str, int]:
        """How long each column is now."""
        return {name: sink.tell() for name, sink in self._sinks.items()}

    def rollback(self, mark: Mapping[str, int]) -> None:
        """Forget what was appended since the mark."""
        for name, sink in self._sinks.items():
            sink.seek(mark[name])
            sink.truncate()

    def close(self) -> None:
        """Flush everything. Raises ``OSError`` when the disk is full."""
        for sink in self._sinks.values():
            sink.close()
