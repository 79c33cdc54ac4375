"""Many processes for rows that need ms-swift's own code: forked from the child that has it loaded.

Rows with tools or with thoughts come in thousands, and the template's own code
must see each of them. A fork shares what is loaded: a process more costs a few
megabytes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

import orjson

from tuner.errors import WorkerError
from tuner.records import Sentence
from tuner.workers import loading
from tuner.workers.encoders import Encoder
from tuner.workers.probing import Reference

MOST_PROCESSES: Final = 8
#: Rows that a process takes at a time.
PART: Final = 32
#: Seconds between two questions whether anybody still wants the answer.
PATIENCE: Final = 0.1
#: How a row ends: its length and trained tokens; or where ms-swift loses it ("valid": in its
#: preprocessors, "encode": in its template) and why.
Outcome = tuple[int, int] | tuple[str, Sentence]

_reference: Reference | None = None  #: set before the fork


def settle(
    reference: Reference, row: dict[str, Any], columns: Sequence[str] | None, quickly: bool
) -> Outcome:
    """A row by ms-swift's code. ``columns`` are its file's, None for one that is preprocessed."""
    stage = "valid"
    try:
        if columns is not None:
            prepared = loading.prepared(row, columns)
            if prepared is None:
                return stage, Sentence("reason.no_messages")
            row = prepared
        stage = "encode"
        return reference.encode_quickly(row) if quickly else reference.encode(row)
    except Exception as error:  # whatever ms-swift raises is the reason
        return stage, loading.reason_of(error)


class Crowd:
    """Settles rows by ms-swift's code, an admitted encoder cutting the text."""

    def __init__(
        self, reference: Reference, encoder: Encoder, columns: Sequence[str] | None
    ) -> None:
        self._reference, self._encoder, self._columns = reference, encoder, columns
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def settle(self, rows: Sequence[bytes], check: Callable[[], None]) -> list[Outcome]:
        """The outcome of each row, given as JSON. ``check`` is called while they are waited for.

        Raises:
            WorkerError: a process was killed from outside, as happens where memory ends.
        """
        global _reference  # noqa: PLW0603 (what a fork inherits is what stands in a module)
        found: list[Outcome] = []
        try:
            with self._reference.quick(self._encoder):  # the processes inherit it
                if self._pool is None:
                    _reference = self._reference
                    count = min(os.cpu_count() or 1, MOST_PROCESSES)
                    fork = multiprocessing.get_context("fork")
                    self._pool = ProcessPoolExecutor(count, mp_context=fork)
                waited = [
                    self._pool.submit(_settle, rows[start : start + PART], self._columns)
                    for start in range(0, len(rows), PART)
                ]
                for future in waited:
                    while not future.done():
                        wait([future], PATIENCE)
                        check()
                    found += future.result()
        except BrokenProcessPool as error:
            raise WorkerError("worker.helper_died") from error
        return found


def _settle(rows: Sequence[bytes], columns: Sequence[str] | None) -> list[Outcome]:
    assert _reference is not None
    return [settle(_reference, orjson.loads(row), columns, quickly=True) for row in rows]
