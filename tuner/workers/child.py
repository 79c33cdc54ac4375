"""The child's side: read a request, run its verb, answer.

Started as ``python -m tuner.workers.child``. Standard output belongs to the
protocol alone: whatever a library prints goes to standard error. When the
parent goes away the child goes too.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tuner.errors import TunerError
from tuner.records import Sentence, to_dict
from tuner.workers.wire import read_line, write_line

#: verb -> module and function, of any room; the module is imported at the verb's first use
VERBS: Final = {
    "inspect_model": ("tuner.workers.templates", "inspect_model"),
    "findings": ("tuner.data.findings.scan", "serve"),
    "clean": ("tuner.data.cleaning", "serve"),
    "mask": ("tuner.workers.mask", "mask"),
    "measure": ("tuner.data.measure", "measure"),
    "answer": ("tuner.workers.answers", "answer"),
    "convert": ("tuner.workers.convert", "convert"),
    "fetch_small_files": ("tuner.workers.fetch", "fetch_small_files"),
    "warm": ("tuner.workers.warm", "warm"),
}


class Call:
    """One request being served: how a verb reports progress and hears of a cancel."""

    def __init__(self, ident: int, send: Callable[[dict[str, Any]], None]) -> None:
        self.ident = ident
        self.cancelled = threading.Event()
        self._send = send

    def progress(self, **values: Any) -> None:
        """Tell the parent how far it is. Raises ``Cancelled`` when nobody wants to know."""
        self.check()
        self._send({"id": self.ident, "progress": values})

    def check(self) -> None:
        """Raise ``Cancelled`` if the parent has cancelled this request."""
        if self.cancelled.is_set():
            raise Cancelled


class Cancelled(Exception):
    """The parent no longer wants the answer."""


def main() -> None:
    """Serve requests from standard input until it ends."""
    wire_out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # prints of libraries must not reach the protocol
    wire_in = os.fdopen(os.dup(0), "r", encoding="utf-8")
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with lock:
            write_line(wire_out, message)

    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    calls: dict[int, Call] = {}

    def listen() -> None:
        while (message := read_line(wire_in)) is not None:
            if "cancel" in message:
                if call := calls.get(message["cancel"]):
                    call.cancelled.set()
                continue
            calls[message["id"]] = Call(message["id"], send)
            requests.put(message)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = requests.get()
        call = calls[request["id"]]
        send(_serve(request, call))
        del calls[request["id"]]


def _serve(request: dict[str, Any], call: Call) -> dict[str, Any]:
    module, name = VERBS[request["verb"]]
    try:
        result = getattr(import_module(module), name)(call, **request["args"])
        return {"id": call.ident, "result": result}
    except Cancelled:
        return {
            "id": call.ident,
            "error": {"kind": "TunerError", "key": "worker.cancelled", "params": {}},
        }
    except TunerError as error:
        params = {name: _portable(value) for name, value in error.params.items()}
        kind = type(error).__name__
        return {"id": call.ident, "error": {"kind": kind, "key": error.key, "params": params}}
    except Exception:
        text = traceback.format_exc()
        print(text, file=sys.stderr, flush=True)
        return {"id": call.ident, "crash": text}


def _portable(value: Any) -> Any:
    """A parameter of a sentence as JSON: numbers and sentences stay what they are."""
    if isinstance(value, Sentence):
        return to_dict(value)
    return value if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    main()
