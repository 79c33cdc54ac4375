"""What one open page knows: the records of its cells, and what each cell last said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tuner.records import DataFinding, DatasetRef, DatasetReport, ModelInfo, Plan, Sentence

Cell = Literal["demo", "model", "data", "plan", "train", "try"]


@dataclass(frozen=True)
class Note:
    """The last word of a cell. ``share`` is how much is done, None if unknown."""

    kind: Literal["busy", "ok", "error"]
    sentence: Sentence
    share: float | None = None


@dataclass(frozen=True, eq=False)
class Notebook:
    """Frozen; edited by replacement. Each version is its own (gradio asks for a hash)."""

    model: ModelInfo | None = None
    data: DatasetRef | None = None
    report: DatasetReport | None = None
    findings: tuple[DataFinding, ...] | None = None  #: None: not looked for yet
    cleaned: tuple[str, ...] = ()  #: the cleaned copy and the list of what was removed
    plan: Plan | None = None
    system: str | None = None  #: the system prompt that the lengths were measured with
    values: Mapping[str, Any] = field(default_factory=dict)  #: what the plan's form holds
    max_length: int = 2048
    strategy: str = "delete"
    run: str | None = None
    notes: Mapping[Cell, Note] = field(default_factory=dict)

    def replace(self, **changes: Any) -> Notebook:
        """The same with some fields changed."""
        return dataclasses.replace(self, **changes)

    def noted(self, cell: Cell, note: Note | None) -> Notebook:
        """The same with the cell's last word replaced (None: taken away)."""
        notes = {name: kept for name, kept in self.notes.items() if name != cell}
        if note is not None:
            notes[cell] = note
        return dataclasses.replace(self, notes=notes)
