"""The length histogram: how long the rows are, and where max_length cuts them off.

Rows are counted into bins once for a report and a scale, so that moving
max_length only splits them. At most :data:`MOST_BINS` bins are sent. On a
linear scale a long tail is one last bar (see :func:`reach`), on a log scale
the bins grow with the lengths, so the whole tail is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Before plotly: older gradio imports pandas late, in another thread, and plotly would see half of it.
import pandas  # noqa: F401, ICN001
import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from tuner.texts import Lang, say
from tuner.ui.theme import EVAL, LOST, MUTED, TRAIN

MOST_BINS: Final = 120
#: The tail is long when the longest row is more than so many times the 99th percentile.
LONG_TAIL: Final = 4
CUMULATIVE: Final = "#2f9e77"
INK: Final = "#1b1d22"  #: on the line's label: a contrast of 6 on its orange

Array = NDArray[Any]


@dataclass(frozen=True)
class Axes:
    """How the reader wants it drawn."""

    log_x: bool = False
    log_y: bool = False
    cumulative: bool = False


@dataclass(frozen=True)
class Bins:
    """How many rows are ``low[i]`` to ``high[i]`` tokens long; every row is in one bin.

    ``left`` and ``right`` are where a bin is drawn: half a token around it,
    but for a long tail, which would not fit.
    """

    low: Array
    high: Array
    count: Array
    left: Array
    right: Array

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.count.sum())


def binned(rows: Array, log_x: bool) -> Bins:
    """At least one row counted into bins of whole lengths, fit for the scale of the axis."""
    low, high = int(rows.min()), int(rows.max())
    edges = _log_edges(low, high) if log_x else _even_edges(low, min(high, reach(rows)))
    first, last = edges[:-1], edges[1:] - 1
    count, _ = np.histogram(rows, bins=edges)
    left, right = first - 0.5, last + 0.5
    if last[-1] < high:
        # The tail as one bar, three bins wide, one bin apart.
        width = right[-1] - left[-1]
        first, last = np.append(first, last[-1] + 1), np.append(last, high)
        count = np.append(count, len(rows) - count.sum())
        left = np.append(left, right[-1] + width)
        right = np.append(right, left[-1] + 3 * width)
    last[-1] = max(last[-1], first[-1])
    return Bins(first, last, count, np.maximum(left, 0.5) if log_x else left, right)
