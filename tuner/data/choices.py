"""A handful of values for max_length to choose from, each with what it keeps and what it costs.

Pure arithmetic over :class:`tuner.data.lengths.Lengths`. The costs are facts
of the rows, no promise of seconds or bytes: how long the longest row is that
trains (a batch is padded to its longest row, so memory peaks there), and how
many tokens an epoch has (time grows with them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from tuner.data.lengths import Lengths
from tuner.records import Kept

#: How many of the rows a choice is to keep, at least.
SHARES: Final = (1.0, 0.999, 0.99, 0.95, 0.9)


@dataclass(frozen=True)
class Choice:
    """One value for max_length. Shares and ratios are against no limit, 0 to 1."""

    max_length: int
    rows: int  #: valid rows that train
    lost: int  #: valid rows that are longer: dropped, or cut
    tokens: int  #: tokens of the valid rows that stay
    tokens_share: float
    peak: float  #: the longest that a row can be
    total: float  #: tokens of one epoch
    suggested: bool  #: it is the value that the plan's rule gives


def choices(
    lengths: Lengths,
    context_length: int | None,
    suggested: int | None = None,
    strategy: str = "delete",
) -> tuple[Choice, ...]:
    """Values to choose from, the longest first; at most one for each share and the suggested one.

    None is above the model's context. Values with the same effect are one:
    the suggested one if it is among them, else the smallest.
    """
    if not len(lengths.rows):
        return ()
    top = math.inf if context_length is None else context_length
    wished = None if suggested is None else int(min(suggested, top))
    values = {int(min(rounded(n), top)) for n in quantiles(lengths)}
    if wished is not None:
        values.add(wished)
    whole, longest = lengths.kept(None, strategy), int(lengths.of_rows.values[-1])
    merged: dict[tuple[int, int], Choice] = {}
    for value in sorted(values):
        found = _choice(value, lengths.kept(value, strategy), whole, longest, value == wished)
        effect = (found.lost, found.tokens)
        if effect not in merged or found.suggested:
            merged[effect] = found
    return tuple(sorted(merged.values(), key=lambda choice: -choice.max_length))


def quantiles(lengths: Lengths) -> list[int]:
    """For each of :data:`SHARES` the shortest max_length that keeps at least that share of the rows."""
    found, count = lengths.of_rows, len(lengths.rows)
    places = [max(math.ceil(share * count) - 1, 0) for share in SHARES]
    return [int(n) for n in found.values[np.searchsorted(found.rows, places, "right")]]


def rounded(length: int) -> int:
    """``length`` rounded up to a number that people like, by an eighth of it at most.

    A multiple of 64 from 512 on, of 8 from 64 on, and itself below: rounding
    up keeps at least as many rows.
    """
    step = 64 if length >= 512 else 8 if length >= 64 else 1
    return -(-length // step) * step


def _choice(value: int, kept: Kept, whole: Kept, longest: int, suggested: bool) -> Choice:
    tokens = kept.tokens - kept.tokens_lost
    return Choice(
        max_length=value,
        rows=kept.rows,
        lost=kept.over,
        tokens=tokens,
        tokens_share=_share(tokens, kept.tokens),
        peak=_share(min(value, longest), longest),
        total=_share(kept.train_tokens, whole.train_tokens),
        suggested=suggested,
    )


def _share(part: int, whole: int) -> float:
    """A ratio; all of nothing is all."""
    return part / whole if whole else 1.0
