"""The length histogram: how long the rows are, and where max_length parts them.

Rows are counted into bins once for a report and a scale; moving max_length
only parts them anew. At most :data:`MOST_BINS` bins are sent. On a linear
scale a long tail is one last bar, on a log scale the bins grow with the
lengths and the whole tail is there.

``layout.meta`` tells :mod:`tuner.ui.drag` where on the axis a length lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.data.lengths import Distribution
from tuner.texts import Lang, say
from tuner.ui import plots
from tuner.ui.theme import EVAL, LOST, TRAIN

MOST_BINS: Final = 120
LOG_BINS: Final = 90
#: The tail is long when the longest row is more than so many times the 99th percentile.
LONG_TAIL: Final = 3
TICKS: Final = 5  #: about so many on an axis: they must stand on a phone, too
SHARE: Final = "#2f9e77"
INK: Final = "#1b1d22"  #: on the label of the line: a contrast of 6 on its orange

Array = NDArray[Any]


@dataclass(frozen=True)
class Axes:
    """How the reader wants it drawn."""

    log_x: bool = False
    log_y: bool = False
    cumulative: bool = False


@dataclass(frozen=True)
class Bins:
    """How many rows are ``low[i]`` to ``high[i]`` tokens long. Every row is in one bin.

    ``left`` and ``right`` are where a bin is drawn: half a token around it, but
    for the bar that holds a long tail.
    """

    low: Array
    high: Array
    count: Array
    left: Array
    right: Array
    tail: bool  #: the last bin is a long tail, drawn narrower than it is

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.count.sum())

    def knots(self) -> tuple[list[float], list[float]]:
        """Lengths, and where on the axis they lie; what is between lies between."""
        left, right = float(self.left[0]), float(self.right[-1])
        if not self.tail:
            return [left, right], [left, right]
        border = float(self.right[-2])
        tokens = [left, border, border, float(self.high[-1]) + 0.5]
        return tokens, [left, border, float(self.left[-1]), right]

    def place(self, length: float) -> float:
        """Where on the axis a length lies; what is longer than all rows lies at the right end."""
        return float(np.interp(length, *self.knots()))


def binned(found: Distribution, log_x: bool) -> Bins:
    """At least one row counted into bins of whole lengths, fit for the scale of the axis."""
    low, high = int(found.values[0]), int(found.values[-1])
    edges = _growing(low, high) if log_x else _even(low, _reach(found))
    count = np.diff([found.within(int(edge) - 1)[0] for edge in edges])
    first, last = edges[:-1], edges[1:] - 1
    left, right = first - 0.5, last + 0.5
    tail = int(last[-1]) < high
    if tail:
        # One bar for the tail, four bins wide, two bins apart.
        width = float(right[-1] - left[-1])
        first, last = np.append(first, last[-1] + 1), np.append(last, high)
        count = np.append(count, int(found.rows[-1]) - count.sum())
        left = np.append(left, right[-1] + 2 * width)
        right = np.append(right, left[-1] + 4 * width)
    if log_x:
        left = np.maximum(left, 0.5)
    first, last = np.maximum(first, low), np.minimum(last, high)
    return Bins(first, last, count, left, right, tail)


def _reach(found: Distribution) -> int:
    """How far a linear axis goes bin by bin: all the way, unless a few rows would squeeze all others."""
    longest, last = int(found.values[-1]), int(found.rows[-1]) - 1
    ranks = [int(0.99 * last), int(0.999 * last)]
    p99, p999 = (int(n) for n in found.values[np.searchsorted(found.rows, ranks, "right")])
    most = LONG_TAIL * max(p99, 1)
    return longest if longest <= most else min(p999, most)


def _even(low: int, high: int) -> Array:
    """Edges of bins of one width, a power of two, beginning at a multiple of it."""
    width = 1
    while high // width - low // width + 1 > MOST_BINS:
        width *= 2
    return np.arange(low // width, high // width + 2, dtype=np.int64) * width


def _growing(low: int, high: int) -> Array:
    """Edges of bins that look about equally wide on a log axis.

    A bin is never narrower than the one before: widths that alternate between
    1 and 2 tokens would draw a comb. A length of 0 has no place on the axis and
    is counted with what comes next.
    """
    edge = max(low, 1)
    ratio = (max(high, 2) / edge) ** (1 / LOG_BINS) - 1
    edges = [low]
    while edge <= high or len(edges) < 2:
        edge += max(1, math.ceil(edge * ratio))
        edges.append(edge)
    return np.asarray(edges, dtype=np.int64)


def figure(bins: Bins, fitting: int, max_length: int, strategy: str, axes: Axes, lang: Lang) -> Any:
    """Plotly's figure: rows by length, those that fit and the others; ``fitting`` rows fit."""
    drawn: Any = plots.blank("lengths", height=320)
    kept, lost = parted(bins, fitting, max_length)
    lost_name = say("ui.plot.dropped" if strategy == "delete" else "ui.plot.cut", lang)
    hatch = {"shape": "/", "size": 6, "solidity": 0.35, "fgcolor": "#ffffff"}
    below = np.cumsum(bins.count)
    for name, colour, part, pattern in (
        (say("ui.plot.kept", lang), TRAIN, kept, None),
        (lost_name, LOST, lost, hatch),
    ):
        shown = np.flatnonzero(part)  # a log axis has no place for an empty bar
        # A part of a bin is told by its own ends.
        low = np.maximum(bins.low, max_length + 1) if part is lost else bins.low
        high = bins.high if part is lost else np.minimum(bins.high, max_length)
        upto = below if part is lost else np.minimum(below, fitting)
        drawn.add_bar(
            x=((bins.left + bins.right) / 2)[shown].tolist(),
            y=part[shown].tolist(),
            width=(bins.right - bins.left)[shown].tolist(),
            name=name,
            marker={"color": colour, "line": {"width": 0}, "pattern": pattern or {}},
            customdata=[
                [_span(int(low[i]), int(high[i]), lang), percent(int(upto[i]) / bins.rows)]
                for i in shown
            ],
            hovertemplate=say(
                "ui.histogram.hover", lang,
                rows="%{y:,d}", span="%{customdata[0]}", share="%{customdata[1]}",
            ) + "<extra></extra>",
        )  # fmt: skip
    if axes.cumulative:
        _add_share(drawn, bins, below, lang)
    _add_line(drawn, bins, max_length, axes)
    _set_axes(drawn, bins, axes, lang)
    return drawn


def parted(bins: Bins, fitting: int, max_length: int) -> tuple[Array, Array]:
    """Of each bin the rows that fit and those that are longer; the bin around the line has both."""
    kept = np.where(bins.high <= max_length, bins.count, 0)
    between = np.flatnonzero((bins.low <= max_length) & (max_length < bins.high))
    kept[between] = fitting - kept.sum()
    return kept, bins.count - kept


def percent(share: float) -> str:
    """A share in percent; only all is 100 %, only none is 0 %."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    for digits in (1, 2, 3, 4):
        text = f"{share:.{digits}%}"
        if float(text[:-1]) not in (0.0, 100.0):
            return text
    return ">99.9999%" if share > 0.5 else "<0.0001%"


def _span(low: int, high: int, lang: Lang) -> str:
    return f"{low:,}" if low == high else say("ui.histogram.span", lang, low=low, high=high)


def _add_share(drawn: Any, bins: Bins, below: Array, lang: Lang) -> None:
    """The share of rows at or below each length, on an axis of its own. The bars' hover tells it."""
    drawn.add_scatter(
        x=[float(bins.left[0]), *bins.right.tolist()], y=[0.0, *(below / bins.rows).tolist()],
        name=say("ui.histogram.cumulative", lang), yaxis="y2", mode="lines", hoverinfo="skip",
        line={"color": SHARE, "width": 2},
    )  # fmt: skip
    drawn.update_layout(
        yaxis2={
            "overlaying": "y", "side": "right", "range": [0, 1.04], "tickformat": ".0%",
            "showgrid": False, "zeroline": False, "fixedrange": True, "color": SHARE,
        }
    )  # fmt: skip


def _add_line(drawn: Any, bins: Bins, max_length: int, axes: Axes) -> None:
    """The max_length line, what is beyond it shaded, and its label, which is its handle."""
    x, end = bins.place(max_length + 0.5), float(bins.right[-1])
    beyond = max_length > int(bins.high[-1])
    start = float(bins.left[0])
    scale = math.log10 if axes.log_x else float
    share = (scale(x) - scale(start)) / (scale(end) - scale(start))
    drawn.update_layout(
        shapes=[
            {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"color": EVAL, "width": 2, "dash": "dash"}},
            {"type": "rect", "x0": x, "x1": end, "y0": 0, "y1": 1, "yref": "paper",
             "fillcolor": LOST, "opacity": 0.07, "line": {"width": 0}, "layer": "below"},
        ],
        annotations=[
            # A log axis wants its annotations in powers of ten, its shapes in plain numbers.
            {"x": scale(x), "y": 1, "yref": "paper", "yanchor": "top", "showarrow": False,
             "xanchor": "left" if share < 1 / 3 else "right" if share > 2 / 3 else "center",
             "text": f"↔ max_length {max_length:,}" + (" →" if beyond else ""),
             "font": {"color": INK, "size": 12}, "bgcolor": EVAL, "borderpad": 4},
        ],
    )  # fmt: skip


def _set_axes(drawn: Any, bins: Bins, axes: Axes, lang: Lang) -> None:
    left, right, top = float(bins.left[0]), float(bins.right[-1]), int(bins.count.max())
    tokens, places = bins.knots()
    drawn.update_layout(
        barmode="stack", bargap=0, hovermode="x", legend={"traceorder": "normal"},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
        margin={"l": 48, "r": 20}, modebar={"remove": ["select2d", "lasso2d", "autoScale2d"]},
        meta={"tokens": tokens, "places": places},
    )  # fmt: skip
    drawn.update_layout(
        xaxis={
            "type": "log" if axes.log_x else "linear",
            "range": [math.log10(left), math.log10(right)] if axes.log_x else [left, right],
            "ticks": "outside", "tickangle": 0, "tickfont": {"size": 11}, "tickformat": ",d", "hoverformat": ",.0f",
            "nticks": TICKS + 1, "ticklabeloverflow": "allow", **_ticks(bins, axes.log_x),
            "title": {"text": say("ui.plot.tokens", lang)},
        },
        yaxis={
            "type": "log" if axes.log_y else "linear",
            "range": [math.log10(0.5), math.log10(top * 2)] if axes.log_y else [0, top * 1.15],
            "dtick": 1 if axes.log_y else None, "tickformat": "~s",
            "title": {"text": say("ui.plot.rows", lang)},
        },
    )  # fmt: skip


def _ticks(bins: Bins, log_x: bool) -> dict[str, Any]:
    """Ticks where Plotly's own would be too many (log) or wrong (in a long tail)."""
    left, right = float(bins.left[0]), float(bins.right[-1])
    if log_x:
        return {"tickvals": _log_ticks(left, right)}
    if not bins.tail:
        return {}
    _, border, begin, end = bins.knots()[1]
    middle = (begin + end) / 2
    # A number right beside the tail's own would run into it.
    round_ = [n for n in _even_ticks(left, border) if middle - n > (right - left) / 6]
    text = [*(f"{n:,}" for n in round_), f"≥ {bins.low[-1]:,}"]
    return {"tickvals": [*round_, middle], "ticktext": text}


def _even_ticks(low: float, high: float) -> list[int]:
    """Round numbers between two lengths."""
    rough = max((high - low) / TICKS, 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(int(n * power) for n in (1, 2, 5, 10) if n * power >= rough)
    first = -(-math.ceil(low) // step) * step
    return list(range(first, int(high) + 1, step))


def _log_ticks(low: float, high: float) -> list[int]:
    """Round numbers between two lengths, about equally far apart on a log axis."""
    powers = [10**n for n in range(math.ceil(math.log10(high)) + 1)]
    for digits in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        ticks = [n * power for power in powers for n in digits if low <= n * power <= high]
        if len(ticks) <= TICKS + 1:
            break
    return ticks if len(ticks) > 1 else _even_ticks(low, high)
