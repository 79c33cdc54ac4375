"""The table of knobs: what it takes, what it refuses, and that ms-swift still agrees with it."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError, TunerError
from tuner.knobs import FORM, KNOBS, REFUSED
from tuner.texts import LANGS

NUMBERS = [knob for knob in KNOBS.values() if knob.kind in ("int", "float")]


def test_the_form_holds_the_eight_knobs_of_the_original_answer() -> None:
    assert {
        "learning_rate", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps",
        "max_length", "lr_scheduler_type", "max_grad_norm", "weight_decay", "eval_steps",
    } <= set(FORM)  # fmt: skip
    assert set(FORM) <= set(KNOBS)


def test_every_knob_has_label_and_help_in_both_languages() -> None:
    for knob in KNOBS.values():
        for words in (knob.label, knob.help):
            assert set(words) == set(LANGS), knob.flag
            assert all(words[lang].strip() for lang in LANGS), knob.flag


def test_no_knob_is_also_refused() -> None:
    assert not REFUSED & set(KNOBS)


def test_bounds_are_allowed_and_what_lies_beyond_them_is_refused_by_name() -> None:
    assert len(NUMBERS) >= 14
    for knob in NUMBERS:
        assert knob.low is not None
        assert knob.high is not None
        assert knob.parse(knob.low) == knob.low
        assert knob.parse(str(knob.high)) == knob.high
        step = 1 if knob.kind == "int" else 1e-9
        for beyond in (knob.low - step, knob.high + max(step, knob.high * 1e-9)):
            with pytest.raises(InputError, match=knob.flag):
                knob.parse(beyond)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "1,5",
        None,
        "nan",
        "inf",
        float("-inf"),
        True,
        [],
        {},
        pytest.param(10**400, id="huge"),
    ],
)
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    for knob in NUMBERS:
        with pytest.raises(InputError, match=knob.flag):
            knob.parse(value)


def test_a_default_is_a_value_that_the_knob_allows() -> None:
    for knob in KNOBS.values():
        if knob.default is not None:
            assert knob.parse(knob.default) == knob.default


def test_strings_from_a_form_become_the_knobs_own_type() -> None:
    assert KNOBS["learning_rate"].parse(" 1e-4 ") == 1e-4
    rows = KNOBS["per_device_train_batch_size"].parse("8")
    assert rows == 8
    assert isinstance(rows, int)
    assert KNOBS["gradient_checkpointing"].parse("False") is False
    with pytest.raises(InputError, match="whole"):
        KNOBS["seed"].parse("1.5")
    with pytest.raises(InputError, match="true nor false"):
        KNOBS["gradient_checkpointing"].parse("yes")
    with pytest.raises(InputError, match="cosine"):
        KNOBS["lr_scheduler_type"].parse("cosin")


@given(
    st.sampled_from(sorted(KNOBS)),
    st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()),
)
def test_whatever_is_typed_gives_a_value_in_bounds_or_a_sentence(flag: str, value: Any) -> None:
    knob = KNOBS[flag]
    try:
        parsed = knob.parse(value)
    except TunerError as refusal:
        said = [refusal.say(lang) for lang in LANGS]
    else:
        said = []
        assert knob.parse(parsed) == parsed
        if knob.low is not None and knob.high is not None:
            assert knob.low <= parsed <= knob.high
    assert all(flag in sentence for sentence in said)


@pytest.mark.slow
def test_every_knob_is_a_flag_of_ms_swift_with_its_type_and_default(tiny_model: Path) -> None:
    from swift.arguments import SftArguments

    hints = typing.get_type_hints(SftArguments)
    # What a run really starts with when a flag is left out: some are decided after parsing.
    started = SftArguments(
        model=str(tiny_model), model_type="llama", template="chatml", dataset=["a/b"],
        report_to=["none"], output_dir=str(tiny_model.parent / "unused"), add_version=False,
    )  # fmt: skip
    for knob in KNOBS.values():
        assert kind_of(hints[knob.flag]) & {knob.kind, "text"}, (knob.flag, hints[knob.flag])
        value = getattr(started, knob.flag)
        if knob.default is not None:
            assert getattr(value, "value", value) == knob.default, knob.flag
    assert {knob.flag for knob in KNOBS.values() if knob.default is None} == {
        "gradient_accumulation_steps", "max_length", "system", "torch_dtype",
    }  # fmt: skip
    assert started.training_args.gradient_accumulation_steps == 16  # at a batch size of 1
    assert started.max_length == 2048  # this model's own limit


def kind_of(hint: Any) -> set[str]:
    """The kinds of knob that a field of this type can be."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*(kind_of(a) for a in typing.get_args(hint)))
    if typing.get_origin(hint) is typing.Literal:
        return {"choice"}
    return {int: {"int", "float"}, float: {"float"}, bool: {"bool"}, str: {"text", "choice"}}.get(
        hint, {"choice"}
    )


@pytest.mark.slow
def test_refused_flags_are_flags_of_ms_swift_so_that_none_is_misspelt() -> None:
    from swift.arguments import SftArguments

    fields = {f.name for f in dataclasses.fields(SftArguments)}
    assert {flag for flag in REFUSED if flag not in fields} <= {
        "ENV",
        "deepspeed_elastic",
        "custom_register_path",
    }
