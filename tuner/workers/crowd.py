"""Many processes for rows that need ms-swift's own code: forked from the child that has it loaded.

Rows with tools or with thoughts come in thousands, and the template's own code
must see each of them. A fork shares what is loaded: a process more costs a few
megabytes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

import orjson

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
            for process in multiprocessing.active_children():
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def settle(self, rows: Sequence[bytes], check: Callable[[], None]) -> list[Outcome]:
        """The outcome of each row, given as JSON. ``check`` is called while they are waited for.

        Where a process is killed from outside, its rows are settled here.
        """
        parts = [rows[start : start + PART] for start in range(0, len(rows), PART)]
        found: list[Outcome] = []
        with self._reference.quick(self._encoder):  # the processes inherit it
            waited = [self._submit(part) for part in parts]
            for part, future in zip(parts, waited, strict=True):
                found += self._answer(part, future, check)
        return found

    def _submit(self, part: Sequence[bytes]) -> Future[list[Outcome]] | None:
        global _reference  # noqa: PLW0603 (what a fork inherits is what stands in a module)
        if self._pool is None:
            _reference = self._reference
            count = min(os.cpu_count() or 1, MOST_PROCESSES)
            fork = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(count, mp_context=fork)
        try:
            return self._pool.submit(_settle, part, self._columns)
        except BrokenProcessPool:
            return None

    def _answer(
        self, part: Sequence[bytes], future: Future[list[Outcome]] | None, check: Callable[[], None]
    ) -> list[Outcome]:
        while future is not None:
            try:
                return future.result(timeout=PATIENCE)
            except TimeoutError:
                check()
            except BrokenProcessPool:
                break
        self.close()  # another part starts another pool
        return [settle(self._reference, orjson.loads(row), self._columns, True) for row in part]


def _settle(rows: Sequence[bytes], columns: Sequence[str] | None) -> list[Outcome]:
    assert _reference is not None
    return [settle(_reference, orjson.loads(row), columns, quickly=True) for row in rows]
