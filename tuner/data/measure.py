"""The verb ``measure``: every row of a dataset, read as ms-swift reads it, with its exact length.

It runs in a warm child. It makes a folder (``tuner/data/rows.py`` says of what),
``found.json`` last; each dataset is counted by ``tuner/data/parts.py``. It
refuses to repair anything.
"""

from __future__ import annotations

import errno
import itertools
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.data import sampling
from tuner.data.estimate import Draw, estimate
from tuner.data.parts import (
    Asked,
    Part,
    PartCounter,
    Problems,
    contents_of,
    ordinary,
    parsed,
    roles_of,
    without_count,
)
from tuner.data.rows import FOUND, Columns, Side, column, standard
from tuner.errors import InputError, StorageError, TunerError
from tuner.files import write_json
from tuner.records import to_dict
from tuner.workers import encoders, loading
from tuner.workers.counter import LONGEST_ROW
from tuner.workers.probing import Reference
from tuner.workers.probing import measure as by_shape

if TYPE_CHECKING:
    from tuner.workers.child import Call

PREVIEW_ROWS: Final = 3
#: What the system says when a disk is full, over its quota or not to be written to.
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
#: Draws of the estimate, and the file size (bytes) from which one is worth making.
DRAWS: Final = 1_000
WORTH: Final = 4 << 20


def measure(
    call: Call, model: str, model_type: str, template: str, train: list[str], validation: list[str],
    split_ratio: float, system: str | None, seed: int, out: str, columns: dict[str, str],
    agent_template: str | None, encoders_folder: str, max_length: int, only_estimate: bool,
) -> dict[str, Any]:  # fmt: skip
    """Lengths and trained tokens of every valid row, in the folder ``out`` (see ``tuner/data/rows``).

    Progress tells ``stage``, ``done`` and ``total`` rows, and for a large file an
    ``estimate`` (:class:`tuner.records.Estimate`) before anything else is known.

    Raises:
        NotFoundError: a dataset that the hub does not have, or no way to reach it.
        InputError: no row of a dataset came through, none has an answer to learn, or
            there are too few for the split or count; a file that cannot be read.
        StorageError: no room for the columns.
    """
    try:
        return _measure(
            call, (model, model_type, template, system, agent_template), train, validation,
            split_ratio, seed, Path(out), columns, Path(encoders_folder), max_length, only_estimate,
        )  # fmt: skip
    except OSError as error:
        if isinstance(error, TunerError) or error.errno not in NO_ROOM:
            raise
        reason = error.strerror or ""
        raise StorageError("disk.cannot_write", folder=out, reason=reason) from error


def _measure(
    call: Call, key: tuple[str | None, ...], train: list[str], validation: list[str],
    split_ratio: float, seed: int, folder: Path, columns: dict[str, str], encoders_folder: Path,
    max_length: int, only_estimate: bool,
) -> dict[str, Any]:  # fmt: skip
    started = time.monotonic()
    call.progress(stage="load", done=0, total=0)
    reference = _reference(*key)
    spec: Mapping[str, str] = {"encoder": "ms-swift"}
    if reference.tokenizer_json is not None:
        spec = encoders.admit(encoders_folder, reference.tokenizer_json)
    encoder = encoders.load(spec) if "file" in spec else None
    folder.mkdir(parents=True)
    asked = Asked(call, reference, encoder, spec, folder, columns, max_length)
    guessed = _estimate(asked, train)
    if guessed is not None:
        call.progress(stage="estimate", estimate=guessed, done=0, total=0)
    if only_estimate:
        return {"estimate": guessed, "seconds": time.monotonic() - started}
    problems = Problems(folder)
    parts = {"train": _side(asked, "train", train, problems)}
    trained = column(folder, "train", "trained")
    if not trained.any():
        raise InputError("data.no_answers", data=", ".join(train), rows=len(trained))
    held = _split(folder, parts["train"], train, split_ratio, seed)
    parts["eval"] = _side(asked, "eval", validation, problems)
    checks = _chosen_checks(folder, parts["eval"], validation, seed)
    problems.close()
    everything = [*parts["train"], *parts["eval"]]
    found = {
        "stores": {
            side: [{"path": part.store, "name": part.name} for part in parts[side]]
            for side in ("train", "eval")
        },
        "parts": {side: [_facts(part) for part in parts[side]] for side in parts},
        "split": held,
        "checks": checks,
        "valid": sum(part.valid for part in parts["train"]),
        "problem_count": problems.count,
        "trained_tokens": int(trained.sum(dtype=np.int64)),
        "untrained": len(trained) - int(np.count_nonzero(trained)),
        "channels": dict(sum((part.channels for part in parts["train"]), Counter())),
        "path": " + ".join(dict.fromkeys(part.path for part in everything)),
        "checked": sum(part.checked for part in everything),
        "preview": _preview(parts["train"]),
        "seconds": round(time.monotonic() - started, 2),
        "estimate": guessed,
    }
    write_json(folder / FOUND, found)
    return found


_kept: dict[tuple[str | None, ...], Reference] = {}


def _reference(*key: str | None) -> Reference:
    """The template for these arguments; the last one is kept warm."""
    if key not in _kept:
        model, model_type, template, system, agent_template = key
        assert model and model_type and template
        made = Reference(model, model_type, template, system, agent_template)
        _kept.clear()
        _kept[key] = made
    return _kept[key]


def _side(asked: Asked, side: Side, names: Sequence[str], problems: Problems) -> list[Part]:
    columns = Columns(asked.folder, side)
    parts = []
    try:
        for number, name in enumerate(names):
            parts.append(PartCounter(asked, side, number, name, columns, problems).run())
    finally:
        columns.close()
    return parts


def _split(
    folder: Path, parts: Sequence[Part], names: Sequence[str], ratio: float, seed: int
) -> dict[str, int]:
    """Write which valid rows train and which are held out; the counts before the template.

    Nothing is written where all rows train.
    """
    loaded = sum(part.loaded for part in parts)
    if not ratio and not any(_counted(name) for name in names):
        return {"chosen": loaded, "train": loaded, "held": 0}
    train, held = loading.split(names, [part.loaded for part in parts], ratio, True, seed)
    _valid_places(parts, train).tofile(folder / "train.index")
    _valid_places(parts, held).tofile(folder / "train.held")
    return {"chosen": len(train) + len(held), "train": len(train), "held": len(held)}


def _chosen_checks(folder: Path, parts: Sequence[Part], names: Sequence[str], seed: int) -> int:
    """Write which rows of the validation datasets validate, where a #count says so; how many."""
    loaded = sum(part.loaded for part in parts)
    if not any(_counted(name) for name in names):
        return loaded
    _, chosen = loading.split(names, [part.loaded for part in parts], 1.0, False, seed)
    _valid_places(parts, chosen).tofile(folder / "eval.index")
    return len(chosen)


def _valid_places(parts: Sequence[Part], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places among the valid rows, of loaded rows; those that the template refuses are left out."""
    starts = np.cumsum([0, *(part.loaded for part in parts)])
    refused = np.array(
        [s + n for s, part in zip(starts, parts, strict=False) for n in part.refused], np.int64
    )
    kept = chosen[~np.isin(chosen, refused)]
    return (kept - np.searchsorted(refused, kept)).astype("<i8")


def _facts(part: Part) -> dict[str, Any]:
    return {
        "name": part.name, "lines": part.lines, "read": part.read, "loaded": part.loaded,
        "valid": part.valid, "path": part.path, "checked": part.checked,
    }  # fmt: skip


def _estimate(asked: Asked, names: Sequence[str]) -> dict[str, Any] | None:
    """What a random thousand rows say of a large file; None where the exact answer is as near."""
    paths = [Path(without_count(name)) for name in names]
    if len(paths) != 1 or not loading.is_plain(names[0], asked.columns) or not paths[0].is_file():
        return None
    if paths[0].stat().st_size < WORTH:
        return None
    found = sampling.draw(paths[0], DRAWS, 11)
    draws = []
    tokens: dict[int, int | None] = {}  # a long row is drawn often
    for number, row in enumerate(found.rows):
        if number % 50 == 0:
            asked.call.check()
        if row.start not in tokens:
            tokens[row.start] = _drawn(asked, row.text)
        draws.append(Draw(row.size, tokens[row.start]))
    if all(draw.tokens is None for draw in draws):
        return None  # the exact pass will say what is wrong with them
    total, most = found.total_bytes, asked.max_length
    return dict(to_dict(estimate(draws, total, most, blank=found.blank)))


def _drawn(asked: Asked, line: bytes | None) -> int | None:
    """Tokens of a drawn row; None for one that ms-swift would lose."""
    row = parsed(line) if line is None or len(line) <= LONGEST_ROW else None
    if row is None:
        return None
    roles = roles_of(row)
    if asked.encoder and ordinary(roles):
        contents = contents_of(row)
        shape = asked.reference.shape(roles, asked.encoder)
        if shape and shape.takes(contents) and not any(map(asked.reference.hazards, contents)):
            return by_shape(shape, contents, asked.encoder)[0]
    try:
        prepared = loading.prepared(row, tuple(row))
        return asked.reference.encode(prepared)[0] if prepared else None
    except Exception:  # lost, for whatever reason; the exact pass will say which
        return None


def _preview(parts: Sequence[Part]) -> list[Any]:
    """The first conversations of the first datasets, long texts cut."""
    shown: list[Any] = []
    for part in parts:
        with Path(part.store).open("rb") as store:
            for line in itertools.islice(store, 2 * PREVIEW_ROWS):
                row = parsed(line)
                if row and len(shown) < PREVIEW_ROWS and row.get("messages"):
                    shown.append(loading.messages_of(standard(row)))
    return shown


def _counted(name: str) -> bool:
    return bool(re.search(r"#\d+$", name))
