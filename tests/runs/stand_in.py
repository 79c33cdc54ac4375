"""A trainer that trains nothing, for the supervisor's tests: a real process with real signals.

``python stand_in.py DEED CONFIG PHASES`` reports phases and leaves files as the
trainer does, then does its deed: ends well, fails, dies, waits to be stopped, ...
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STEPS = 3
CHILD = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def main(deed: str, phases: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deed == "deaf" else signal.SIG_DFL)
    if deed == "wait":
        signal.signal(signal.SIGTERM, lambda *_: leave(phases))
    enter(phases, "preparing")
    if deed == "fail":
        print(
            "Traceback (most recent call last):\n  ...\nValueError: no template called 'nonsense'\nbye",
            flush=True,
        )
        sys.exit(3)
    if deed == "torn":
        with phases.open("a") as sink:
            sink.write('not json\n{"phase": "trai')
        sys.exit(1)
    enter(phases, "training", step=0, max_steps=STEPS)
    log(phases, 1)
    if deed == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "litter":
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, start_new_session=True
        )
        assert child.stdout
        child.stdout.readline()  # it ignores SIGTERM by now
        (phases.parent / "litter.pid").write_text(str(child.pid))
    while deed in ("wait", "deaf"):
        signal.pause()
    for step in (2, STEPS):
        log(phases, step)
    if deed == "early":
        enter(phases, "ended", step=2, max_steps=STEPS, stopped=False)
        return
    if deed == "half":
        return
    save(phases, STEPS)
    enter(phases, "ended", step=STEPS, max_steps=STEPS, stopped=False)


def enter(phases: Path, phase: str, **facts: object) -> None:
    with phases.open("a", encoding="utf-8") as sink:
        sink.write(json.dumps({"phase": phase, "time": time.time(), **facts}) + "\n")


def log(phases: Path, step: int) -> None:
    row = {"loss": 1.0 / step, "global_step/max_steps": f"{step}/{STEPS}"}
    with (phases.parent / "logging.jsonl").open("a") as sink:
        sink.write(json.dumps(row) + "\n")


def save(phases: Path, step: int) -> None:
    enter(phases, "saving", step=step)
    place = phases.parent / f"checkpoint-{step}"
    place.mkdir()
    (place / "trainer_state.json").write_text("{}")
    enter(phases, "saved", step=step)


def leave(phases: Path) -> None:
    save(phases, 1)
    enter(phases, "ended", step=1, max_steps=STEPS, stopped=True)
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[3]))
