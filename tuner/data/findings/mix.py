"""Whether what trains and what validates are of one kind, and which rows are far from the others.

A difference is told when it is large enough to matter and too large to be
chance: two small sets differ by chance alone, and two huge ones always differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: A difference is chance unless it would come by chance less often than this.
CHANCE: Final = 0.001
#: The least difference that matters: the share of rows that would have to change sides.
MATTERS: Final = 0.15
DRAWS: Final = 4_000
#: A length is an outlier from this many times the spread (of logarithms), and this many times p99.
FAR: Final = 5.0
FAR_BEYOND_P99: Final = 2.0
FEWEST_LENGTHS: Final = 50
#: Channels are unbalanced when the largest has this many times the rows of the smallest.
UNBALANCED: Final = 20
#: Rows of one side whose lengths are compared; more would not change the answer.
_MOST_LENGTHS: Final = 200_000


def differs(train: NDArray[np.int64], validation: NDArray[np.int64]) -> bool:
    """Whether two counts over the same kinds come from different mixes.

    The effect is the share of rows of another kind. Its chance is that of drawing
    the validation rows from all rows together, which holds for small sets too.
    """
    if not train.sum() or not validation.sum() or _apart(train, validation) < MATTERS:
        return False
    whole = train + validation
    # Exact up to a million rows; what lies beyond is scaled, which changes nothing that can be seen.
    scale = max(1.0, whole.sum() / 1e6)
    whole = np.ceil(whole / scale).astype(np.int64)
    size = min(max(1, round(validation.sum() / scale)), int(whole.sum()) - 1)
    drawn = np.random.default_rng(0).multivariate_hypergeometric(whole, size, DRAWS)
    by_chance = np.abs(drawn / size - (whole - drawn) / (whole.sum() - size)).sum(1) / 2
    found = _apart(train, validation)
    return float((1 + (by_chance >= found - 1e-12).sum()) / (1 + DRAWS)) < CHANCE


def _apart(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


@dataclass(frozen=True)
class Lengths:
    """Half of the rows of each side are at most as long as this (tokens)."""

    train: int
    validation: int


def lengths_differ(train: NDArray[np.int32], validation: NDArray[np.int32]) -> Lengths | None:
    """Whether the lengths of both sides come from different mixes (Kolmogorov and Smirnov)."""
    a, b = (_sorted(values) for values in (train, validation))
    if not a.size or not b.size:
        return None
    both = np.concatenate([a, b])
    distance = np.abs(
        np.searchsorted(a, both, "right") / a.size - np.searchsorted(b, both, "right") / b.size
    ).max()
    rows = a.size * b.size / (a.size + b.size)
    chance = 2 * np.exp(-2 * rows * distance**2)
    if distance < MATTERS or chance >= CHANCE:
        return None
    return Lengths(int(np.median(a)), int(np.median(b)))


def _sorted(values: NDArray[np.int32]) -> NDArray[np.int32]:
    if len(values) > _MOST_LENGTHS:
        values = np.random.default_rng(0).choice(values, _MOST_LENGTHS, replace=False)
    return np.sort(values)


@dataclass(frozen=True)
class Far:
    """Rows far longer than the others."""

    rows: NDArray[np.int64]  #: their places, the longest first
    longest: int
    median: int


def outliers(lengths: NDArray[np.int32]) -> Far | None:
    """The rows that are far longer than the others; few rows say too little."""
    if len(lengths) < FEWEST_LENGTHS:
        return None
    logs = np.log(np.maximum(lengths, 1))
    middle = np.median(logs)
    spread = max(0.15, 1.4826 * float(np.median(np.abs(logs - middle))))
    border = max(np.exp(middle + FAR * spread), FAR_BEYOND_P99 * np.percentile(lengths, 99))
    rows = np.flatnonzero(lengths > border)
    if not rows.size:
        return None
    rows = rows[np.argsort(-lengths[rows], kind="stable")]
    return Far(rows, int(lengths.max()), int(np.median(lengths)))


@dataclass(frozen=True)
class Channels:
    """The channel with fewest rows and that with most."""

    least: str
    fewest: int
    largest: str
    most: int


def unbalanced(channels: Mapping[str, int]) -> Channels | None:
    """Whether some channel has next to nothing of the rows."""
    if len(channels) < 2:
        return None
    least = min(channels, key=lambda name: channels[name])
    largest = max(channels, key=lambda name: channels[name])
    if channels[largest] < UNBALANCED * channels[least]:
        return None
    return Channels(least, channels[least], largest, channels[largest])
