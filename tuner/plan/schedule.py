"""How rows become optimizer steps, by the same arithmetic as the trainer.

transformers' Trainer, ``set_initial_training_values`` (v5): batches an epoch =
ceil(rows / batch) a device, updates an epoch = ceil(batches / accumulation),
steps = ceil(epochs * updates an epoch). ms-swift evaluates every ``eval_steps``
steps and at the last one (its ``DefaultFlowCallbackNew``).
"""

from __future__ import annotations

import math

from tuner.records import Kept, Schedule


def schedule(
    kept: Kept, epochs: float, batch: int, accumulation: int, eval_steps: float, devices: int = 1
) -> Schedule:
    """Steps, evaluations and tokens of a run. ``eval_steps`` below 1 is a share of all steps."""
    batches = math.ceil(kept.train_rows / (batch * devices))
    per_epoch = max(math.ceil(batches / accumulation), 1) if batches else 0
    steps = math.ceil(epochs * per_epoch)
    interval = max(1, math.ceil(steps * eval_steps)) if eval_steps < 1 else int(eval_steps)
    return Schedule(
        train_rows=kept.train_rows,
        eval_rows=kept.eval_rows,
        steps_per_epoch=per_epoch,
        steps=steps,
        evaluations=math.ceil(steps / interval) if kept.eval_rows else 0,
        tokens=round(kept.train_tokens * epochs),
    )
