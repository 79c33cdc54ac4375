"""Shingles of texts: short pieces that overlap, whose shared part says how alike two texts are.

A shingle is eight bytes of UTF-8 that begin where a character begins: eight
Latin letters, or three Chinese characters (the third but for the last six bits
of its number). So one rule serves both, and a shingle is a number as it stands.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 8
#: Longer texts are compared by their beginnings (bytes).
LONGEST: Final = 1 << 18
#: A shingle in this share of the rows, and in this many, is what all rows share.
COMMON_SHARE: Final = 0.1
COMMON_LEAST: Final = 20


def normal(text: str) -> bytes:
    """A text without what makes no difference: case, and how much space lies between words."""
    return " ".join(text.casefold().split()).encode("utf-8", "replace")[:LONGEST]


@dataclass(frozen=True)
class Shingles:
    """Shingles of many texts, one after the other; those of text ``i`` end at ``ends[i]``."""

    values: NDArray[np.uint64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Shingles:
        """The shingles of normal texts."""
        gap = bytes(WIDTH)
        raw = np.frombuffer(gap.join([*texts, b""]), np.uint8)
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        if not raw.size:
            return cls(np.empty(0, np.uint64), np.zeros(len(texts), np.int64))
        # Eight bytes at every place, read as one number each.
        pieces = np.lib.stride_tricks.sliding_window_view(raw, WIDTH)
        values = np.ascontiguousarray(pieces).view("<u8").ravel()
        starts = np.cumsum(sizes + WIDTH) - (sizes + WIDTH)
        inside = np.zeros(len(values) + 1, np.int8)  # 1 where a whole shingle begins, else 0
        whole = sizes >= WIDTH
        inside[starts[whole]] = 1
        inside[(starts + sizes - WIDTH + 1)[whole]] -= 1
        np.cumsum(inside, out=inside)
        places = np.flatnonzero((inside[:-1] == 1) & ((raw[: len(values)] & 0xC0) != 0x80))
        return cls(values[places], np.searchsorted(places, starts + sizes))

    def without(self, common: NDArray[np.uint64]) -> Shingles:
        """Without those in ``common``, which is sorted."""
        if not common.size or not self.values.size:
            return self
        near = np.minimum(np.searchsorted(common, self.values), len(common) - 1)
        own = common[near] != self.values
        before = np.concatenate([[0], np.cumsum(own)])
        return Shingles(self.values[own], before[self.ends])

    def sets(self) -> list[NDArray[np.uint64]]:
        """Each text's shingles, sorted, each once."""
        starts = [0, *self.ends.tolist()]
        return [np.unique(self.values[a:b]) for a, b in itertools.pairwise(starts)]


def common(texts: Sequence[bytes]) -> NDArray[np.uint64]:
    """The shingles that a large part of the texts share: instructions, forms, polite words.

    Rows that share an instruction and little else are not copies of each other.
    """
    least = max(COMMON_LEAST, COMMON_SHARE * len(texts))
    if len(texts) < least:
        return np.empty(0, np.uint64)
    values, counts = np.unique(np.concatenate(Shingles.of(texts).sets()), return_counts=True)
    return values[counts >= least]


def jaccard(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    """The share of the shingles of two sets that are in both."""
    if not a.size or not b.size:
        return 0.0
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)
