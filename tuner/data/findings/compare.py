"""Rows held against one another once all have passed by: copies, leaks, repeated answers.

Sets the flags of the rows, and says what was found with pairs of rows to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuner.data.findings import answers, duplicates
from tuner.data.findings.flags import Flag
from tuner.data.findings.gather import EXAMPLES, Gathered
from tuner.data.findings.reading import TRAINS, VALIDATES

#: Pairs that are shown.
_PAIRS: Final = EXAMPLES // 2
_CHECK_EVERY: Final = 50

#: Two row numbers: what stays or trains, and its copy.
Pair = tuple[int, int]


@dataclass(frozen=True)
class Copied:
    """Rows that repeat others."""

    rows: int
    pairs: list[Pair]  #: a few


@dataclass(frozen=True)
class Leaked:
    """Validation rows that also train."""

    exactly: int
    nearly: int
    pairs: list[Pair]


@dataclass(frozen=True)
class Compared:
    """What was found."""

    exact: Copied
    near: Copied
    leaked: Leaked
    answers: Copied
    different_answers: int  #: answers that are repeated
    most_frequent: int  #: rows that have the most frequent of them


@dataclass(frozen=True)
class _Near:
    gone: list[Pair]  #: of all copies: what stays, and the copy
    across: list[Pair]  #: what trains, what validates


def compare(gathered: Gathered, check: Callable[[], None]) -> Compared:
    """Find equal and nearly equal rows, among what trains and across to what validates.

    Copies are looked for among all rows of the training datasets. Where one of
    them is held out for validation, it is that one that stays.
    """
    source = gathered.source
    numbers, digests = gathered.digests
    roles, ours = source.roles[numbers], numbers < len(source.train)
    mine = duplicates.copies(numbers[ours], digests[ours], roles[ours] == VALIDATES)
    theirs = duplicates.copies(numbers[~ours], digests[~ours], roles[~ours] == VALIDATES)
    gathered.mark(mine.extra, Flag.EXACT_DUPLICATE)
    check()
    trains, validates = roles == TRAINS, roles == VALIDATES
    leaked = np.isin(digests, np.intersect1d(digests[trains], digests[validates]))
    gathered.mark(numbers[leaked & trains], Flag.LEAKED)
    exactly = numbers[leaked & validates]
    pairs = [
        (int(numbers[trains & (digests == digests[place])][0]), int(numbers[place]))
        for place in np.flatnonzero(leaked & validates)[:_PAIRS]
    ]
    check()
    near = _near(gathered, np.concatenate([mine.extra, theirs.extra]), check)
    gathered.mark([copy for _, copy in near.gone], Flag.NEAR_DUPLICATE)
    # What is nearly equal to one copy of a row is so to each of them.
    learnt = _with_copies([row for row, _ in near.across], numbers[trains], digests[trains])
    checks = _with_copies([row for _, row in near.across], numbers[validates], digests[validates])
    gathered.mark(learnt, Flag.LEAKED)
    nearly = np.setdiff1d(checks, exactly)
    known = set(nearly.tolist())
    pairs += [pair for pair in near.across if pair[1] in known][:_PAIRS]
    repeated, again = _answers(gathered)
    return Compared(
        exact=Copied(len(mine.extra), mine.pairs(_PAIRS)),
        near=Copied(len(near.gone), near.gone[:_PAIRS]),
        leaked=Leaked(len(exactly), len(nearly), pairs[:_PAIRS]),
        answers=again,
        different_answers=repeated.answers,
        most_frequent=repeated.most,
    )


def _near(gathered: Gathered, extra: NDArray[np.int64], check: Callable[[], None]) -> _Near:
    """Nearly equal rows, the ``extra`` copies of equal ones left out."""
    source = gathered.source
    rows, bands = gathered.sketches.take()
    single = ~np.isin(rows, extra)
    rows, bands = rows[single], bands[single]
    # First the rows of validation datasets, then what a split holds out, then what trains.
    of_theirs, validates = rows >= len(source.train), source.roles[rows] == VALIDATES
    order = np.lexsort((rows, np.where(of_theirs, 0, np.where(validates, 1, 2))))
    buckets = duplicates.Buckets.of(rows[order], bands[order])
    theirs = int((buckets.numbers >= len(source.train)).sum())
    checks = int((source.roles[buckets.numbers] == VALIDATES).sum())
    same = duplicates.Alike(gathered.shingles)
    asked = 0

    def alike(one: int, other: int) -> bool:
        nonlocal asked
        asked += 1
        if asked % _CHECK_EVERY == 0:
            check()
        return same(one, other) and gathered.same_answer(one, other)

    gone = duplicates.near_copies(buckets, alike, theirs)
    trains = source.roles[buckets.numbers] == TRAINS
    across = duplicates.near_pairs(buckets, alike, checks, trains)
    return _Near(
        [(stays, copy) for copy, stays in gone.items()],
        [(other, row) for row, other in across],
    )


def _with_copies(
    rows: list[int], numbers: NDArray[np.int64], digests: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """These rows and their exact copies among the rows ``numbers``."""
    equal = numbers[np.isin(digests, digests[np.isin(numbers, rows)])] if rows else rows
    return np.union1d(np.array(rows, np.int64), np.array(equal, np.int64))


def _answers(gathered: Gathered) -> tuple[answers.Repeated, Copied]:
    """Answers that many different rows give."""
    rows, fingerprints = gathered.fingerprints
    single = (gathered.flags[rows] & Flag.EXACT_DUPLICATE) == 0
    rows, fingerprints = rows[single], fingerprints[single]
    found = answers.repeated(fingerprints)
    gathered.mark(rows[found.extra], Flag.REPEATED_ANSWER)
    # One pair of each answer, so that the examples show different ones.
    _, one = np.unique(found.first, return_index=True)
    pairs = [(int(rows[found.first[i]]), int(rows[found.extra[i]])) for i in one[:_PAIRS]]
    return found, Copied(len(found.extra), pairs)
