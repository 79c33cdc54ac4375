"""From a dataset and a model to a :class:`tuner.records.DatasetReport`.

The reading and counting happens in a warm child (``tuner/workers/lengths.py``);
this module asks for it, keeps the arrays where they can be found again, and
shapes the answer.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from tuner.data.lengths import stats
from tuner.errors import StorageError
from tuner.records import (
    DatasetRef,
    DatasetReport,
    ModelInfo,
    RowProblem,
    Sentence,
    from_dict,
)
from tuner.settings import Settings
from tuner.workers.pool import Pool


def inspect(
    settings: Settings,
    pool: Pool,
    model: ModelInfo,
    data: DatasetRef,
    shape: str = "",
    system: str | None = None,
    seed: int = 42,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> DatasetReport:
    """Read every row as ms-swift does and measure it with the model's template.

    ``progress`` hears rows done and rows in all (0, 0 while loading).

    Raises:
        InputError, NotFoundError: as the verb ``measure``.
        StorageError: no room for the lengths.
    """
    out = settings.lengths / uuid.uuid4().hex

    def on_progress(message: dict[str, Any]) -> None:
        progress(message.get("done", 0), message.get("total", 0))

    try:
        settings.lengths.mkdir(parents=True, exist_ok=True)
        found = pool.call(
            "data", "measure", on_progress, model=model.path, model_type=model.model_type,
            template=model.template, train=list(data.train), validation=list(data.validation),
            split_ratio=data.split_ratio, system=system, seed=seed, out=str(out),
        )  # fmt: skip
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise StorageError(
                "disk.cannot_write", folder=str(settings.lengths), reason=error.strerror or ""
            ) from error
        raise
    lengths = np.load(f"{out}.train.npy", mmap_mode="r")
    return DatasetReport(
        format=shape or "hub",
        read=found["read"],
        valid=found["valid"],
        lengths=stats(lengths),
        lengths_file=f"{out}.train.npy",
        train_file=f"{out}.index.npy",
        eval_rows=found["eval_rows"],
        eval_lengths_file=f"{out}.eval.npy",
        exact=True,
        problems=tuple(
            RowProblem(row, from_dict(Sentence, reason)) for row, reason in found["problems"]
        ),
        problem_count=found["problem_count"],
        untrained=found["untrained"],
        untrained_rows=tuple(found["untrained_rows"]),
        preview=tuple(tuple(conversation) for conversation in found["preview"]),
    )
