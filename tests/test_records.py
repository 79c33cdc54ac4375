"""Records travel to JSON and back unharmed, and old and new versions of them open."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from tuner import records
from tuner.records import Advice, Event, Run, Sentence, from_dict, to_dict

KINDS = [
    kind
    for kind in vars(records).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
]


def sample(hint: Any) -> Any:
    """A value of this type that differs from any default."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return sample(next(a for a in arguments if a is not type(None)))
    if dataclasses.is_dataclass(hint):
        return full(hint)
    if origin is tuple:
        return (sample(arguments[0]), sample(arguments[0]))
    if origin is typing.Literal:
        return arguments[0]
    if origin is not None:  # a mapping
        return {'钥匙 "key"': "值\n", "n": "1"}
    return {int: 7, float: 1e-05, str: '文本 \\ "text"', bool: True, Path: Path("a/b"), Any: 2.5}[
        hint
    ]


def full(kind: Any) -> Any:
    """A record with every field set."""
    hints = typing.get_type_hints(kind)
    return kind(**{f.name: sample(hints[f.name]) for f in dataclasses.fields(kind)})


def sparse(kind: Any) -> Any:
    """A record with the required fields alone."""
    hints = typing.get_type_hints(kind)
    required = [f for f in dataclasses.fields(kind)
                if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]  # fmt: skip
    return kind(**{f.name: sample(hints[f.name]) for f in required})


def test_there_are_records_to_test() -> None:
    assert len(KINDS) >= 14


@pytest.mark.parametrize("make", [full, sparse])
@pytest.mark.parametrize("kind", KINDS)
def test_a_record_comes_back_from_json_as_it_was(kind: Any, make: Any) -> None:
    record = make(kind)
    assert from_dict(kind, json.loads(json.dumps(to_dict(record)))) == record


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_a_newer_version_opens_without_its_new_fields(kind: Any) -> None:
    record = sparse(kind)
    assert from_dict(kind, to_dict(record) | {"field_of_the_future": [1]}) == record


def test_a_record_of_an_older_version_opens_with_defaults() -> None:
    assert from_dict(Event, {"step": 3}) == Event(step=3)


def test_a_record_without_a_required_field_is_refused() -> None:
    with pytest.raises(TypeError):
        from_dict(Event, {"loss": 1.0})


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_cannot_be_changed_in_place(kind: Any) -> None:
    record = sparse(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(kind)[0].name, None)


def test_nan_stays_nan_and_zero_stays_zero() -> None:
    back = from_dict(
        Event, json.loads(json.dumps(to_dict(Event(step=1, loss=0.0, grad_norm=float("nan")))))
    )
    assert back.loss == 0.0
    assert back.grad_norm is not None
    assert back.grad_norm != back.grad_norm


def test_advice_from_json_still_says_its_reason_in_both_languages() -> None:
    why = Sentence("why.epochs_small", {"rows": 202, "value": 5})
    advice = Advice("num_train_epochs", 5, why, Sentence("source.original"))
    back = from_dict(Advice, json.loads(json.dumps(to_dict(advice))))
    assert "202" in back.why.say("en")
    assert "202" in back.why.say("zh")


@pytest.mark.parametrize("state", typing.get_args(records.State))
def test_a_run_is_active_exactly_until_it_has_an_outcome(state: Any) -> None:
    run = Run(id="r", state=state, folder=Path(), created=0, updated=0)
    assert run.active == (state not in {"stopped", "finished", "failed", "lost"})
