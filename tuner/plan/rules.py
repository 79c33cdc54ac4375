"""One rule a knob: pure functions from the case to a value, its reason and its source.

The original answer is the advice this project started from: eight knobs that
shape the loss, with advice for each. Where more is known it is used and cited;
where nothing is known for a model family, the rule says so and stays at
ms-swift's default.
"""

from __future__ import annotations

import math
from typing import Final

from tuner.records import Advice, LengthStats, Machine, ModelInfo, Sentence

#: The original answer's border between small and large datasets (Bailian's rule is the same).
MANY_ROWS: Final = 10_000
#: An epoch count below this border still leaves LoRA with few steps.
FEW_ROWS: Final = 1_000
SOME_ROWS: Final = 3_000
VERY_MANY_ROWS: Final = 50_000
LENGTH_STEPS: Final = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
EVALUATIONS: Final = 10
MOST_EVAL_STEPS: Final = 50  #: the original answer's eval_steps

#: "LoRA Without Regret" (Thinking Machines, 2025) and its published code: the
#: best LoRA rate is 5e-4 * (2000 / hidden_size) ** exponent, calibrated on these families.
LORA_BASE_RATE: Final = 5e-4
LORA_EXPONENTS: Final = {"qwen": 0.0775, "llama": 0.781}
#: Hidden sizes on which that formula was calibrated; outside them it is an extrapolation.
CALIBRATED_HIDDEN: Final = (1024, 8192)
DEFAULT_RATE: Final = 1e-4

ORIGINAL: Final = Sentence("source.original")
SWIFT: Final = Sentence("source.swift_default")
LORA_PAPER: Final = Sentence("source.lora_without_regret")


def epochs(valid_rows: int) -> Advice:
    """3 to 5 below 10,000 valid rows, 1 to 2 from there on; inside the range, fewer rows more epochs.

    ``valid_rows`` counts before max_length and before the split, as the
    original advice does.
    """
    if valid_rows < MANY_ROWS:
        value = 5 if valid_rows < FEW_ROWS else 4 if valid_rows < SOME_ROWS else 3
        why = Sentence("why.epochs_small", {"rows": valid_rows, "value": value})
    else:
        value = 2 if valid_rows < VERY_MANY_ROWS else 1
        why = Sentence("why.epochs_large", {"rows": valid_rows, "value": value})
    return Advice("num_train_epochs", value, why, ORIGINAL)


def learning_rate(model: ModelInfo) -> Advice:
    """The LoRA rate by family and width; ms-swift's default where the family is not calibrated."""
    family = _family(model)
    if family is None or not model.hidden_size:
        why = Sentence("why.rate_unknown", {"model": model.architecture or model.ref})
        return Advice("learning_rate", DEFAULT_RATE, why, SWIFT)
    rate = LORA_BASE_RATE * (2000 / model.hidden_size) ** LORA_EXPONENTS[family]
    value = float(f"{rate:.2g}")
    low, high = CALIBRATED_HIDDEN
    inside = low <= model.hidden_size <= high
    key = "why.rate_formula" if inside else "why.rate_extrapolated"
    why = Sentence(
        key,
        {"family": family.capitalize(), "hidden": model.hidden_size, "value": f"{value:g}",
         "exponent": f"{LORA_EXPONENTS[family]:g}"},
    )  # fmt: skip
    return Advice("learning_rate", value, why, LORA_PAPER)


def _family(model: ModelInfo) -> str | None:
    architecture = (model.architecture or "").lower()
    return next((family for family in LORA_EXPONENTS if architecture.startswith(family)), None)


def global_batch(train_rows: int) -> int:
    """16 as ms-swift, fewer on small datasets, so that a run has enough steps to learn in.

    LoRA tolerates large batches less than full fine-tuning ("LoRA Without Regret").
    """
    return 4 if train_rows < 100 else 8 if train_rows < FEW_ROWS else 16


def batch(train_rows: int, lengths: LengthStats, machine: Machine) -> tuple[Advice, Advice]:
    """Batch size and accumulation. On a GPU 1 a device is safe and accumulation does the rest.

    Without a GPU memory is plenty and rows are short, so the whole batch goes
    in at once: it is faster than accumulating.
    """
    whole = global_batch(train_rows)
    room = 1 if machine.gpus else max(1, 2048 // max(lengths.p95, 1))
    size = 2 ** int(math.log2(max(1, min(whole, room))))
    accumulation = max(1, whole // size)
    where = {"rows": train_rows, "whole": size * accumulation, "size": size, "steps": accumulation}
    key = "why.batch_gpu" if machine.gpus else "why.batch_cpu"
    return (
        Advice("per_device_train_batch_size", size, Sentence(key, where), ORIGINAL),
        Advice(
            "gradient_accumulation_steps", accumulation, Sentence("why.accumulation", where), SWIFT
        ),
    )


def max_length(lengths: LengthStats, context: int | None) -> Advice:
    """2048, or the next power of two that keeps 99 % of the rows; never above the model's context."""
    value = next((step for step in LENGTH_STEPS if lengths.p99 <= step), LENGTH_STEPS[-1])
    if lengths.max <= LENGTH_STEPS[0]:
        why = Sentence("why.length_all", {"longest": lengths.max})
    else:
        why = Sentence(
            "why.length_most", {"p99": lengths.p99, "longest": lengths.max, "value": value}
        )
    if context is not None and value > context:
        value = context
        why = Sentence("why.length_context", {"context": context, "p99": lengths.p99})
    return Advice("max_length", value, why, ORIGINAL)


def scheduler() -> Advice:
    """Cosine, as ms-swift's default: below 3 epochs the differences are small."""
    return Advice("lr_scheduler_type", "cosine", Sentence("why.scheduler"), ORIGINAL)


def warmup(steps: int) -> Advice:
    """5 % of the run: at a LoRA rate well above the default the first steps need care."""
    value = 0.05
    first = max(1, math.ceil(steps * value))
    return Advice(
        "warmup_ratio", value, Sentence("why.warmup", {"steps": first}), Sentence("source.practice")
    )


def grad_norm() -> Advice:
    """ms-swift's default; the original answer seldom changes it."""
    return Advice("max_grad_norm", 1.0, Sentence("why.grad_norm"), ORIGINAL)


def weight_decay() -> Advice:
    """ms-swift's default; weak for LoRA."""
    return Advice("weight_decay", 0.1, Sentence("why.weight_decay"), SWIFT)


def eval_steps(steps: int) -> Advice:
    """Such that a run has at least 10 evaluations, and never rarer than every 50 steps."""
    value = max(1, min(MOST_EVAL_STEPS, steps // EVALUATIONS))
    why = Sentence("why.eval_steps", {"steps": steps, "count": math.ceil(steps / value)})
    return Advice("eval_steps", value, why, ORIGINAL)


def lora() -> tuple[Advice, Advice]:
    """Rank 8 and alpha 32; the learning rate's rule assumes this scale."""
    return (
        Advice("lora_rank", 8, Sentence("why.lora_rank"), SWIFT),
        Advice("lora_alpha", 32, Sentence("why.lora_alpha"), LORA_PAPER),
    )


def system(model: ModelInfo) -> Advice:
    """The model's own default system prompt, so that training and later use see the same text."""
    if model.default_system:
        why = Sentence("why.system_own")
        return Advice("system", model.default_system, why, Sentence("source.model"))
    return Advice("system", "", Sentence("why.system_none"), SWIFT)


def seed() -> Advice:
    """ms-swift's default, written down so that a run can be repeated."""
    return Advice("seed", 42, Sentence("why.seed"), SWIFT)
