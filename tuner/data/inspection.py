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
import itertools
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from tuner.data import ledger
from tuner.data.lengths import Lengths
from tuner.data.rows import FOUND, Rows
from tuner.errors import InputError, StorageError, TunerError
from tuner.files import read_json, write_json
from tuner.records import (
    DatasetRef,
    DatasetReport,
    Estimate,
    ModelInfo,
    RowProblem,
    Sentence,
    from_dict,
)
from tuner.settings import Settings
from tuner.workers.pool import Pool

#: Lost rows that a report carries; the folder has more.
FIRST_PROBLEMS: Final = 200
FIRST_ROWS: Final = 10
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
FORMAT: Final = 2
#: A file up to this size (bytes) is known by all its bytes.
ALL_OF_IT: Final = 64 << 20
BLOCK: Final = 64 << 10


Tell = Callable[[Mapping[str, Any]], None]


def inspect(
    settings: Settings,
    pool: Pool,
    model: ModelInfo,
    data: DatasetRef,
    shape: str = "",
    system: str | None = None,
    seed: int = 42,
    progress: Tell = lambda _: None,
    max_length: int = 2048,
) -> DatasetReport:
    """Read every row as ms-swift does and measure it with the model's template.

    ``progress`` hears ``stage``, ``done`` and ``total`` rows, and of a large file
    an ``estimate`` first.

    Raises:
        InputError, NotFoundError: as the verb ``measure``.
        StorageError: no room for the lengths.
    """
    key = _key(model, data, system, seed)
    kept = settings.lengths / (key or uuid.uuid4().hex)
    if key is not None and (found := _found(kept)) is not None:
        return report_of(kept, found, shape)
    # Written beside its place and moved there whole: nothing half-written is ever found.
    made = settings.lengths / f".{uuid.uuid4().hex}"
    try:
        settings.lengths.mkdir(parents=True, exist_ok=True)
        found = _measure(settings, pool, model, data, system, seed, made, max_length, progress)
        if key is not None and _key(model, data, system, seed) != key:
            raise InputError("file.changed", file=", ".join(Path(name).name for name in data.train))
        if kept.exists():
            shutil.rmtree(kept)
        os.replace(made, kept)
    except OSError as error:
        if isinstance(error, TunerError) or error.errno not in (
            errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT,
        ):  # fmt: skip
            raise
        raise StorageError(
            "disk.cannot_write", folder=str(settings.lengths), reason=error.strerror or ""
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _moved(kept, made, found)
    return report_of(kept, found, shape)


def estimated(
    settings: Settings, pool: Pool, model: ModelInfo, data: DatasetRef,
    system: str | None = None, max_length: int = 2048,
) -> Estimate | None:  # fmt: skip
    """What a random sample says of a large file; None for one that is read as fast. Raises as ``inspect``."""
    made = settings.lengths / f".{uuid.uuid4().hex}"
    settings.lengths.mkdir(parents=True, exist_ok=True)
    try:
        found = _measure(
            settings, pool, model, data, system, 42, made, max_length, lambda _: None, True
        )
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return from_dict(Estimate, found["estimate"]) if found["estimate"] else None


def _measure(
    settings: Settings, pool: Pool, model: ModelInfo, data: DatasetRef, system: str | None, seed: int,
    out: Path, max_length: int, progress: Tell, only_estimate: bool = False,
) -> dict[str, Any]:  # fmt: skip
    return pool.call(
        "data", "measure", progress,
        model=model.path, model_type=model.model_type, template=model.template,
        train=list(data.train), validation=list(data.validation), split_ratio=data.split_ratio,
        system=system, seed=seed, out=str(out), columns=dict(data.columns),
        agent_template=data.agent_template, encoders_folder=str(settings.home / "encoders"),
        max_length=max_length, only_estimate=only_estimate,
    )  # fmt: skip


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
        [dict(data.columns), data.agent_template],
        # A file's place counts too: the texts of a look stay there, and ms-swift has
        # preprocessors of its own for some names.
        [list(data.train), list(data.validation)],
        [_digest(path) for path in (*files, *(path for path in tokenizer if path.is_file()))],
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def _digest(path: Path) -> list[Any]:
    """What tells whether a file is the same: all its bytes.

    Of a large one its size, its time and 256 blocks of it: a look must not begin by reading it.
    """
    size = path.stat().st_size
    with path.open("rb") as source:
        if size <= ALL_OF_IT:
            return [hashlib.file_digest(source, "sha256").hexdigest()]
        digest = hashlib.sha256()
        for block in range(256):
            source.seek(block * (size - BLOCK) // 255)
            digest.update(source.read(BLOCK))
        return [digest.hexdigest(), size, path.stat().st_mtime_ns]


def _found(folder: Path) -> dict[str, Any] | None:
    """What an earlier look found; None if there was none, or not all of it is there."""
    try:
        found = read_json(folder / FOUND)
        stores = [store["path"] for side in found["stores"].values() for store in side]
    except (OSError, ValueError, KeyError):
        return None
    return found if all(Path(store).is_file() for store in stores) else None


def _moved(kept: Path, made: Path, found: dict[str, Any]) -> None:
    """Stores that lay in the folder while it was written lie in its new place."""
    for side in found["stores"].values():
        for store in side:
            store["path"] = store["path"].replace(str(made), str(kept))
    write_json(kept / FOUND, found)


def report_of(folder: Path, found: Mapping[str, Any], shape: str) -> DatasetReport:
    """The report of a look that lies in ``folder``."""
    rows = Rows.open(folder, "train")
    lengths = Lengths.load(str(folder))
    untrained = np.flatnonzero(rows.trained == 0)[:FIRST_ROWS] if found["untrained"] else ()
    return DatasetReport(
        format=shape or "hub",
        read=sum(part["read"] for part in found["parts"]["train"]),
        valid=found["valid"],
        lengths=lengths.of_rows.stats(),
        folder=str(folder),
        eval_rows=len(lengths.validation),
        exact=True,
        ledger=ledger.until_split(found),
        problems=problems(folder, FIRST_PROBLEMS),
        problem_count=found["problem_count"],
        trained_tokens=found["trained_tokens"],
        untrained=found["untrained"],
        untrained_rows=tuple(int(rows.row[place]) for place in untrained),
        channels=found["channels"],
        path=found["path"],
        checked=found["checked"],
        seconds=found["seconds"],
        estimate=from_dict(Estimate, found["estimate"]) if found["estimate"] else None,
        preview=tuple(tuple(conversation) for conversation in found["preview"]),
    )


def problems(folder: Path, most: int, start: int = 0) -> tuple[RowProblem, ...]:
    """Lost rows of a look, in the order in which they were met."""
    names = read_json(folder / FOUND)["parts"]
    with (folder / "problems.jsonl").open(encoding="utf-8") as source:
        lines = [json.loads(line) for line in itertools.islice(source, start, start + most)]
    return tuple(
        RowProblem(
            line["row"], from_dict(Sentence, line["reason"]), line["text"],
            names[line["side"]][line["part"]]["name"], line["stage"],
        )
        for line in lines
    )  # fmt: skip
