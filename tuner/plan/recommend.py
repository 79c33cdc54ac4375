"""A plan for one case, and the config that it becomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tuner.config import TuningConfig
from tuner.knobs import KNOBS
from tuner.plan import rules
from tuner.plan.schedule import schedule
from tuner.records import (
    Advice,
    DatasetRef,
    DatasetReport,
    Kept,
    Machine,
    ModelInfo,
    Plan,
    Schedule,
    Sentence,
)

#: Below this many steps a curve says little (facts: 300 rows at common defaults are 57 steps).
FEW_STEPS: Final = 30
FEW_EVAL_ROWS: Final = 30


def recommend(
    model: ModelInfo, report: DatasetReport, machine: Machine, kept: Callable[[int], Kept]
) -> Plan:
    """Advice for every knob of the plan.

    ``kept`` says what a max_length leaves of the dataset.
    """
    length = rules.max_length(report.lengths, model.context_length)
    left = kept(length.value)
    epochs = rules.epochs(report.valid)
    size, accumulation = rules.batch(left.train_rows, report.lengths, machine)
    first = schedule(left, epochs.value, size.value, accumulation.value, 1)
    evals = rules.eval_steps(first.steps)
    advice = (
        rules.learning_rate(model), epochs, size, accumulation, length, rules.scheduler(),
        rules.grad_norm(), rules.weight_decay(), evals, rules.warmup(first.steps),
        *rules.lora(), rules.system(model), rules.seed(),
    )  # fmt: skip
    return plan_of(advice, left)


def plan_of(advice: tuple[Advice, ...], left: Kept) -> Plan:
    """The plan that these values make, with what does not fit together in them."""
    values = {a.knob: a.value for a in advice}
    steps = steps_of(values, left)
    return Plan(advice, steps, warnings(values, steps))


def steps_of(values: Mapping[str, Any], left: Kept) -> Schedule:
    """The schedule for these knob values."""
    return schedule(
        left, float(values["num_train_epochs"]), int(values["per_device_train_batch_size"]),
        int(values["gradient_accumulation_steps"]), float(values["eval_steps"]),
    )  # fmt: skip


def warnings(values: Mapping[str, Any], steps: Schedule) -> tuple[Sentence, ...]:
    """What would make nonsense of a run with these values, all of it at once."""
    found = []
    if steps.train_rows == 0:
        return (Sentence("warn.no_rows", {"max_length": values["max_length"]}),)
    if steps.steps < FEW_STEPS:
        found.append(Sentence("warn.few_steps", {"steps": steps.steps, "least": FEW_STEPS}))
    if steps.eval_rows == 0:
        found.append(Sentence("warn.no_eval_rows"))
    elif steps.eval_rows < FEW_EVAL_ROWS:
        found.append(
            Sentence("warn.few_eval_rows", {"rows": steps.eval_rows, "least": FEW_EVAL_ROWS})
        )
    if steps.evaluations == 1:
        found.append(
            Sentence(
                "warn.one_evaluation", {"steps": steps.steps, "eval_steps": values["eval_steps"]}
            )
        )
    return tuple(found)


def config(
    model: ModelInfo, weights: str, data: DatasetRef, machine: Machine, values: Mapping[str, Any],
    eval_rows: int,
) -> TuningConfig:  # fmt: skip
    """The run's settings in ms-swift's flags, from a plan's or a form's values."""
    values = {knob: value for knob, value in values.items() if value not in (None, "")}
    evaluates = eval_rows > 0
    every = int(KNOBS["eval_steps"].parse(values.pop("eval_steps", 50)))
    batch = KNOBS["per_device_train_batch_size"].parse(values.get("per_device_train_batch_size", 1))
    local = weights.startswith("/")
    bf16 = bool(machine.gpus) and all(g.compute_capability >= 8.0 for g in machine.gpus)
    dtype = "bfloat16" if bf16 else "float16" if machine.gpus else "float32"
    small = (model.parameters or 10**10) < 10**9 and not machine.gpus
    before = dict(
        model=weights,
        model_type=model.model_type,
        template=model.template,
        check_model=False if local else None,
        dataset=list(data.train),
        val_dataset=list(data.validation) or None,
        split_dataset_ratio=data.split_ratio or None,
        columns=json.dumps(dict(data.columns), ensure_ascii=False) if data.columns else None,
        agent_template=data.agent_template,
        tuner_type="lora",
        torch_dtype=dtype,
        gradient_checkpointing=False if small else None,
    )
    after = dict(
        eval_steps=every if evaluates else None,
        eval_strategy=None if evaluates else "no",
        per_device_eval_batch_size=batch if evaluates else None,
        save_steps=every,
        save_total_limit=3,
        logging_steps=1,
        dataloader_num_workers=None if machine.gpus else 0,
        report_to=["none"],
    )
    return TuningConfig.of(**(before | values | after | values))  # what was asked for wins
