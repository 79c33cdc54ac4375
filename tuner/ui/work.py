"""Long work behind a button: it tells how far it is, and never shows a traceback."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tuner.errors import TunerError
from tuner.records import Sentence

T = TypeVar("T")
Tell = Callable[[Sentence, float | None], None]

_log = logging.getLogger("tuner.ui")


@dataclass(frozen=True)
class Told:
    """A word on the way."""

    sentence: Sentence
    share: float | None


@dataclass(frozen=True)
class Done(Generic[T]):
    """The result."""

    value: T


def followed(work: Callable[[Tell], T]) -> Iterator[Told | Done[T]]:
    """Run ``work`` in a thread; its words as they come (the newest where they are many), then Done.

    Whatever ``work`` raises is raised here.
    """
    said: queue.Queue[Told | Done[T] | BaseException] = queue.Queue()

    def tell(sentence: Sentence, share: float | None = None) -> None:
        said.put(Told(sentence, share))

    def run() -> None:
        try:
            said.put(Done(work(tell)))
        except BaseException as error:
            said.put(error)

    threading.Thread(target=run, daemon=True).start()
    while True:
        item = said.get()
        while isinstance(item, Told) and not said.empty():
            item = said.get()
        if isinstance(item, BaseException):
            raise item
        yield item
        if isinstance(item, Done):
            return


def explain(error: BaseException, logs: Path) -> Sentence:
    """What the reader is told of an error; the rest goes to the log under an id."""
    if isinstance(error, TunerError):
        return Sentence(error.key, error.params)
    ident = secrets.token_hex(3)
    _log.error("error %s", ident, exc_info=error)
    return Sentence("app.unexpected", {"id": ident, "log": str(logs / "app.log")})
