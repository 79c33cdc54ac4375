"""The parent's side: warm children by role, started at need, ended when idle.

A child is a process; a crash in it, or ending it, never touches the app. Roles
exist so that measuring rows, reading their texts and answering prompts do not
wait for one another. Try it::

    pool = Pool(Path("/tmp/logs")); pool.call("data", "warm"); pool.close()
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psutil

from tuner import errors
from tuner.errors import BusyError, TunerError, WorkerError
from tuner.records import Sentence, from_dict
from tuner.workers.wire import read_line, write_line

Role = Literal["data", "text", "chat"]
ROOT: Final = Path(__file__).resolve().parent.parent.parent

#: What a child's environment gets on top of the app's own: no progress pings,
#: no telemetry, and no token, which ms-swift would write to disk at every load.
CHILD_ENV: Final = {
    "HF_UPDATE_DOWNLOAD_COUNTS": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "PYTHONUNBUFFERED": "1",
}
WITHHELD: Final = ("MODELSCOPE_API_TOKEN", "TUNER_PASSWORD_FILE")
#: Unless the user has set it: how long GNU OpenMP's threads spin before they give way. On two
#: cores with a browser beside the training, its own default makes a step 2 to 5 times slower;
#: this costs about 3 % of a step on a quiet machine.
UNLESS_SET: Final = {"GOMP_SPINCOUNT": "10000"}


def child_environment() -> dict[str, str]:
    """The environment of every process that computes for us."""
    own = {name: value for name, value in os.environ.items() if name not in WITHHELD}
    return UNLESS_SET | own | CHILD_ENV


class Worker:
    """One child process, one request at a time."""

    def __init__(self, role: Role, logs: Path) -> None:
        self.role = role
        self._log = logs / f"worker-{role}.log"
        self._process: subprocess.Popen[str] | None = None
        self._busy = threading.Lock()
        self._ids = itertools.count(1)
        self._current = 0
        self.last_used = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def busy(self) -> bool:
        """A request is being served."""
        return self._busy.locked()

    def stream(self, verb: str, /, **args: Any) -> Iterator[dict[str, Any]]:
        """Progress messages as they come, the result as the last one.

        Raises:
            BusyError: another request is being served.
            TunerError: what the verb had to say.
            WorkerError: the child died or failed unexpectedly; see its log.
        """
        if not self._busy.acquire(blocking=False):
            raise BusyError("worker.busy")
        ident = next(self._ids)
        finished = False
        try:
            process = self._started()
            assert process.stdin and process.stdout
            self._current = ident
            try:
                write_line(process.stdin, {"id": ident, "verb": verb, "args": args})
                while message := read_line(process.stdout):
                    if message.get("id") != ident:
                        continue
                    if "progress" in message:
                        yield message["progress"]
                        continue
                    finished = True
                    yield self._outcome(message)
                    return
            except TunerError:
                raise  # some of ours are standard library errors too
            except (OSError, ValueError) as error:
                raise self._died() from error
            raise self._died()
        finally:
            self._current = 0
            self.last_used = time.monotonic()
            if not finished:
                # Nobody reads on: the answer still under way would meet the next request.
                self.close()
            self._busy.release()

    def cancel(self) -> None:
        """Ask the child to stop what it is doing; it answers ``worker.cancelled``."""
        process, ident = self._process, self._current
        if process and process.stdin and ident and process.poll() is None:
            write_line(process.stdin, {"cancel": ident})

    def close(self) -> None:
        """End the child. A request that is being served fails."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    try:
                        pipe.close()
                    except OSError:
                        continue  # a broken pipe has nothing left to flush

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("w", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tuner.workers.child"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    env=child_environment(), cwd=ROOT, text=True, encoding="utf-8", start_new_session=True,
                )  # fmt: skip
        return self._process

    def _outcome(self, message: dict[str, Any]) -> dict[str, Any]:
        if "result" in message:
            result: dict[str, Any] = message["result"]
            return result
        if "error" in message:
            error = message["error"]
            params = {
                name: from_dict(Sentence, value) if isinstance(value, dict) else value
                for name, value in error["params"].items()
            }
            raise getattr(errors, error["kind"])(error["key"], **params)
        last = message["crash"].strip().splitlines()[-1]
        raise WorkerError("worker.crashed", reason=last[:300], log=str(self._log))

    def _died(self) -> WorkerError:
        return WorkerError("worker.died", log=str(self._log))


class Pool:
    """The warm children of one app."""

    def __init__(self, logs: Path, idle_seconds: float = 600) -> None:
        self._workers: dict[Role, Worker] = {role: Worker(role, logs) for role in get_args(Role)}
        self._idle_seconds = idle_seconds

    def worker(self, role: Role) -> Worker:
        """The child of this role, started or not."""
        return self._workers[role]

    def call(
        self, role: Role, verb: str, /,
        on_progress: Callable[[dict[str, Any]], None] | None = None, **args: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """The result of one verb; ``on_progress`` hears what names a stage. Raises as ``stream``."""
        message: dict[str, Any] = {}
        for message in self._workers[role].stream(verb, **args):
            if on_progress and "stage" in message:  # the last message is the result
                on_progress(message)
        return message

    def rss(self) -> int:
        """Resident memory of all children, bytes."""
        total = 0
        for worker in self._workers.values():
            if pid := worker.pid:
                try:
                    total += psutil.Process(pid).memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        return total

    def release(self, *roles: Role) -> None:
        """End idle children of these roles (all when none is named): training needs the room."""
        for role, worker in self._workers.items():
            if (not roles or role in roles) and not worker.busy:
                worker.close()

    def release_idle(self) -> None:
        """End children that nobody has used for a while."""
        for role, worker in self._workers.items():
            if time.monotonic() - worker.last_used > self._idle_seconds:
                self.release(role)

    def close(self) -> None:
        """End all children."""
        for worker in self._workers.values():
            worker.close()
