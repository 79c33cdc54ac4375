"""What a random sample of rows says about all of them, each figure with a 95 % interval.

A row is drawn by a random byte of the file, so in proportion to its bytes. A
draw has b bytes and t tokens; its weight is w = 1/b. With B bytes in the file
(Hansen and Hurwitz 1943: sampling proportional to size, with replacement):

- tokens T = B mean(t/b) and rows N = B mean(w), each a mean of independent draws;
- tokens a row M = T/N: every M for which mean(t/b - M w) may be 0 (Fieller 1954);
- the share of rows over a limit: Korn and Graubard (1998), which is the interval of
  Clopper and Pearson (1934) with the effective sample size for the sample size;
- percentiles: that interval around 50 % or 95 %, read off the weighted distribution of
  the lengths (Woodruff 1952).

Weights are skewed: a few short rows may carry much of a sum, and the usual t interval
then holds less often than it says. Therefore

- Student's t has as many degrees of freedom as the variance is worth, 2n/(kurtosis - 1)
  (Satterthwaite 1946);
- each limit is that of the sample with one more draw like the most extreme one on its
  side (the idea of Fay and Feuer 1997 for weighted counts of rare events); a share takes
  the wider of this interval and Korn and Graubard's;
- what is too rare to be drawn stays possible: some 4/n of the bytes may hold no tokens, or
  one a byte.

A row that is lost (``tokens`` is None) has no tokens. It counts in ``rows``; mean, share
and percentiles are those of the rows that stay. Two things are not promised: that fewer
than 200 draws are enough, and that a kind of row is seen which holds less than 4/n of the
bytes and yet many of the rows, because its rows are shorter than any that was drawn.
``bench/interval.py`` measures what is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tuner.records import Estimate, Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: What each side of an interval may miss. The two leave 97 %, because variances and sizes
#: that are themselves estimated cost up to two points of the 95 % that are promised.
SIDE: Final = 0.015
Z: Final = NormalDist().inv_cdf(1 - SIDE)


@dataclass(frozen=True)
class Draw:
    """One draw of a row. The same row may be drawn more than once."""

    bytes: int  #: of the row in the file, with the end of the line
    tokens: int | None  #: None: a row that is lost


def estimate(
    draws: Sequence[Draw],
    total_bytes: int,
    max_length: int,
    rows: int | None = None,
    blank: int = 0,
) -> Estimate:
    """All rows of a file, by rows that were drawn in proportion to their bytes.

    Args:
        draws: the rows drawn.
        total_bytes: of the file.
        max_length: a row with more tokens is over it.
        rows: how many rows the file has, lost ones too, if they were counted.
        blank: further draws that met no row, but a blank line.

    Raises:
        ValueError: every row drawn is lost.
    """
    size = np.fromiter((draw.bytes for draw in draws), np.float64, len(draws))
    tokens = np.fromiter(
        (-1 if draw.tokens is None else draw.tokens for draw in draws), np.int64, len(draws)
    )
    return of_columns(size, tokens, total_bytes, max_length, rows, blank)


def of_columns(
    size: Floats, tokens: Integers, total_bytes: int, max_length: int,
    rows: int | None = None, blank: int = 0,
) -> Estimate:  # fmt: skip
    """As :func:`estimate`, with the draws as columns; ``tokens`` is -1 for a row that is lost."""
    if not (tokens >= 0).any():
        raise ValueError("every row drawn is lost")
    if blank:  # bytes without a row: weight 0, as if the row were endless
        size = np.concatenate([size, np.full(blank, np.inf)])
        tokens = np.concatenate([tokens, np.full(blank, -1)])
    stays = tokens >= 0
    each = 1 / size  # rows a byte
    weight = np.where(stays, each, 0.0)  # of those, rows that stay
    ratio = np.where(stays, tokens / size, 0.0)  # tokens a byte
    one = np.ones(len(size))
    rare = 1 - SIDE ** (1 / len(size))  # a share of the bytes that may well not be drawn
    densest = max(1.0, float(ratio.max()))  # a token is at least a byte of its text

    total = _quotient(ratio, one)
    counted, staying = _quotient(each, one), weight
    if rows is not None:
        counted = Interval(rows / total_bytes, rows / total_bytes, rows / total_bytes)
        rest = counted.value - (each - weight)  # all rows, less those that are lost
        if rest.sum() > weight.sum() / 2:  # where nearly all are lost, the rest is noise
            staying = rest
    mean = _quotient(ratio, staying, float(tokens.max()))
    less = 1 - rare
    more = less + rare * densest / total.value if total.value else 1.0

    over = tokens > max_length
    if over.any() and not over[stays].all():
        share = _share(weight, over, float(weight @ over / weight.sum()))
    else:  # rows of the other kind may be where nothing was drawn, as short as they can be
        shortest = float(size.min()) if over.any() else max(1.0, max_length / densest)
        fewest = _quotient(weight, one).low
        other = min(1.0, rare / shortest / fewest) if fewest > 0 else 1.0
        share = Interval(1.0, 1 - other, 1.0) if over.any() else Interval(0.0, 0.0, other)

    return Estimate(
        sampled=len(size) - blank,
        rows=_times(counted, total_bytes),
        mean=_wider(mean, mean.value * less, mean.value * more),
        tokens=_times(_wider(total, total.value * less, total.value * more), total_bytes),
        over=share,
        max_length=max_length,
        p50=_percentile(weight, tokens, 0.50, total_bytes),
        p95=_percentile(weight, tokens, 0.95, total_bytes),
    )


def _quotient(above: Floats, below: Floats, most: float = math.inf) -> Interval:
    """mean(above) / mean(below): every value that the draws do not refute, from 0 to ``most``."""
    value = float(above.sum() / below.sum())
    rest = above - value * below
    square = rest * rest
    if square.sum() <= len(rest) * (1e-12 * float(np.abs(above).max())) ** 2:
        return Interval(value, value, value)  # no draw differs from another
    t = _student(len(rest) * float(square @ square) / float(square.sum()) ** 2, len(rest))
    low, _ = _fieller(above, below, int(rest.argmin()), t)
    _, high = _fieller(above, below, int(rest.argmax()), t)
    return Interval(value, min(value, max(0.0, low)), max(value, min(most, high)))


def _fieller(above: Floats, below: Floats, again: int, t: float) -> tuple[float, float]:
    """The least and the largest quotient of the means, with the draw ``again`` twice in the sample."""
    n = len(above) + 1
    x = float(above.sum() + above[again]) / n
    y = float(below.sum() + below[again]) / n
    dx, dy = above - x, below - y
    scale = t * t / n / (n - 1)
    xx = scale * float(dx @ dx + dx[again] ** 2)
    xy = scale * float(dx @ dy + dx[again] * dy[again])
    yy = scale * float(dy @ dy + dy[again] ** 2)
    # (x - q y)^2 <= xx - 2 q xy + q^2 yy, solved for q.
    square, half, rest = y * y - yy, x * y - xy, x * x - xx
    if square <= 0:
        return -math.inf, math.inf  # the mean below may be 0
    root = math.sqrt(max(0.0, half * half - square * rest))
    return (half - root) / square, (half + root) / square


def _share(weight: Floats, hit: Floats | NDArray[np.bool_], value: float) -> Interval:
    """A share of the rows; ``hit`` says how much of a row (0 to 1) belongs to it."""
    found = _quotient(weight * hit, weight, 1.0)
    rest = weight * (hit - value) / weight.sum()
    square = rest * rest
    n = len(weight)
    variance = float(square.sum()) * n / max(1, n - 1)
    if variance <= 1e-24:
        return found
    # Korn and Graubard: the sample size that a plain sample of this variance would have.
    t = _student(n * float(square @ square) / float(square.sum()) ** 2, n)
    size = value * (1 - value) / variance * (Z / t) ** 2
    return _wider(
        found,
        beta_quantile(SIDE, size * value, size * (1 - value) + 1),
        beta_quantile(1 - SIDE, size * value + 1, size * (1 - value)),
    )


def _percentile(weight: Floats, tokens: Integers, level: float, total_bytes: int) -> Interval:
    """The length that ``level`` of the rows do not exceed, and the lengths it may be."""
    order = np.argsort(tokens, kind="stable")[np.count_nonzero(tokens < 0) :]  # lost rows are first
    below = np.cumsum(weight[order])
    below /= below[-1]
    lengths = tokens[order]

    def at(share: float, side: Literal["left", "right"]) -> int:
        return int(lengths[min(int(np.searchsorted(below, share, side)), len(lengths) - 1)])

    value = at(level - 1e-12, "left")
    # Of the rows of just this length, as many as make the level whole.
    under, equal = tokens < value, tokens == value
    part = (level * weight.sum() - weight @ under) / (weight @ equal)
    found = _share(weight, under + part * equal, level)
    # In a small dataset one row is a visible share, and the percentile may be the row before.
    row = 1 / max(1.0, float(weight.mean()) * total_bytes)
    return Interval(value, at(found.low - row - 1e-12, "left"), at(found.high + 1e-12, "right"))


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(interval.value * factor, interval.low * factor, interval.high * factor)


def _wider(interval: Interval, low: float, high: float) -> Interval:
    return Interval(interval.value, min(interval.low, low), max(interval.high, high))


def _student(kurtosis: float, n: int) -> float:
    """Student's t for the degrees of freedom of a variance of ``n`` draws with this kurtosis.

    By the expansion around the normal quantile, which is exact to 1 % from 3 degrees on.
    """
    nu = max(3.0, min(n - 1.0, 2 * n / max(kurtosis - 1, 1e-9)))
    z = Z
    return (
        z
        + (z**3 + z) / (4 * nu)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * nu**3)
    )


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x below which ``share`` of a beta distribution lies: Newton's steps, halving where they leave."""
    low, high = 0.0, 1.0
    mean = a / (a + b)
    spread = math.sqrt(mean * (1 - mean) / (a + b + 1))
    x = min(max(mean + spread * NormalDist().inv_cdf(share), mean / 100), 1 - (1 - mean) / 100)
    for _ in range(200):
        off = beta_below(x, a, b) - share
        if off > 0:
            high = x
        else:
            low = x
        log_density = _log_beta(a, b) + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)
        after = x - off * math.exp(-log_density) if log_density > -600 else math.nan
        if not low < after < high:
            after = (low + high) / 2
        if abs(after - x) <= 1e-10 * x:
            return after
        x = after
    return x


def beta_below(x: float, a: float, b: float) -> float:
    """How much of a beta distribution lies below ``x``: the regularised incomplete beta function."""
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_below(1 - x, b, a)
    front = math.exp(_log_beta(a, b) + a * math.log(x) + b * math.log1p(-x)) / a
    # The continued fraction (DLMF 8.17.22) by Lentz's method.
    d = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    c, value = 1.0, d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + step * d)
            c = _not_zero(1 + step / c)
            value *= c * d
        if abs(c * d - 1) < 1e-13:
            break
    return front * value


def _log_beta(a: float, b: float) -> float:
    """The logarithm of 1 / B(a, b)."""
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
