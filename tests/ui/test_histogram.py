"""The length histogram: every row is drawn once, on any scale, and the line is where it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.data.lengths import Distribution
from tuner.ui import histogram
from tuner.ui.histogram import Axes, Bins, binned, parted, percent

ROWS = st.lists(st.integers(0, 3000) | st.integers(0, 10**6), min_size=1, max_size=120)
LIMIT = st.integers(1, 4000) | st.integers(1, 10**6 + 10)
AXES = st.builds(Axes, st.booleans(), st.booleans(), st.booleans())


def bins_of(rows: list[int], log_x: bool = False) -> Bins:
    return binned(Distribution.of(np.asarray(rows, dtype=np.int32)), log_x)


def drawn(rows: list[int], limit: int, axes: Axes, strategy: str = "delete") -> Any:
    fitting = sum(n <= limit for n in rows)
    return histogram.figure(bins_of(rows, axes.log_x), fitting, limit, strategy, axes, "en")


@given(ROWS, st.booleans())
def test_every_row_is_in_the_bin_that_names_its_length(rows: list[int], log_x: bool) -> None:
    bins = bins_of(rows, log_x)
    assert len(bins.count) <= 200
    assert bins.rows == len(rows)
    for low, high, count in zip(bins.low, bins.high, bins.count, strict=True):
        assert count == sum(low <= n <= high for n in rows)
    assert (bins.low[1:] > bins.high[:-1]).all()
    assert (bins.left[1:] >= bins.right[:-1]).all()
    assert (bins.right > bins.left).all()
    assert not log_x or (bins.left > 0).all()


@given(ROWS, LIMIT, st.booleans())
def test_kept_and_lost_rows_are_all_rows(rows: list[int], limit: int, log_x: bool) -> None:
    fitting = sum(n <= limit for n in rows)
    bins = bins_of(rows, log_x)
    kept, lost = parted(bins, fitting, limit)
    assert (kept.sum(), lost.sum()) == (fitting, len(rows) - fitting)
    assert (kept >= 0).all()
    assert (lost >= 0).all()
    for low, high, part in zip(bins.low, bins.high, kept, strict=True):
        assert part == sum(low <= n <= min(high, limit) for n in rows)


@settings(max_examples=40)
@given(ROWS, LIMIT, AXES)
def test_what_is_sent_fits_its_axes(rows: list[int], limit: int, axes: Axes) -> None:
    figure = drawn(rows, limit, axes)
    layout, bars = figure.layout, [trace for trace in figure.data if trace.type == "bar"]
    assert sum(sum(bar.y) for bar in bars) == len(rows)
    assert sum(len(bar.y) for bar in bars) <= 200
    assert all(y > 0 for bar in bars for y in bar.y)
    left, right = layout.xaxis.range
    line = layout.shapes[0].x0
    if axes.log_x:
        # What a log axis has no place for would be drawn nowhere.
        assert all(
            x - width / 2 > 0 for bar in bars for x, width in zip(bar.x, bar.width, strict=True)
        )
        assert layout.annotations[0].x == pytest.approx(math.log10(line))
        left, right = 10**left, 10**right
    assert left - 1e-6 <= line <= right * (1 + 1e-9)
    assert all(left <= tick <= right for tick in layout.xaxis.tickvals or ())
    assert (layout.yaxis.type == "log") == axes.log_y
    if axes.cumulative:
        share = figure.data[-1].y
        assert list(share) == sorted(share)
        assert (share[0], share[-1]) == (0, 1)


@pytest.mark.parametrize("rows", [[7], [7] * 50, [0], [1, 1]])
@pytest.mark.parametrize("log_x", [False, True])
def test_one_row_and_equal_rows_are_one_bar(rows: list[int], log_x: bool) -> None:
    figure = drawn(rows, 100, Axes(log_x=log_x))
    assert list(figure.data[0].y) == [len(rows)]
    assert len(figure.data[1].y) == 0
    assert "max_length 100 →" in figure.layout.annotations[0].text


def test_a_long_tail_does_not_squeeze_the_other_rows() -> None:
    rows = [*range(50, 250)] * 20 + [9000, 30_000]
    bins = bins_of(rows)
    assert (bins.low[-1], bins.high[-1], bins.count[-1]) == (250, 30_000, 2)
    assert len(bins.count) > 90
    # On the axis the line still finds every length, and the drag its way back.
    tokens, places = bins.knots()
    for length in (50, 249, 251, 9000, 30_000):
        assert np.interp(bins.place(length), places, tokens) == pytest.approx(length, abs=0.6)


def test_the_line_parts_the_bin_that_it_goes_through() -> None:
    figure = drawn([10, 11, 12, *range(900)], 11, Axes(), "right")
    kept, lost = figure.data
    assert (kept.name, lost.name) == ("kept", "cut")
    assert kept.marker.color != lost.marker.color
    assert lost.marker.pattern.shape == "/"
    assert kept.marker.pattern.shape is None
    assert kept.customdata[-1][0] == "8 to 11"
    assert lost.customdata[0][0] == "12 to 15"
    assert (kept.y[-1], lost.y[0]) == (6, 5)
    assert kept.x[-1] == lost.x[0]
    assert kept.customdata[-1][1] == percent(14 / 903)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (1, "100%"), (0.971, "97.1%"), (0.99996, "99.996%"), (1e-9, "<0.0001%")],
)
def test_only_all_is_a_hundred_percent(share: float, text: str) -> None:
    assert percent(share) == text
