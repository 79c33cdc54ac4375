"""From a dataset and a model to a :class:`tuner.records.DatasetReport`.

The reading and counting happens in a warm child (``tuner/workers/lengths.py``);
this module asks for it, keeps what was found where it can be found again, and
shapes the answer.

What was found is kept by content: the bytes of the data files and of the
tokenizer, the template, the system prompt, the split, ms-swift's version. A
second look at the same answers at once; a changed file is another look. What
comes from a hub by its id has no bytes here and is read again each time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from tuner.data.lengths import stats
from tuner.errors import StorageError
from tuner.files import read_json, write_json
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

#: The arrays of one look; the JSON beside them is written last and says that they are whole.
PARTS: Final = ("train", "index", "eval")
#: What of a model decides its tokens.
TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
)
#: Raised when what is kept changes its shape.
FORMAT: Final = 1


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
    key = _key(model, data, system, seed)
    try:
        settings.lengths.mkdir(parents=True, exist_ok=True)
        if key is not None and (found := _kept(settings.lengths, key)) is not None:
            return _report(settings.lengths / key, found, shape)
        out = settings.lengths / uuid.uuid4().hex
        found = pool.call(
            "data",
            "measure",
            lambda message: progress(message.get("done", 0), message.get("total", 0)),
            model=model.path,
            model_type=model.model_type,
            template=model.template,
            train=list(data.train),
            validation=list(data.validation),
            split_ratio=data.split_ratio,
            system=system,
            seed=seed,
            out=str(out),
        )
        if key is not None:
            out = _keep(out, settings.lengths / key, found)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise StorageError(
                "disk.cannot_write", folder=str(settings.lengths), reason=error.strerror or ""
            ) from error
        raise
    return _report(out, found, shape)


def _key(model: ModelInfo, data: DatasetRef, system: str | None, seed: int) -> str | None:
    """What decides the lengths, as one name; None when a part of it is not on this machine."""
    files = [Path(re.sub(r"#\d+$", "", name)) for name in (*data.train, *data.validation)]
    if model.path is None or not all(path.is_file() for path in files):
        return None
    tokenizer = [Path(model.path) / name for name in TOKENIZER_FILES]
    described = [
        FORMAT,
        version("ms-swift"),
        [model.model_type, model.template, system, seed, data.split_ratio],
        # A file's name counts too: ms-swift has preprocessors of its own for some names.
        [Path(name).name for name in data.train],
        [Path(name).name for name in data.validation],
        [_digest(path) for path in (*files, *(path for path in tokenizer if path.is_file()))],
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _kept(folder: Path, key: str) -> dict[str, Any] | None:
    """What an earlier look found; None if there was none, or not all of it is there."""
    if not all((folder / f"{key}.{part}.npy").is_file() for part in PARTS):
        return None
    try:
        return read_json(folder / f"{key}.json")
    except (OSError, ValueError):
        return None


def _keep(made: Path, kept: Path, found: dict[str, Any]) -> Path:
    """Move the arrays to the name of their content, then say that they are whole."""
    for part in PARTS:
        os.replace(f"{made}.{part}.npy", f"{kept}.{part}.npy")
    write_json(kept.with_name(f"{kept.name}.json"), found)
    return kept


def _report(out: Path, found: dict[str, Any], shape: str) -> DatasetReport:
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
