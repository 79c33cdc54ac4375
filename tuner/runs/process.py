"""Recognising a process, surely: by pid, start time and a token of ours.

A pid alone may have been given to a stranger since. The start time (in clock
ticks since boot) comes from ``/proc/PID/stat``, the token from the process's
environment. Standard library only, for the supervisor uses it. On systems
without ``/proc`` a process is believed to be alive if its pid is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOKEN: Final = "TUNER_RUN_TOKEN"
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A process, not just a pid."""

    pid: int
    start_time: int | None

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The process that has this pid now."""
        return cls(pid, start_time(pid))

    def alive(self) -> bool:
        """This very process still runs (a zombie does not)."""
        if not _PROC.is_dir():
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
            except PermissionError:
                return True
            return True
        return self.start_time is not None and start_time(self.pid) == self.start_time


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which the process started; None if there is none (or a zombie)."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets and spaces included.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def with_token(token: str) -> list[Identity]:
    """All living processes that carry the token: the trainer, and whatever it started."""
    needle = f"{TOKEN}={token}".encode()
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit():
            continue
        identity = Identity.of(int(entry.name))
        if identity.start_time is None:
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if needle in environment:
            found.append(identity)
    return found
