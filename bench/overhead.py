"""What training through the app costs beside the same ``swift sft`` command.

The embedded model, the identity set, the demo's plan cut to some steps; both
sides in turns, from the start of the process to its end. Bound: 3 % more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tuner.config import TuningConfig
from tuner.runs import launch
from tuner.settings import Settings
from tuner.workbench import Workbench

ROUNDS: Final = 3
STEPS: Final = 20


def measure() -> dict[str, Any]:
    """Median wall time of both sides, and their ratio."""
    bench = Workbench(Settings.load())
    try:
        config = bench.prepare_demo(steps=STEPS)[-1]
    finally:
        bench.close()
    with tempfile.TemporaryDirectory() as folder:
        _plain(config, Path(folder) / "warm")  # file caches
        ours, theirs = [], []
        for i in range(ROUNDS):
            theirs.append(_plain(config, Path(folder) / f"plain-{i}"))
            ours.append(_through_tuner(config, Path(folder) / f"runs-{i}"))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return {
        "steps": STEPS,
        "tuner_seconds": [round(s, 1) for s in ours],
        "swift_sft_seconds": [round(s, 1) for s in theirs],
        "ratio": round(ratio, 3),
        "kept": {"wall_time": ratio <= 1.03},
        "lines": [
            (
                f"{STEPS} steps: {statistics.median(ours):.1f} s through Tuner,"
                f" {statistics.median(theirs):.1f} s by swift sft (ratio {ratio:.3f}, bound 1.03)"
            )
        ],
    }


def _plain(config: TuningConfig, out: Path) -> float:
    out.mkdir()
    path = out / "config.yaml"
    path.write_text(
        config.replace(output_dir=str(out / "run"), add_version=False).to_yaml(), encoding="utf-8"
    )
    swift = Path(sys.executable).with_name("swift")
    start = time.monotonic()
    with (out / "log.txt").open("w") as log:
        subprocess.run([str(swift), "sft", str(path)], check=True, stdout=log, stderr=log)
    return time.monotonic() - start


def _through_tuner(config: TuningConfig, runs: Path) -> float:
    start = time.monotonic()
    run = launch.follow(launch.start(runs, config).folder)
    if run.state != "finished":
        raise RuntimeError(f"{run.id} ended as {run.state}: {run.error}")
    return time.monotonic() - start
