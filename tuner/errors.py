"""One root error. Each error says what went wrong, where, and what to do next.

An error carries the key of a sentence, not the sentence itself, so that the
reader sees it in the language of the moment. Children are also standard
library errors: code that knows nothing of Tuner can still catch them.
"""

from __future__ import annotations

from typing import Any

from tuner.texts import Lang, say


class TunerError(Exception):
    """The root. ``key`` names a sentence in :mod:`tuner.texts`, ``params`` fill it."""

    def __init__(self, key: str, /, **params: Any) -> None:
        super().__init__(key, params)
        self.key = key
        self.params = params

    def say(self, lang: Lang) -> str:
        """The sentence, in ``lang``."""
        return say(self.key, lang, **self.params)

    def __str__(self) -> str:
        return self.say("en")


class InputError(TunerError, ValueError):
    """Something that the user gave cannot be used: a field, a row, a file."""


class NotFoundError(TunerError, LookupError):
    """A model, dataset, run or file that does not exist."""


class BusyError(TunerError, RuntimeError):
    """Refused because something else is going on."""


class StorageError(TunerError, OSError):
    """The disk is full, read-only or not where it should be."""


class WorkerError(TunerError, RuntimeError):
    """A child process failed in a way that nobody foresaw; its log has the details."""
