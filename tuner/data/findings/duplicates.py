"""Rows that say the same, or nearly the same.

Rows that are equal have equal digests. For those that are nearly equal, MinHash
sketches (rensa) name rows that may be alike; whether they are is then read from
the rows themselves, so that no pair is reported that is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuner.data.findings.shingles import Shingles, jaccard

#: Two rows are nearly equal when they share this part of their shingles.
ALIKE: Final = 0.8
#: Rows with fewer shingles than this are too short to be nearly equal: "2 + 3" is not "2 + 4".
LEAST_SHINGLES: Final = 20
#: Rows that share a band of their sketches are looked at. With these numbers of bands and of
#: values in each, 99 % of the pairs that share 0.8 of their shingles are, and 1 % at 0.3.
BANDS: Final = 16
BAND_WIDTH: Final = 6
SEED: Final = 20_240
#: Rows that are looked at for one row, those first that share most bands with it.
MOST_LOOKED_AT: Final = 8
#: Shingles kept in memory for rows that are looked at again.
_KEPT_SHINGLES: Final = 2_000_000


@dataclass(frozen=True)
class Copies:
    """Groups of equal rows. Arrays run over the rows that were compared."""

    numbers: NDArray[np.int64]
    first: NDArray[np.int64]  #: the row of the same group that should stay; itself if it is that

    @property
    def extra(self) -> NDArray[np.int64]:
        """The rows that are a copy of another one that stays."""
        extra: NDArray[np.int64] = self.numbers[self.numbers != self.first]
        return extra

    def pairs(self, most: int) -> list[tuple[int, int]]:
        """Some pairs of the row that stays and a copy of it."""
        places = np.flatnonzero(self.numbers != self.first)[:most]
        return list(zip(self.first[places].tolist(), self.numbers[places].tolist(), strict=True))


def copies(
    numbers: NDArray[np.int64], digests: NDArray[np.uint64], keep: NDArray[np.bool_]
) -> Copies:
    """Which rows are equal. In each group a row that is to ``keep`` stays before others."""
    order = np.lexsort((numbers, ~keep, digests))
    ordered = digests[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(order) else order == 0
    first = np.empty(len(numbers), np.int64)
    first[order] = numbers[order][np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return Copies(numbers, first)


@dataclass
class Sketches:
    """MinHash sketches of rows, of which only the bands are kept: 64 bytes a row."""

    _numbers: list[NDArray[np.int64]] = field(default_factory=list)
    _bands: list[NDArray[np.uint32]] = field(default_factory=list)

    def add(self, numbers: NDArray[np.int64], shingles: Shingles) -> None:
        """The rows ``numbers``, whose shingles these are; the short ones are left out."""
        import rensa  # only a process that looks for copies needs it

        sizes = np.diff(shingles.ends, prepend=0)
        # The shingles are text as it stands; a hash spreads them over all 64 bits.
        values = shingles.values * np.uint64(0x9E3779B97F4A7C15)
        values ^= values >> np.uint64(29)
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            values, np.concatenate([[0], shingles.ends]).astype(np.uint64), BANDS * BAND_WIDTH, SEED
        )
        long = sizes >= LEAST_SHINGLES
        sketch = np.array(matrix.to_rows(), np.uint64)[long].reshape(-1, BANDS, BAND_WIDTH)
        bands = np.zeros(sketch.shape[:2], np.uint64)
        for place in range(BAND_WIDTH):
            bands = (bands ^ sketch[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
            bands ^= bands >> np.uint64(32)
        self._numbers.append(numbers[long])
        self._bands.append(bands.astype(np.uint32))

    def take(self) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """The rows and their bands; the sketches are empty afterwards."""
        numbers = np.concatenate([np.empty(0, np.int64), *self._numbers])
        bands = np.concatenate([np.empty((0, BANDS), np.uint32), *self._bands])
        self._numbers.clear()
        self._bands.clear()
        return numbers, bands


@dataclass(frozen=True)
class Buckets:
    """Rows that share a band with another one. A bucket holds the rows that share one band.

    Rows have ranks here: their order in :attr:`numbers`.
    """

    numbers: NDArray[np.int64]
    _which: NDArray[np.int32]  #: rows x bands: the bucket; -1 where no other row shares the band
    _order: list[NDArray[np.int32]]  #: for each band the ranks, bucket after bucket
    _begins: list[NDArray[np.int32]]  #: for each band where its buckets begin in that

    @classmethod
    def of(cls, numbers: NDArray[np.int64], bands: NDArray[np.uint32]) -> Buckets:
        """The buckets of these rows, which come in the order of their ranks."""
        shared = np.zeros(bands.shape, np.bool_)
        for band, values in enumerate(bands.T):
            order = np.argsort(values, kind="stable")
            same = np.diff(values[order]) == 0
            shared[order[1:][same], band] = True
            shared[order[:-1][same], band] = True
        some = shared.any(1)
        numbers, bands, shared = numbers[some], bands[some], shared[some]
        which = np.full(bands.shape, -1, np.int32)
        orders: list[NDArray[np.int32]] = []
        begins: list[NDArray[np.int32]] = []
        for band, values in enumerate(bands.T):
            ranks = np.argsort(values, kind="stable").astype(np.int32)
            new = np.flatnonzero(np.diff(values[ranks], prepend=values[ranks[:1]] + 1))
            begin = np.append(new, len(ranks)).astype(np.int32)
            which[ranks, band] = np.repeat(np.arange(len(new)), np.diff(begin))
            begins.append(begin)
            orders.append(ranks)
        which[~shared] = -1
        return cls(numbers, which, orders, begins)

    def mates(self, rank: int) -> Iterator[NDArray[np.int32]]:
        """The ranks that share a band with this one, bucket by bucket, itself among them."""
        for band, bucket in enumerate(self._which[rank].tolist()):
            if bucket >= 0:
                start, end = self._begins[band][bucket : bucket + 2].tolist()
                yield self._order[band][start:end]


class Alike:
    """Says whether two rows are nearly equal, by what stands in them."""

    def __init__(self, shingles: Callable[[int], NDArray[np.uint64]]) -> None:
        self._read = shingles
        self._kept: dict[int, NDArray[np.uint64]] = {}
        self._size = 0

    def __call__(self, a: int, b: int) -> bool:
        """Whether these two rows are."""
        one, other = self._shingles(a), self._shingles(b)
        few, many = sorted((len(one), len(other)))
        return few >= ALIKE * many and jaccard(one, other) >= ALIKE

    def _shingles(self, number: int) -> NDArray[np.uint64]:
        known = self._kept.pop(number, None)
        if known is None:
            known = self._read(number)
            self._size += len(known)
        self._kept[number] = known  # the last one used stands last
        while self._size > _KEPT_SHINGLES and len(self._kept) > 2:
            self._size -= len(self._kept.pop(next(iter(self._kept))))
        return known


def near_copies(buckets: Buckets, alike: Callable[[int, int], bool], above: int) -> dict[int, int]:
    """Rows that are nearly equal to one that stays -> that one. Ranks below ``above`` are left out.

    A row that is nearly equal to one of lower rank that stays goes; every other
    row stays. So what goes is close to something that is still there, however
    long a chain of small changes is.
    """
    numbers = buckets.numbers.tolist()
    gone: dict[int, int] = {}
    for rank in range(above, len(numbers)):
        shared: Counter[int] = Counter()
        for mates in buckets.mates(rank):
            low, here = np.searchsorted(mates, (above, rank)).tolist()
            half = MOST_LOOKED_AT // 2
            shared.update({*mates[low:here][:half].tolist(), *mates[low:here][-half:].tolist()})
        for other in _most_shared(shared):
            if numbers[other] not in gone and alike(numbers[rank], numbers[other]):
                gone[numbers[rank]] = numbers[other]
                break
    return gone


def near_pairs(
    buckets: Buckets, alike: Callable[[int, int], bool], below: int, wanted: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Rows of ranks lower than ``below``, each with a ``wanted`` row of the others nearly equal to it."""
    numbers = buckets.numbers.tolist()
    pairs = []
    for rank in range(below):
        shared: Counter[int] = Counter()
        for mates in buckets.mates(rank):
            others = mates[np.searchsorted(mates, below) :][: 8 * MOST_LOOKED_AT]
            shared.update(others[wanted[others]][:MOST_LOOKED_AT].tolist())
        pairs += [
            (numbers[rank], numbers[other])
            for other in _most_shared(shared)
            if alike(numbers[rank], numbers[other])
        ]
    return pairs


def _most_shared(shared: Counter[int]) -> list[int]:
    return [rank for rank, _ in shared.most_common(MOST_LOOKED_AT)]
