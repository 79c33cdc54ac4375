"""Each rule gives the value that its source says, and a reason with its numbers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import lengths_of, stats_of
from tuner.errors import InputError
from tuner.knobs import FORM, KNOBS
from tuner.plan import recommend, rules
from tuner.records import (
    Advice,
    DatasetRef,
    DatasetReport,
    Gpu,
    Machine,
    ModelInfo,
    RowProblem,
    Sentence,
)
from tuner.texts import LANGS

CPU = Machine(cpu_count=2, memory_total=16 << 30, memory_available=8 << 30, disk_free=100 << 30)
AMPERE = dataclasses.replace(CPU, gpus=(Gpu("A100", 80 << 30, 79 << 30, 8.0),))
VOLTA = dataclasses.replace(CPU, gpus=(Gpu("V100", 16 << 30, 15 << 30, 7.0),))
QWEN = ModelInfo("Qwen/Qwen3-8B", architecture="Qwen3ForCausalLM", model_type="qwen3", template="qwen3",
                 hidden_size=4096, context_length=40960, parameters=8_190_735_360)  # fmt: skip


def report_of(valid: int, read: int | None = None) -> DatasetReport:
    return DatasetReport(
        format="messages (jsonl)", read=read or valid, valid=valid, lengths=stats_of(), folder="",
        eval_rows=40, exact=True,
        problems=(RowProblem(1, Sentence("reason.no_messages")),), problem_count=1,
    )  # fmt: skip


def said(advice: Advice) -> str:
    """The reason, after both languages and the source have been said in full."""
    for lang in LANGS:
        assert "{" not in advice.why.say(lang) + advice.source.say(lang)
    return advice.why.say("en")


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [(1, 5), (999, 5), (1000, 4), (2999, 4), (3000, 3), (9_999, 3), (10_000, 2), (49_999, 2), (50_000, 1),
     (10**7, 1)],
)  # fmt: skip
def test_epochs_follow_the_original_advice_and_the_stated_rule_inside_it(
    rows: int, epochs: int
) -> None:
    advice = rules.epochs(rows)
    assert advice.value == epochs
    assert f"{rows:,}" in said(advice)
    assert 3 <= epochs <= 5 if rows < 10_000 else 1 <= epochs <= 2


def test_epochs_count_valid_rows_before_max_length_and_before_the_split() -> None:
    left = lengths_of([50] * 12_000, train=[50] * 900).kept
    plan = recommend.recommend(QWEN, report_of(valid=10_000, read=12_000), CPU, left)
    assert next(a.value for a in plan.advice if a.knob == "num_train_epochs") == 2


@given(st.integers(10, 10**7))
def test_a_run_of_ten_steps_or_more_has_ten_evaluations_or_more(steps: int) -> None:
    value = rules.eval_steps(steps).value
    assert 1 <= value <= 50
    assert steps // value >= 10


@given(st.integers(0, 9))
def test_a_shorter_run_is_evaluated_at_every_step(steps: int) -> None:
    assert rules.eval_steps(steps).value == 1


@pytest.mark.parametrize(
    ("architecture", "hidden", "rate"),
    [
        ("Qwen3ForCausalLM", 3584, 4.8e-4),  # the number that the paper's code gives
        ("Qwen2ForCausalLM", 2000, 5e-4),
        ("LlamaForCausalLM", 4096, 2.9e-4),
        ("LlamaForCausalLM", 2000, 5e-4),
        ("LlamaForCausalLM", 8192, 1.7e-4),
    ],
)
def test_the_learning_rate_is_the_formula_where_it_was_calibrated(
    architecture: str, hidden: int, rate: float
) -> None:
    advice = rules.learning_rate(ModelInfo("m", architecture=architecture, hidden_size=hidden))
    assert advice.value == pytest.approx(rate)
    assert str(f"{rate:g}") in said(advice)
    assert advice.why.key == "why.rate_formula"
    assert "Regret" in advice.source.say("en")


def test_outside_the_calibrated_widths_the_rate_says_that_it_is_an_extrapolation() -> None:
    advice = rules.learning_rate(ModelInfo("m", architecture="LlamaForCausalLM", hidden_size=576))
    assert advice.value == pytest.approx(1.3e-3)
    assert advice.why.key == "why.rate_extrapolated"


@pytest.mark.parametrize("model", [
    ModelInfo("GLM", architecture="Glm4ForCausalLM", hidden_size=4096),
    ModelInfo("no width", architecture="Qwen3ForCausalLM"),
    ModelInfo("nothing"),
])  # fmt: skip
def test_for_a_family_that_was_not_calibrated_the_rate_is_not_guessed(model: ModelInfo) -> None:
    advice = rules.learning_rate(model)
    assert advice.value == KNOBS["learning_rate"].default
    assert advice.why.key == "why.rate_unknown"
    assert advice.source.key == "source.swift_default"


@given(st.integers(1, 10**6), st.integers(1, 20_000), st.sampled_from([CPU, AMPERE]))
def test_batch_times_accumulation_is_the_batch_that_was_meant(
    rows: int, p95: int, machine: Machine
) -> None:
    size, accumulation = rules.batch(rows, stats_of(p95=p95), machine)
    assert size.value * accumulation.value == rules.global_batch(rows)
    assert rules.global_batch(rows) in (4, 8, 16)
    if machine.gpus:
        assert size.value == 1
    else:
        assert size.value * p95 <= max(2048, p95)
    assert said(size)
    assert said(accumulation)


@pytest.mark.parametrize(
    ("p99", "longest", "context", "value"),
    [
        (100, 150, None, 2048), (2048, 2048, None, 2048), (2049, 3000, None, 4096), (2000, 9000, None, 2048),
        (9000, 9000, None, 16384), (500_000, 900_000, None, 131072), (100, 150, 1024, 1024),
        (5000, 6000, 4096, 4096), (5000, 6000, 8192, 8192),
    ],
)  # fmt: skip
def test_max_length_keeps_99_percent_and_never_exceeds_the_context(
    p99: int, longest: int, context: int | None, value: int
) -> None:
    advice = rules.max_length(stats_of(p99=p99, longest=longest), context)
    assert advice.value == value
    assert said(advice)


def test_a_system_prompt_of_the_models_own_is_trained_with() -> None:
    own = ModelInfo("m", default_system="You are Qwen.")
    assert rules.system(own).value == "You are Qwen."
    assert rules.system(ModelInfo("m")).value == ""


@pytest.mark.parametrize("machine", [CPU, AMPERE, VOLTA])
def test_a_plan_advises_on_every_knob_of_the_form_with_reason_and_source(machine: Machine) -> None:
    left = lengths_of([50] * 400, train=[50] * 360, validation=[50] * 40).kept
    plan = recommend.recommend(QWEN, report_of(400), machine, left)
    assert set(FORM) <= {advice.knob for advice in plan.advice}
    for advice in plan.advice:
        assert said(advice)
        assert KNOBS[advice.knob].parse(advice.value) == advice.value
    assert plan.schedule.evaluations >= 10
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("machine", "dtype"), [(CPU, "float32"), (VOLTA, "float16"), (AMPERE, "bfloat16")]
)
def test_a_config_fits_the_machine(machine: Machine, dtype: str) -> None:
    values = {
        "learning_rate": 1e-4,
        "per_device_train_batch_size": 8,
        "eval_steps": 7,
        "system": "",
    }
    data = DatasetRef(("a/b",), ("c/d",))
    config = dict(recommend.config(QWEN, "/models/qwen", data, machine, values, eval_rows=40))
    assert config["torch_dtype"] == dtype
    assert config["eval_steps"] == config["save_steps"] == 7
    assert config["check_model"] is False
    assert config["val_dataset"] == ["c/d"]
    assert "system" not in config
    assert "split_dataset_ratio" not in config


def test_a_config_without_validation_rows_asks_for_no_evaluation() -> None:
    values = {"per_device_train_batch_size": 8, "eval_steps": 7}
    config = dict(
        recommend.config(QWEN, "Qwen/Qwen3-8B", DatasetRef(("a/b",)), CPU, values, eval_rows=0)
    )
    assert config["eval_strategy"] == "no"
    assert config["save_steps"] == 7
    assert not {"eval_steps", "per_device_eval_batch_size", "val_dataset", "check_model"} & set(
        config
    )


@pytest.mark.parametrize(
    "knob", ["learning_rate", "eval_steps", "per_device_train_batch_size", "lora_rank"]
)
def test_a_bad_value_from_the_form_is_refused_by_name(knob: str) -> None:
    for value in ("fast", -1, True):
        with pytest.raises(InputError, match=knob):
            recommend.config(QWEN, "a/b", DatasetRef(("a/b",)), CPU, {knob: value}, eval_rows=40)


def test_what_was_asked_for_wins_over_what_the_app_would_set() -> None:
    values = {
        "save_steps": 100,
        "logging_steps": 5,
        "torch_dtype": "bfloat16",
        "gradient_checkpointing": False,
    }
    config = dict(recommend.config(QWEN, "a/b", DatasetRef(("a/b",)), CPU, values, eval_rows=40))
    assert {knob: config[knob] for knob in values} == values
    assert config["eval_steps"] == 50
