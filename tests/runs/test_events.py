"""ms-swift's log is read as it comes: whole lines, every number, and no surprise from rubbish."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.records import Event
from tuner.runs.events import Curve, Tail, parse

TRAIN = {
    "loss": 2.69, "grad_norm": 1.2, "learning_rate": 1e-05, "token_acc": 0.55, "epoch": 0.12,
    "global_step/max_steps": "3/87", "elapsed_time": "1h 2m 3s", "remaining_time": "5m",
    "memory(GiB)": 3.5, "train_speed(s/it)": 1.4,
}  # fmt: skip


def event(**row: Any) -> Event:
    found = parse(json.dumps(TRAIN | row))
    assert found is not None
    return found


def test_a_train_row_is_read_in_full() -> None:
    assert event() == Event(
        step=3, max_steps=87, epoch=0.12, loss=2.69, grad_norm=1.2, learning_rate=1e-05, token_acc=0.55,
        seconds_per_step=1.4, elapsed=3723.0, memory_gib=3.5,
    )  # fmt: skip


def test_an_eval_row_has_no_train_loss() -> None:
    row = {"eval_loss": 1.5, "eval_token_acc": 0.6, "global_step/max_steps": "10/87", "epoch": 1.0}
    assert parse(json.dumps(row)) == Event(
        step=10, max_steps=87, epoch=1.0, eval_loss=1.5, eval_token_acc=0.6
    )


def test_numbers_written_as_text_are_numbers() -> None:
    found = event(loss="2.69", learning_rate="1e-05", grad_norm="nan")
    assert (found.loss, found.learning_rate) == (2.69, 1e-05)
    assert found.grad_norm is not None
    assert math.isnan(found.grad_norm)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, "0.0"])
def test_a_loss_of_exactly_zero_is_a_loss(zero: Any) -> None:
    assert event(loss=zero).loss == 0.0


def test_nan_and_infinity_stay_what_they_are() -> None:
    found = event(loss=math.nan, grad_norm=math.inf, learning_rate="-Infinity")
    assert found.loss is not None
    assert math.isnan(found.loss)
    assert (found.grad_norm, found.learning_rate) == (math.inf, -math.inf)


@pytest.mark.parametrize("value", [None, True, [], {}, "fast", ""])
def test_what_is_no_number_is_nothing_and_the_row_still_counts(value: Any) -> None:
    found = event(grad_norm=value)
    assert found.grad_norm is None
    assert found.loss == 2.69


@pytest.mark.parametrize(
    "row",
    [
        {"train_runtime": 10.0, "train_loss": 1.0, "epoch": 1.0, "global_step/max_steps": "87/87"},
        {
            "log_history": [TRAIN],
            "best_metric": 0.5,
            "last_model_checkpoint": "x",
            "global_step": 87,
        },
        {"loss": 1.0},
        {"loss": 1.0, "global_step/max_steps": "three"},
        {"loss": 1.0, "global_step/max_steps": None},
        {"loss": 1.0, "global_step/max_steps": "9" * 5000 + "/1"},
        {},
    ],
)
def test_rows_without_a_step_and_a_loss_are_no_events(row: dict[str, Any]) -> None:
    assert parse(json.dumps(row)) is None


@pytest.mark.parametrize(
    "line",
    ["", " ", "{", "[]", "3", "null", '"x"', "\0", "[" * 100_000, '{"loss": 1' + "0" * 400 + "}"],
)
def test_a_line_that_is_no_row_gives_nothing(line: str) -> None:
    assert parse(line) is None


def test_a_number_too_large_for_a_float_does_no_harm() -> None:
    assert parse(json.dumps(TRAIN).replace("2.69", "1" + "0" * 400)) is not None


@pytest.mark.parametrize(
    ("text", "seconds"), [("3s", 3.0), ("2m 3s", 123.0), ("1d 1h", 90000.0), ("", None), (7, None)]
)
def test_elapsed_time_is_read_in_seconds(text: Any, seconds: float | None) -> None:
    assert event(elapsed_time=text).elapsed == seconds


@given(st.dictionaries(
    st.sampled_from([*TRAIN, "eval_loss", "eval_token_acc"]),
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda v: st.lists(v, max_size=2)),
))  # fmt: skip
def test_whatever_json_a_row_holds_no_exception_comes_of_it(row: dict[str, Any]) -> None:
    parse(json.dumps(row))
    parse(json.dumps(TRAIN | row))


def test_ten_thousand_damaged_lines_give_no_exception() -> None:
    dice = random.Random(7)
    whole = json.dumps(TRAIN).encode()
    for _ in range(10_000):
        line = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(line))
            deed = dice.randrange(3)
            if deed == 0:
                line[place] = dice.randrange(256)
            elif deed == 1:
                del line[place]
            else:
                line[place:place] = bytes(dice.randrange(256) for _ in range(3))
        found = parse(line.decode("utf-8", errors="replace"))
        assert found is None or found.step >= 0


def test_a_torn_last_line_is_kept_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "logging.jsonl"
    curve = Curve(Tail(path))
    assert not curve.refresh()
    lines = [
        json.dumps(TRAIN | {"global_step/max_steps": f"{n}/9", "note": "训练"}, ensure_ascii=False)
        for n in range(1, 4)
    ]
    data = ("\n".join(lines) + "\n").encode()
    seen = 0
    for end in range(1, len(data) + 1):  # byte by byte, characters cut in two included
        with path.open("ab") as sink:
            sink.write(data[end - 1 : end])
        fresh = curve.refresh()
        assert fresh == (data[end - 1 : end] == b"\n")
        seen += fresh
    assert seen == 3
    assert [e.step for e in curve.events] == [1, 2, 3]
    assert not curve.refresh()


def test_a_line_that_was_never_finished_is_never_an_event(tmp_path: Path) -> None:
    path = tmp_path / "logging.jsonl"
    path.write_text(json.dumps(TRAIN))
    curve = Curve(Tail(path))
    assert not curve.refresh()
    assert (curve.step, curve.max_steps, curve.best_eval_loss) == (0, None, None)


def test_bytes_that_are_no_text_spoil_their_own_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "logging.jsonl"
    path.write_bytes(b"\xff\xfe\x00rubbish\n" + json.dumps(TRAIN).encode() + b"\n")
    curve = Curve(Tail(path))
    assert curve.refresh()
    assert [e.step for e in curve.events] == [3]


def test_the_best_eval_loss_is_the_lowest_finite_one_zero_included() -> None:
    curve = Curve(Tail(Path("none")))
    assert curve.best_eval_loss is None
    curve.events = [Event(1, eval_loss=math.nan), Event(2, eval_loss=-math.inf)]
    assert curve.best_eval_loss is None
    curve.events += [Event(3, eval_loss=0.4), Event(4, eval_loss=0.0), Event(5, loss=-3.0)]
    assert curve.best_eval_loss == 0.0
