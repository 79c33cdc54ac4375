"""A run's folder: made whole, read by anybody.

``status.json`` (schema 1) is written by the supervisor alone once the run has
started; everything else is written once or only appended to. What a reader
makes of it, a :class:`tuner.records.Run`, is never kept: it is read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from tuner.config import TuningConfig
from tuner.errors import NotFoundError, StorageError
from tuner.files import read_json, write_atomically, write_json
from tuner.records import ACTIVE, Run, Sentence, State
from tuner.runs.events import Curve, Tail
from tuner.runs.process import Identity

SCHEMA: Final = 1
#: A run that has just been made may not have its supervisor yet.
START_SECONDS: Final = 15.0


def create(
    runs: Path,
    config: TuningConfig,
    documents: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """A new run's folder in state "waiting", complete or not there at all.

    ``documents`` are written as JSON files beside the config (``plan``,
    ``report``, …); ``facts`` go into the status (``demo``, ``probes``, …).

    Raises:
        StorageError: no room, or a folder that cannot be written.
    """
    ident = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
    target = runs / ident
    making = runs / f".making-{ident}"
    now = time.time()
    status = {
        "schema": SCHEMA, "id": ident, "state": "waiting", "created": now, "updated": now,
        "attempt": 1, "token": secrets.token_hex(16),
        "model": str(config.get("model", "")), "data": ", ".join(config.get("dataset") or ()),
        **(facts or {}),
    }  # fmt: skip
    config = config.replace(output_dir=str(target / "attempt-1"), add_version=False)
    try:
        making.mkdir(parents=True)
        write_atomically(making / "config.yaml", config.to_yaml())
        for name, value in (documents or {}).items():
            write_json(making / f"{name}.json", value)
        write_json(making / "status.json", status)
        making.rename(target)
    except BaseException as error:
        shutil.rmtree(making, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise StorageError(
            "disk.cannot_write", folder=str(runs), reason=error.strerror or str(error)
        ) from error
    return target


def read(folder: Path) -> Run:
    """The run in ``folder``, with what its log says.

    Raises:
        NotFoundError: no run there, or one whose status cannot be read.
    """
    return describe(folder, curve_of(folder))


def describe(folder: Path, curve: Curve) -> Run:
    """As :func:`read`, with a curve that somebody keeps. The curve is brought up to date."""
    try:
        curve.refresh()
        return _run(folder, read_json(folder / "status.json"), curve)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NotFoundError("run.unreadable", folder=str(folder)) from error


def _run(folder: Path, status: Mapping[str, Any], curve: Curve) -> Run:
    state = status["state"]
    if state not in get_args(State):
        raise ValueError(f"{state}: no state")
    if state in ACTIVE and not _supervised(status):
        state = "lost"
    error = None
    if state == "failed":
        error = Sentence("run.failed_because", {"reason": status.get("reason", "")})
    elif state == "lost":
        error = Sentence("run.lost_because")
    return Run(
        id=str(status["id"]),
        state=state,
        folder=folder,
        created=float(status["created"]),
        updated=float(status["updated"]),
        step=curve.step,
        max_steps=curve.max_steps,
        pid=status.get("pid"),
        best_eval_loss=curve.best_eval_loss,
        checkpoints=checkpoints(folder),
        exit_code=status.get("exit_code"),
        signal=status.get("signal"),
        error=error,
        demo=bool(status.get("demo")),
        model=status.get("model", ""),
        data=status.get("data", ""),
    )


def _supervised(status: Mapping[str, Any]) -> bool:
    if "supervisor" not in status:
        return time.time() - float(status["created"]) < START_SECONDS
    return Identity(status["supervisor"], status.get("supervisor_start")).alive()


def curve_of(folder: Path) -> Curve:
    """The curve of the run's attempt, not read yet."""
    return Curve(Tail(folder / "attempt-1" / "logging.jsonl"))


def checkpoints(folder: Path) -> tuple[str, ...]:
    """Complete checkpoints, oldest first: ``trainer_state.json`` is written last."""
    whole = [p.parent for p in folder.glob("attempt-*/checkpoint-*/trainer_state.json")]
    real = [p for p in whole if re.fullmatch(r"checkpoint-\d+", p.name) and not p.is_symlink()]
    return tuple(str(p) for p in sorted(real, key=lambda p: int(p.name.rpartition("-")[2])))


def listed(runs: Path) -> list[Run]:
    """All runs, newest first. A folder that is no run is passed over."""
    found = []
    for path in runs.glob("*/status.json"):
        if not path.parent.name.startswith("."):
            with contextlib.suppress(NotFoundError):
                found.append(read(path.parent))
    return sorted(found, key=lambda run: (run.created, run.id), reverse=True)


def find(runs: Path, ident: str) -> Path:
    """The folder of the run ``ident``. Raises ``NotFoundError``."""
    for path in runs.glob("*/status.json"):  # never a path made of what somebody typed
        if path.parent.name == ident and not ident.startswith("."):
            return path.parent
    raise NotFoundError("run.unknown", run=ident)


def document(folder: Path, name: str) -> dict[str, Any] | None:
    """A JSON document of the run (``plan``, ``report``, ``answers``); None if it has none."""
    try:
        return read_json(folder / f"{name}.json")
    except (OSError, ValueError):
        return None


def status(folder: Path) -> dict[str, Any]:
    """The status as it stands on disk. Raises ``NotFoundError``."""
    try:
        return read_json(folder / "status.json")
    except (OSError, ValueError) as error:
        raise NotFoundError("run.unreadable", folder=str(folder)) from error


def log_tail(folder: Path, size: int = 16384) -> str:
    """The end of the run's log, without the progress bars' carriage returns."""
    try:
        with (folder / "log.txt").open("rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - size))
            text = source.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = (line.rstrip() for line in text.replace("\r", "\n").splitlines())
    return "\n".join(line for line in lines if line)


def journal(folder: Path) -> list[dict[str, Any]]:
    """The run's journal; a torn last line is passed over."""
    entries = []
    with contextlib.suppress(OSError):
        for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                entries.append(json.loads(line))
    return entries
