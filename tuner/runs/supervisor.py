"""A run's own process: parent of the trainer, the only writer of ``status.json``.

It lives in a session of its own, so nothing that happens to the app, a
terminal or a browser reaches it. It starts the trainer, passes on stop
requests, learns the exit code that only a parent learns, and makes sure that
nothing of the run is left behind. Standard library only: it is small, starts
at once, and has nothing to break.

Started as ``python -m tuner.runs.supervisor RUN_FOLDER``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tuner.files import read_json, write_json
from tuner.runs.process import TOKEN, Identity, with_token

POLL_SECONDS: Final = 0.2
#: A stop ends the trainer by force only after this long without any progress.
PATIENCE_SECONDS: Final = 60.0
#: What does not even die of SIGKILL hangs in the kernel; the run ends without it.
SWEEP_SECONDS: Final = 5.0
_PR_SET_CHILD_SUBREAPER: Final = 36

_STATE_OF_PHASE: Final = {
    "preparing": "preparing", "downloading": "downloading", "training": "training",
    "evaluating": "evaluating", "saving": "saving", "saved": "training", "ended": "training",
}  # fmt: skip


#: What trains; the run's config and the file for its phases are appended.
TRAINER: Final = (sys.executable, "-m", "tuner.runs.trainer")


class Supervisor:
    """One run, from its start to its final state."""

    def __init__(self, folder: Path, command: Sequence[str] = TRAINER) -> None:
        self.folder = folder
        self._command = command
        self.status: dict[str, Any] = read_json(folder / "status.json")
        self.attempt = folder / f"attempt-{self.status['attempt']}"
        self.ended: dict[str, Any] | None = None
        self._phases_read = 0
        self._last_progress = time.monotonic()
        self._last_size = -1
        self._stopping = False

    def run(self) -> None:
        """Start the trainer, follow it to its end, write the final state."""
        self.attempt.mkdir(exist_ok=True)
        with (self.folder / "log.txt").open("ab") as log:
            trainer = subprocess.Popen(
                [*self._command, str(self.folder / "config.yaml"), str(self.attempt / "phases.jsonl")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=dict(os.environ) | {TOKEN: self.status["token"]},
                start_new_session=True,
            )  # fmt: skip
        identity = Identity.of(trainer.pid)
        self.write(state="preparing", pid=trainer.pid, pid_start=identity.start_time)
        while trainer.poll() is None:
            self._look(trainer)
            with contextlib.suppress(subprocess.TimeoutExpired):
                trainer.wait(POLL_SECONDS)
        self._read_phases()
        self._sweep()
        self._finish(trainer.returncode)

    def _look(self, trainer: subprocess.Popen[bytes]) -> None:
        self._read_phases()
        self._reap_orphans(trainer.pid)
        kill_now = (self.folder / "kill.request").exists()
        if not self._stopping and (kill_now or (self.folder / "stop.request").exists()):
            self._stopping = True
            self._progressed()  # from here on growth counts as progress
            self.write(state="stopping")
            trainer.send_signal(signal.SIGTERM)
        if self._stopping:
            stuck = time.monotonic() - self._last_progress > PATIENCE_SECONDS
            if kill_now or (stuck and not self._progressed()):
                trainer.kill()

    def _progressed(self) -> bool:
        """Something of the run has grown since the last time it was asked."""
        size = 0
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        if size != self._last_size:
            self._last_size = size
            self._last_progress = time.monotonic()
            return True
        return False

    def _read_phases(self) -> None:
        try:
            lines = (self.attempt / "phases.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        except OSError:
            return
        for line in lines[self._phases_read :]:
            self._phases_read += 1
            self._last_progress = time.monotonic()
            try:
                phase = json.loads(line)
            except ValueError:
                continue
            if phase["phase"] == "ended":
                self.ended = phase
            state = "stopping" if self._stopping else _STATE_OF_PHASE[phase["phase"]]
            if state != self.status["state"]:
                self.write(state=state)

    def _reap_orphans(self, trainer: int) -> None:
        """Grandchildren whose parent has gone become ours (we are their subreaper): bury the dead."""
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            if not name.isdigit() or int(name) == trainer:
                continue
            try:
                stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] == "Z" and int(stat[1]) == os.getpid():
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(name), os.WNOHANG)

    def _sweep(self) -> None:
        """End whatever of the run is still there, and only that; it is gone on return."""
        give_up = time.monotonic() + SWEEP_SECONDS
        while (left := with_token(self.status["token"])) and time.monotonic() < give_up:
            for identity in left:
                if identity.alive():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(identity.pid, signal.SIGKILL)
            time.sleep(0.01)  # dying takes a moment, and what forks may have forked again
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass

    def _finish(self, code: int) -> None:
        """The final state, written once. Finished means that the last step was reached."""
        facts: dict[str, Any] = {"exit_code": code if code >= 0 else None, "pid": None}
        if code < 0:
            facts["signal"] = signal.Signals(-code).name
        ended = self.ended or {}
        complete = bool(ended) and ended["step"] >= ended["max_steps"] and code == 0
        early = bool(ended) and code == 0 and not ended.get("stopped") and not self._stopping
        if complete or early:
            facts["state"] = "finished"
        elif self._stopping or ended.get("stopped"):
            facts["state"] = "stopped"
        else:
            facts["state"] = "failed"
            facts["reason"] = last_error(self.folder / "log.txt")
        self.write(**facts)

    def write(self, **facts: Any) -> None:
        """Facts into ``status.json``, and a new state into the journal. Nobody else writes them."""
        if "state" in facts and facts["state"] != self.status["state"]:
            entry = {"time": time.time(), "state": facts["state"]}
            with contextlib.suppress(OSError), (self.folder / "journal.jsonl").open("a") as journal:
                journal.write(json.dumps(entry) + "\n")
        self.status |= facts | {"updated": time.time()}
        with contextlib.suppress(OSError):
            write_json(self.folder / "status.json", self.status)


def last_error(log: Path) -> str:
    """The last line of the log that names an error; its last line if none does."""
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - 65536))
            lines = source.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    spoken = [line.strip() for line in lines if line.strip()]
    named = [s for s in spoken if "Error" in s.split(" ")[0] or "Exception" in s.split(" ")[0]]
    return (named or spoken or [""])[-1][:500]


def main(folder: Path, command: Sequence[str] = TRAINER) -> None:
    """Become a process of our own, hold the run's lock, and supervise."""
    if os.fork():
        os._exit(0)  # whoever started us need not wait for us
    os.setsid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lock = (folder / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os._exit(0)  # another supervisor has this run
    supervisor = Supervisor(folder, command)
    me = Identity.of(os.getpid())
    supervisor.write(supervisor=me.pid, supervisor_start=me.start_time)
    try:
        supervisor.run()
    except Exception as error:
        # Whatever happens here, the run must not seem to go on.
        supervisor.write(state="failed", reason=f"supervisor: {type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
