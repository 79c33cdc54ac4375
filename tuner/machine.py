"""What this machine has: processors, memory, GPUs, disk.

It asks the system and ``nvidia-smi``; it never imports torch. Where something
cannot be known it is left out, not guessed. Try it::

    python -c "from tuner.machine import look; print(look('.'))"
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psutil

from tuner.records import Gpu, Machine


def look(folder: str | Path) -> Machine:
    """This machine now; ``disk_free`` is what is left where ``folder`` is (or will be)."""
    place = Path(folder).resolve()
    while not place.exists():
        place = place.parent
    memory = psutil.virtual_memory()
    return Machine(
        cpu_count=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_total=memory.total,
        memory_available=memory.available,
        disk_free=shutil.disk_usage(place).free,
        gpus=_gpus(),
    )


@cache
def _nvidia_smi() -> str | None:
    return shutil.which("nvidia-smi")


def _gpus() -> tuple[Gpu, ...]:
    program = _nvidia_smi()
    if program is None:
        return ()
    query = "--query-gpu=name,memory.total,memory.free,compute_cap"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(answer.stdout)


def parse_gpus(table: str) -> tuple[Gpu, ...]:
    """GPUs from ``nvidia-smi``'s CSV; a line that does not parse is left out."""
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        try:
            name, total, free, capability = cells
            gpu = Gpu(name, int(total) << 20, int(free) << 20, float(capability))
        except ValueError:
            continue
        found.append(gpu)
    return tuple(found)
