"""The app's one thread that watches runs. It only reads.

Pages ask it two cheap questions: which version is the picture, and what is
the picture. It reads a run's files only when they have grown.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tuner.errors import NotFoundError
from tuner.records import Event, Run
from tuner.runs import folder
from tuner.runs.events import Curve

LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Picture:
    """A run and its events at one moment. ``version`` grows whenever anything changes."""

    run: Run
    events: tuple[Event, ...]
    version: int


@dataclass
class _Watched:
    curve: Curve
    picture: Picture
    fingerprint: tuple[object, ...] = field(default=())


class Follower:
    """Pictures of the runs in one folder, kept fresh while they are active."""

    def __init__(self, runs: Path, on_end: Callable[[Run], None] = lambda _: None) -> None:
        self._runs = runs
        self._on_end = on_end
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._list_version = 0
        self._thread = threading.Thread(target=self._follow, daemon=True, name="follower")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching; runs are not touched."""
        self._closed = True
        self._wake.set()

    def refresh(self) -> None:
        """Look at once: something was just started or stopped."""
        with self._lock:
            self._look()

    @property
    def list_version(self) -> int:
        """Grows whenever any run's picture changes."""
        return self._list_version

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        with self._lock:
            found = [watched.picture.run for watched in self._watched.values()]
        return sorted(found, key=lambda run: (run.created, run.id), reverse=True)

    def picture(self, ident: str) -> Picture | None:
        """The run's picture; None for a run that is not there."""
        with self._lock:
            watched = self._watched.get(ident)
            return watched.picture if watched else None

    def _follow(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError), self._lock:
                self._look()
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _look(self) -> None:
        present = set()
        for path in self._runs.glob("*/status.json"):
            place = path.parent
            if place.name.startswith("."):
                continue
            present.add(place.name)
            watched = self._watched.get(place.name)
            if watched and not watched.picture.run.active:
                continue
            with contextlib.suppress(NotFoundError):
                self._take(place, watched)
        for gone in set(self._watched) - present:
            del self._watched[gone]
            self._list_version += 1

    def _take(self, place: Path, watched: _Watched | None) -> None:
        curve = watched.curve if watched else folder.curve_of(place)
        run = folder.describe(place, curve)
        fingerprint = (run.state, run.updated, len(curve.events), len(run.checkpoints))
        if watched and watched.fingerprint == fingerprint:
            return
        version = watched.picture.version + 1 if watched else 1
        picture = Picture(run, tuple(curve.events), version)
        was_active = watched is not None and watched.picture.run.active
        self._watched[place.name] = _Watched(curve, picture, fingerprint)
        self._list_version += 1
        if was_active and not run.active:
            self._on_end(run)
