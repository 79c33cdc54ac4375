"""The lines between the app and a warm child: one JSON object a line.

The parent asks ``{"id", "verb", "args"}`` or ``{"cancel": id}``. The child
answers any number of ``{"id", "progress": {...}}`` and then exactly one of
``{"id", "result": {...}}``, ``{"id", "error": {"kind", "key", "params"}}`` (a
sentence for the user, and the class of :mod:`tuner.errors` to raise) or ``{"id", "crash": "traceback"}`` (for the log).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any


def write_line(stream: IO[str], message: Mapping[str, Any]) -> None:
    """One message, flushed. Lone surrogates survive as escapes."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def read_line(stream: IO[str]) -> dict[str, Any] | None:
    """The next message; None at the end. Raises ``ValueError`` on a broken line."""
    line = stream.readline()
    if not line:
        return None
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message
