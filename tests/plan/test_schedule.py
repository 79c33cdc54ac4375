"""Steps and evaluations are those of the trainer: here its loop is run by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import lengths_of
from tuner.plan.recommend import steps_of, warnings
from tuner.plan.schedule import schedule
from tuner.records import Schedule

VALUES = {
    "num_train_epochs": 3, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "eval_steps": 7,
    "max_length": 2048,
}  # fmt: skip


def by_hand(
    rows: int, epochs: int, batch: int, accumulation: int, eval_steps: int, devices: int
) -> tuple[int, int, int]:
    """Optimizer steps, evaluations and rows seen, by walking through the rows as the trainer does."""
    steps = evaluations = seen = 0
    last = sum(1 for _ in updates(rows, batch, accumulation, devices)) * epochs
    for _ in range(epochs):
        for update in updates(rows, batch, accumulation, devices):
            steps += 1
            seen += update
            # ms-swift evaluates at the last step whatever its number is.
            evaluations += steps % eval_steps == 0 or steps == last
    return steps, evaluations, seen


def updates(rows: int, batch: int, accumulation: int, devices: int) -> Any:
    """The number of rows in each optimizer step of one epoch."""
    pending = waiting = 0
    left = rows
    while left:
        taken = min(left, batch * devices)
        left -= taken
        pending += taken
        waiting += 1
        if waiting == accumulation or not left:
            yield pending
            pending = waiting = 0


@given(st.integers(1, 400), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 60),
       st.integers(1, 3))  # fmt: skip
def test_the_schedule_is_the_trainers_loop(
    rows: int, epochs: int, batch: int, accumulation: int, eval_steps: int, devices: int
) -> None:
    kept = lengths_of([10] * rows, validation=[10]).kept(None)
    planned = schedule(kept, epochs, batch, accumulation, eval_steps, devices)
    steps, evaluations, seen = by_hand(rows, epochs, batch, accumulation, eval_steps, devices)
    assert (planned.steps, planned.evaluations) == (steps, evaluations)
    assert planned.steps_per_epoch * epochs == steps
    assert planned.tokens == seen * 10


def test_part_of_an_epoch_is_rounded_up_to_a_whole_step() -> None:
    kept = lengths_of([10] * 100, validation=[10]).kept(None)
    assert schedule(kept, 0.5, 8, 1, 5).steps == 7  # 6.5 of 13
    assert schedule(kept, 0.01, 8, 1, 5).steps == 1


def test_an_interval_below_one_is_a_share_of_all_steps() -> None:
    kept = lengths_of([10] * 100, validation=[10]).kept(None)
    assert schedule(kept, 1, 1, 1, 0.1).evaluations == 10


def test_rows_that_max_length_drops_are_not_planned_for() -> None:
    left = lengths_of([10] * 80 + [5000] * 20, validation=[10] * 40).kept(2048)
    assert steps_of(VALUES, left) == schedule(left, 3, 8, 1, 7)
    assert steps_of(VALUES, left).steps == 30


def test_the_numbers_of_the_demos_plan_are_those_in_its_header() -> None:
    left = lengths_of([30] * 202, validation=[30] * 32).kept(2048)
    assert steps_of(VALUES, left).steps == 78


def keys(rows: int, eval_rows: int, **values: Any) -> list[str]:
    left = lengths_of([10] * rows, validation=[10] * eval_rows).kept(2048)
    chosen = VALUES | values
    return [warning.key for warning in warnings(chosen, steps_of(chosen, left))]


def test_a_sound_plan_raises_no_warning() -> None:
    assert keys(202, 32) == []


@pytest.mark.parametrize(
    ("rows", "eval_rows", "values", "expected"),
    [
        (8, 40, {"num_train_epochs": 29}, ["warn.few_steps"]),
        (8, 40, {"num_train_epochs": 30}, []),
        (202, 0, {}, ["warn.no_eval_rows"]),
        (202, 1, {}, ["warn.few_eval_rows"]),
        (202, 29, {}, ["warn.few_eval_rows"]),
        (202, 30, {}, []),
        (8, 3, {}, ["warn.few_steps", "warn.few_eval_rows", "warn.one_evaluation"]),
        (202, 40, {"eval_steps": 78}, ["warn.one_evaluation"]),
        (202, 40, {"eval_steps": 500}, ["warn.one_evaluation"]),
        (202, 40, {"eval_steps": 77}, []),
    ],
)
def test_what_makes_no_sense_is_said_all_at_once(
    rows: int, eval_rows: int, values: dict[str, Any], expected: list[str]
) -> None:
    assert keys(rows, eval_rows, **values) == expected


def test_when_every_row_is_too_long_nothing_else_matters() -> None:
    left = lengths_of([5000] * 10, validation=[10] * 40).kept(2048)
    found = warnings(VALUES, steps_of(VALUES, left))
    assert [w.key for w in found] == ["warn.no_rows"]
    assert "2,048" in found[0].say("en")
    assert steps_of(VALUES, left) == Schedule(0, 40, 0, 0, 0, 0)
