"""Starting, stopping and waiting for a run: what the page and the terminal both do."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tuner.config import TuningConfig
from tuner.errors import BusyError, StorageError
from tuner.records import Run
from tuner.runs import folder
from tuner.workers.pool import ROOT, child_environment

#: Optimizer state, checkpoints and logs of a small run; a run that cannot even have this is refused.
BYTES_NEEDED: Final = 200 << 20
POLL_SECONDS: Final = 0.3


def start(
    runs: Path,
    config: TuningConfig,
    documents: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Run:
    """Create the run and its supervisor; training goes on whatever happens to the caller.

    Raises:
        BusyError: a run is going on (one device, one run).
        StorageError: no room.
    """
    with _alone(runs):
        going = next((run for run in folder.listed(runs) if run.active), None)
        if going is not None:
            raise BusyError("run.one_at_a_time", run=going.id)
        if shutil.disk_usage(runs).free < BYTES_NEEDED:
            raise StorageError("disk.too_full", folder=str(runs), needed="200 MB")
        made = folder.create(runs, config, documents, facts)
        with (made / "log.txt").open("ab") as log:
            subprocess.run(
                [sys.executable, "-m", "tuner.runs.supervisor", str(made)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=child_environment(), cwd=ROOT, start_new_session=True, check=True,
            )  # fmt: skip
    return folder.read(made)


def request_stop(run: Path, now: bool = False) -> None:
    """Leave word for the supervisor: stop with a checkpoint, or (``now``) at once."""
    (run / ("kill.request" if now else "stop.request")).touch()


def follow(run: Path, on_look: Callable[[Run], None] = lambda _: None) -> Run:
    """Wait for the end of the run; ``on_look`` sees it at every look."""
    curve = folder.curve_of(run)
    while True:
        seen = folder.describe(run, curve)
        on_look(seen)
        if not seen.active:
            return seen
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Between looking whether a run goes and starting one, nobody else may start one."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = (runs / ".start.lock").open("w")
    except OSError as error:
        raise StorageError(
            "disk.cannot_write", folder=str(runs), reason=error.strerror or str(error)
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
