import math

from hypothesis import given
from hypothesis import strategies as st

from tuner.records import Event
from tuner.ui import plots

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=5000))
def test_thinning_keeps_both_ends_the_order_and_every_extreme(values: list[float]) -> None:
    x, y = plots.thin([float(i) for i in range(len(values))], values, most=100)
    assert len(x) <= 102
    assert x == sorted(x)
    assert (x[0], x[-1]) == (0.0, float(len(values) - 1))
    assert (min(y), max(y)) == (min(values), max(values))


def test_thinning_survives_a_stretch_of_nan() -> None:
    values = [math.nan] * 1000 + [1.0]
    assert plots.thin([float(i) for i in range(1001)], values, most=10)[1][-1] == 1.0


@given(st.lists(finite, min_size=1, max_size=300))
def test_a_smooth_curve_stays_within_what_it_smooths(values: list[float]) -> None:
    smoothed = plots.smooth(values)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert all(min(values) - slack <= v <= max(values) + slack for v in smoothed)


def test_a_loss_of_exactly_zero_and_a_nan_are_drawn_as_what_they_are() -> None:
    events = [Event(1, loss=0.0), Event(2, loss=math.nan), Event(3, loss=2.0, eval_loss=1.0)]
    figure = plots.loss(events, log_scale=True, lang="zh", run="r")
    assert list(figure.data[0].y) == [0.0, None, 2.0]
    assert list(figure.data[2].y) == [1.0]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.uirevision == "r"
