"""ms-swift's ``logging.jsonl``: lines to :class:`tuner.records.Event`, read as they come.

The log is read by byte offset; an unfinished last line is kept for the next
look. ms-swift 4 has been seen to write numbers as text, and NaN as NaN: both
are taken. Zero is a value. A line that is no log row gives nothing.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tuner.records import Event

_STEP: Final = re.compile(r"(\d{1,15})/(\d{1,15})", re.ASCII)
_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse(line: str) -> Event | None:
    """The event of one line; None for the run's summary rows and for anything unreadable."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not ("loss" in row or "eval_loss" in row):
        return None
    step = _STEP.fullmatch(str(row.get("global_step/max_steps", "")))
    if step is None:
        return None
    return Event(
        step=int(step[1]),
        max_steps=int(step[2]),
        epoch=_number(row.get("epoch")),
        loss=_number(row.get("loss")),
        eval_loss=_number(row.get("eval_loss")),
        grad_norm=_number(row.get("grad_norm")),
        learning_rate=_number(row.get("learning_rate")),
        token_acc=_number(row.get("token_acc")),
        eval_token_acc=_number(row.get("eval_token_acc")),
        seconds_per_step=_number(row.get("train_speed(s/it)")),
        elapsed=_seconds(row.get("elapsed_time")),
        memory_gib=_number(row.get("memory(GiB)")),
    )


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool | list | dict):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _seconds(value: Any) -> float | None:
    """Seconds from a text such as "1h 2m 3s"."""
    parts = re.findall(r"(\d{1,9})([dhms])", str(value or ""), re.ASCII)
    return float(sum(int(n) * _UNITS[unit] for n, unit in parts)) if parts else None


@dataclass
class Tail:
    """A file read from where the last look ended. ``lines`` are whole lines only."""

    path: Path
    offset: int = 0
    rest: bytes = field(default=b"", repr=False)

    def lines(self) -> list[str]:
        """What came since the last look; none when the file is not there (yet)."""
        try:
            with self.path.open("rb") as source:
                source.seek(self.offset)
                data = source.read()
        except OSError:
            return []
        self.offset += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in whole]


@dataclass
class Curve:
    """The events of one run's log, growing."""

    tail: Tail
    events: list[Event] = field(default_factory=list)

    def refresh(self) -> bool:
        """Read on; whether anything came."""
        fresh = [event for line in self.tail.lines() if (event := parse(line))]
        self.events += fresh
        return bool(fresh)

    @property
    def step(self) -> int:
        """The last logged step; 0 before the first."""
        return self.events[-1].step if self.events else 0

    @property
    def max_steps(self) -> int | None:
        """How many steps the trainer means to make; None before it said so."""
        return self.events[-1].max_steps if self.events else None

    @property
    def best_eval_loss(self) -> float | None:
        """The lowest finite eval loss so far."""
        losses = [e.eval_loss for e in self.events if e.eval_loss is not None]
        return min((loss for loss in losses if math.isfinite(loss)), default=None)
