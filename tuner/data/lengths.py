"""The arithmetic of token lengths: what a max_length keeps, drops and cuts.

Pure but for reading the arrays that a report points at. Lengths are measured
once; moving ``max_length`` only counts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.rows import column, selected
from tuner.records import Kept, LengthStats

Array = NDArray[np.int32]


@dataclass(frozen=True)
class Lengths:
    """The lengths behind a report: all valid rows, those that train, those that validate."""

    rows: Array
    train: Array
    validation: Array
    trained: Array  #: of ``rows``: how many tokens count in the loss

    @classmethod
    def load(cls, of: str) -> Lengths:
        """The columns in a report's folder, memory-mapped. Raises ``OSError`` when they are gone."""
        folder = Path(of)
        rows: Array = column(folder, "train", "length")
        train = selected(folder, "train.index")
        trained: Array = column(folder, "train", "trained")
        chosen = rows if train is None else rows[train]
        return cls(rows, chosen, _checks(folder, rows), trained)

    def kept(self, max_length: int | None, strategy: str = "delete") -> Kept:
        """What ms-swift trains on with this ``max_length`` (None: no limit).

        ``delete`` drops rows that are longer, ``left`` and ``right`` cut them.
        A row that is exactly ``max_length`` long fits.
        """
        limit = _fits(max_length)
        over = self.rows > limit
        dropping = strategy == "delete"
        train = self.train[self.train <= limit] if dropping else np.minimum(self.train, limit)
        checks = self.validation[self.validation <= limit] if dropping else self.validation
        lost = self.rows[over].astype(np.int64)
        return Kept(
            rows=len(self.rows) - (int(over.sum()) if dropping else 0),
            over=int(over.sum()),
            tokens_lost=int(lost.sum() if dropping else (lost - limit).sum()),
            tokens=int(self.rows.sum(dtype=np.int64)),
            train_rows=len(train),
            train_tokens=int(train.sum(dtype=np.int64)),
            eval_rows=len(checks),
        )

    def answers_cut(self, max_length: int | None, strategy: str) -> int:
        """Valid rows that lose a part of an answer.

        ``right`` cuts the end, where a row's answer is. ``left`` cuts the beginning:
        an answer is touched for certain where its tokens alone are more than fit.
        """
        if strategy == "delete":
            return 0
        limit = _fits(max_length)
        longer = self.rows > limit
        return int((longer if strategy == "right" else longer & (self.trained > limit)).sum())


def _fits(limit: int | None) -> int:
    """A limit that an array can be compared with."""
    return np.iinfo(np.int32).max if limit is None else limit


def _checks(folder: Path, rows: Array) -> Array:
    """The lengths of the rows that validate: held out by a split, or from datasets of their own."""
    held, chosen = selected(folder, "train.held"), selected(folder, "eval.index")
    if held is not None and len(held):
        return rows[held]
    checks: Array = column(folder, "eval", "length")
    return checks if chosen is None else checks[chosen]


def stats(lengths: Array) -> LengthStats:
    """Minimum, mean, percentiles and maximum of at least one length.

    A percentile is a length that occurs (numpy's "lower"), not a mean of two.
    """
    cuts = np.percentile(lengths, [50, 90, 95, 99], method="lower")
    return LengthStats(
        min=int(lengths.min()), mean=round(float(lengths.mean()), 2), p50=int(cuts[0]),
        p90=int(cuts[1]), p95=int(cuts[2]), p99=int(cuts[3]), max=int(lengths.max()),
    )  # fmt: skip


def histogram(lengths: Array, bins: int = 60) -> tuple[list[float], list[int]]:
    """Edges (``bins`` + 1, whole numbers where they can be) and counts."""
    low, high = int(lengths.min()), int(lengths.max())
    width = max(1, -(-(high - low + 1) // bins))
    edges = np.arange(low, high + width + 1, width)
    counts, found = np.histogram(lengths, bins=edges)
    return [float(edge) for edge in found], [int(count) for count in counts]


def as_text(lengths: Any) -> str:
    """One integer a line."""
    return "".join(f"{length}\n" for length in lengths)
