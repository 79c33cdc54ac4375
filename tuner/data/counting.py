"""Many lean processes on one file: the pieces of a JSON Lines file, counted in parallel, in order.

A file is cut where Hugging Face datasets cuts it, at 10 MB and the end of the
row, so that what holds for one piece here holds for one piece there.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from tuner.errors import InputError, WorkerError
from tuner.workers.counter import LONGEST_ROW, Counted, Deviates
from tuner.workers.pool import ROOT, child_environment
from tuner.workers.shapes import Shape, to_json

#: As ``datasets.packaged_modules.json`` reads.
PIECE: Final = 10 << 20
MOST_PROCESSES: Final = 8
#: Seconds between two questions whether anybody still wants the answer.
PATIENCE: Final = 0.1


@dataclass(frozen=True)
class Piece:
    """Bytes ``start`` to ``end`` of a file, and what they hold."""

    start: int
    end: int
    counted: Counted


def cuts(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Where the pieces of the first ``size`` bytes begin and end.

    Raises:
        InputError: a row that is too long to be read.
    """
    start = 0
    with path.open("rb") as source:
        while start < size:
            end = start + PIECE
            if end < size:
                source.seek(end)
                line = source.readline(LONGEST_ROW)
                if len(line) == LONGEST_ROW:
                    raise too_long(path, _rows_before(path, end) + 1)
                end += len(line)
            yield start, min(end, size)
            start = end


def too_long(path: Path, row: int) -> InputError:
    """The sentence for a row that is longer than is read."""
    return InputError("file.row_too_long", file=path.name, row=row, limit=LONGEST_ROW >> 20)


def _rows_before(path: Path, end: int) -> int:
    """Line ends before byte ``end``."""
    rows = 0
    with path.open("rb") as source:
        while end > 0 and (block := source.read(min(end, 1 << 20))):
            rows += block.count(b"\n")
            end -= len(block)
    return rows


class Counters:
    """Lean processes that count one file. Use as a context; leaving it ends them.

    ``shapes`` may be added to while pieces come: the processes learn them with
    their next piece.
    """

    def __init__(
        self, path: Path, size: int, encoder: Mapping[str, str], hazards: Sequence[str],
        shapes: Sequence[Shape], strict: bool,
    ) -> None:  # fmt: skip
        self.shapes = list(shapes)
        self._path, self._size = path, size
        spec = {
            "path": str(path), "encoder": dict(encoder), "hazards": list(hazards),
            "shapes": [to_json(shape) for shape in shapes], "strict": strict,
        }  # fmt: skip
        pieces = -(-size // PIECE)
        self._closed = False
        self._known = len(self.shapes)
        count = min(os.cpu_count() or 1, max(1, pieces), MOST_PROCESSES)
        self._processes = [self._start(spec) for _ in range(count)]
        # How far the processes may run ahead: what waits is held in memory.
        self._ahead = threading.Semaphore(2 * count + 1)

    @staticmethod
    def _start(spec: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tuner.workers.counter"], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            # One process a core: threads of the tokenizer would only get in each other's way.
            env=child_environment() | {"TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._ahead.release(len(self._processes))
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def pieces(self, check: Callable[[], None] = lambda: None) -> Iterator[Piece]:
        """The counted pieces in the file's order, at most a few ahead of whoever takes them.

        ``check`` is called while they are waited for; what it raises ends the wait.

        Raises:
            Deviates: a row that may change how the whole file is read, a file that became shorter.
            InputError: a row that is too long.
        """
        work = iter(enumerate(cuts(self._path, self._size)))
        lock = threading.Lock()
        done: queue.Queue[tuple[int, Piece | BaseException | None]] = queue.Queue()

        def drive(process: subprocess.Popen[bytes]) -> None:
            number = -1
            try:
                while self._ahead.acquire() and not self._closed:
                    with lock:
                        number, (start, end) = next(work)
                    done.put((number, self._ask(process, start, end)))
            except StopIteration:
                done.put((-1, None))
            except BaseException as error:
                done.put((max(number, 0), error))

        for process in self._processes:
            threading.Thread(target=drive, args=(process,), daemon=True).start()
        waiting: dict[int, Piece] = {}
        expected, running = 0, len(self._processes)
        while running or waiting:
            if expected in waiting:
                yield waiting.pop(expected)
                expected += 1
                self._ahead.release()
                continue
            try:
                number, piece = done.get(timeout=PATIENCE)
            except queue.Empty:
                check()
                continue
            if piece is None:
                running -= 1
                self._ahead.release()
            elif isinstance(piece, BaseException):
                raise piece
            else:
                waiting[number] = piece

    def _ask(self, process: subprocess.Popen[bytes], start: int, end: int) -> Piece:
        assert process.stdin and process.stdout
        new = [to_json(shape) for shape in self.shapes[self._known :]]
        process.stdin.write(json.dumps([start, end, new]).encode() + b"\n")
        process.stdin.flush()
        header = json.loads(process.stdout.readline() or b"null")
        if header is None:
            raise WorkerError("worker.helper_died")
        if header.get("why") == "long":
            row = _rows_before(self._path, start) + header["row"] + 1
            raise too_long(self._path, row)
        if "why" in header:
            raise Deviates(header["row"], header["why"])
        rows = header["rows"]
        arrays = process.stdout.read(16 * rows)
        if len(arrays) < 16 * rows:
            raise WorkerError("worker.helper_died")
        length = np.frombuffer(arrays[: 4 * rows], np.int32)
        trained = np.frombuffer(arrays[4 * rows : 8 * rows], np.int32)
        offset = np.frombuffer(arrays[8 * rows :], np.int64)
        slow = [(number, tuple(roles)) for number, roles in header["slow"]]
        counted = Counted(length, trained, offset, header["columns"], slow, header["channels"])
        return Piece(start, end, counted)
