"""The arithmetic of token lengths: what a max_length keeps, drops and cuts.

Pure but for reading the arrays that a report points at. Lengths are measured
once; moving ``max_length`` only counts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.data.rows import column, selected
from tuner.records import Kept, LengthStats

Array = NDArray[np.int32]
#: Lengths that are counted at a time.
PART: Final = 4_000_000


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
        dropping = strategy == "delete"
        fit, fit_tokens = self.of_rows.within(limit)
        train, train_tokens = self.of_train.within(limit)
        over = len(self.rows) - fit
        longer = len(self.train) - train
        lost = self.of_rows.tokens - fit_tokens
        return Kept(
            rows=fit if dropping else len(self.rows),
            over=over,
            tokens_lost=lost if dropping else lost - over * limit,
            tokens=self.of_rows.tokens,
            train_rows=train if dropping else len(self.train),
            train_tokens=train_tokens if dropping else train_tokens + longer * limit,
            eval_rows=self.of_validation.within(limit)[0] if dropping else len(self.validation),
        )

    def answers_cut(self, max_length: int | None, strategy: str) -> int:
        """Valid rows that lose a part of an answer.

        ``right`` cuts the end, where a row's answer is. ``left`` cuts the beginning:
        an answer is touched for certain where its tokens alone are more than fit.
        """
        if strategy == "delete":
            return 0
        found = self.of_rows if strategy == "right" else self.of_trained
        return len(self.rows) - found.within(_fits(max_length))[0]

    @cached_property
    def of_rows(self) -> Distribution:
        """How long the valid rows are."""
        return Distribution.of(self.rows)

    @cached_property
    def of_train(self) -> Distribution:
        """How long the training rows are."""
        return self.of_rows if self.train is self.rows else Distribution.of(self.train)

    @cached_property
    def of_validation(self) -> Distribution:
        """How long the validation rows are."""
        return Distribution.of(self.validation)

    @cached_property
    def of_trained(self) -> Distribution:
        """How many tokens of each valid row count in the loss."""
        return Distribution.of(self.trained)


@dataclass(frozen=True)
class Distribution:
    """Lengths counted once, so that each ``max_length`` is answered at once at any number of rows."""

    values: NDArray[np.int64]  #: the lengths that occur, ascending
    rows: NDArray[np.int64]  #: rows of at most each length
    summed: NDArray[np.int64]  #: tokens in them

    @classmethod
    def of(cls, lengths: Array) -> Distribution:
        """Count an array, a part of it at a time: it may be larger than memory."""
        values, counts = np.empty(0, np.int64), np.empty(0, np.int64)
        for start in range(0, len(lengths), PART):
            found, times = np.unique(lengths[start : start + PART], return_counts=True)
            values, place = np.unique(np.concatenate([values, found]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, times]), len(values))
        counts = counts.astype(np.int64)
        return cls(values, counts.cumsum(), (counts * values).cumsum())

    @property
    def tokens(self) -> int:
        """In all rows."""
        return int(self.summed[-1]) if len(self.summed) else 0

    def within(self, limit: int) -> tuple[int, int]:
        """Rows that are no longer than ``limit``, and their tokens."""
        place = int(np.searchsorted(self.values, limit, "right"))
        return (int(self.rows[place - 1]), int(self.summed[place - 1])) if place else (0, 0)

    def stats(self) -> LengthStats:
        """Minimum, mean, percentiles and maximum of at least one length.

        A percentile is a length that occurs (numpy's "lower"), not a mean of two.
        """
        total = int(self.rows[-1])
        ranks = [int(share * (total - 1)) for share in (0.5, 0.9, 0.95, 0.99)]
        p50, p90, p95, p99 = (
            int(cut) for cut in self.values[np.searchsorted(self.rows, ranks, "right")]
        )
        return LengthStats(
            min=int(self.values[0]), mean=round(self.tokens / total, 2), p50=p50, p90=p90, p95=p95,
            p99=p99, max=int(self.values[-1]),
        )  # fmt: skip


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
    """The statistics of at least one length, see :meth:`Distribution.stats`."""
    return Distribution.of(lengths).stats()


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
