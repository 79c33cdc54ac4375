"""Figures: the loss, and what goes with it. Plotly draws them.

At most :data:`MOST_POINTS` points a series are sent; each bin keeps its lowest
and its highest point, so no spike is lost. ``uirevision`` keeps the reader's
zoom while points come. Colours stand on light and on dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

# Before plotly: older gradio imports pandas late, in another thread, and plotly would see half of it.
import pandas  # noqa: F401, ICN001
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tuner.records import Event
from tuner.texts import Lang, say
from tuner.ui.theme import EVAL, MUTED, TRAIN

MOST_POINTS: Final = 800
Points = tuple[list[float], list[float]]


def thin(x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS) -> Points:
    """At most ``most`` points in order: of each bin its lowest and its highest, both ends kept."""
    n = len(x)
    if n <= most:
        return list(x), list(y)
    bins = max(1, most // 2 - 1)
    chosen = {0, n - 1}
    for b in range(bins):
        low, high = b * n // bins, (b + 1) * n // bins
        part = [i for i in range(low, high) if math.isfinite(y[i])] or [low]
        chosen.add(min(part, key=lambda i: y[i]))
        chosen.add(max(part, key=lambda i: y[i]))
    kept = sorted(chosen)
    return [x[i] for i in kept], [y[i] for i in kept]


def smooth(values: Sequence[float]) -> list[float]:
    """An exponential mean that is unbiased at the start (as TensorBoard's); NaN is passed over.

    It reaches over about a twentieth of the curve, so that a short run is not
    smoothed away and a long one is calm.
    """
    weight = min(0.95, max(0.5, 1 - 20 / max(len(values), 1)))
    result: list[float] = []
    total, norm = 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            total = weight * total + (1 - weight) * value
            norm = weight * norm + (1 - weight)
        result.append(total / norm if norm else math.nan)
    return result


def series(events: Sequence[Event], name: str) -> Points:
    """Steps and values of one quantity, where it was logged."""
    found = [(e.step, getattr(e, name)) for e in events if getattr(e, name) is not None]
    return [float(step) for step, _ in found], [float(value) for _, value in found]


def loss(events: Sequence[Event], log_scale: bool, lang: Lang, run: str) -> go.Figure:
    """Train loss raw and smoothed, eval loss as points."""
    figure = blank(run, height=340)
    x, y = series(events, "loss")
    raw_x, raw_y = thin(x, y)
    figure.add_scatter(
        x=raw_x, y=_finite(raw_y), name=say("ui.plot.train_raw", lang), mode="lines",
        line={"color": TRAIN, "width": 1}, opacity=0.3,
    )  # fmt: skip
    smooth_x, smooth_y = thin(x, smooth(y))
    figure.add_scatter(
        x=smooth_x, y=_finite(smooth_y), name=say("ui.plot.train_smooth", lang), mode="lines",
        line={"color": TRAIN, "width": 2.5},
    )  # fmt: skip
    eval_x, eval_y = thin(*series(events, "eval_loss"))
    figure.add_scatter(
        x=eval_x, y=_finite(eval_y), name=say("ui.plot.eval", lang), mode="lines+markers",
        line={"color": EVAL, "width": 2}, marker={"size": 7, "symbol": "diamond"},
    )  # fmt: skip
    figure.update_yaxes(type="log" if log_scale else "linear", title_text="loss")
    figure.update_xaxes(title_text=say("ui.plot.step", lang))
    return figure


def details(events: Sequence[Event], lang: Lang, run: str) -> go.Figure:
    """Learning rate, gradient norm and seconds a step, one above the other."""
    rows = (
        ("learning_rate", say("ui.plot.rate", lang)),
        ("grad_norm", say("ui.plot.grad_norm", lang)),
        ("seconds_per_step", say("ui.plot.speed", lang)),
    )
    figure = make_subplots(rows=1, cols=3, subplot_titles=[title for _, title in rows])
    _style(figure, run, height=220)
    for column, (name, title) in enumerate(rows, start=1):
        x, y = thin(*series(events, name), most=300)
        figure.add_scatter(
            x=x, y=_finite(y), name=title, mode="lines", line={"color": TRAIN, "width": 1.5},
            row=1, col=column, showlegend=False,
        )  # fmt: skip
    figure.update_annotations(font_size=12)
    return figure


def _finite(values: Sequence[float]) -> list[float | None]:
    """Plotly draws a gap for None; NaN and infinity are no JSON."""
    return [value if math.isfinite(value) else None for value in values]


def blank(revision: str, height: int) -> go.Figure:
    """A figure in the page's look, with nothing on it."""
    figure = go.Figure()
    _style(figure, revision, height)
    return figure


def _style(figure: Any, revision: str, height: int) -> None:
    figure.update_layout(
        uirevision=revision, height=height, margin={"l": 56, "r": 16, "t": 34, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": MUTED, "size": 12, "family": "system-ui, sans-serif"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified", modebar={"bgcolor": "rgba(0,0,0,0)", "color": MUTED},
    )  # fmt: skip
    grid = "rgba(138,143,152,0.22)"
    figure.update_xaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
    figure.update_yaxes(gridcolor=grid, zerolinecolor=grid, linecolor=grid)
