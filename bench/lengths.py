"""Exact token lengths: this app beside ms-swift's own ``EncodePreprocessor`` with two processes.

The same rows, the same machine, in turns in one process. Both have a fixed cost
of seconds, so what is compared is the slope: the time of many rows less the
time of few, a row. ms-swift is handed rows that are loaded already; the app's
side reads its file, counts and checks. Needs the large dataset and a model with
Qwen3's tokenizer: ``TUNER_BENCH_POEMS=FILE TUNER_BENCH_QWEN3=FOLDER``, and for the
rows with tools ``TUNER_BENCH_TOOLS=FILE``.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from tuner.data.measure import measure as look
from tuner.data.parts import Asked, PartCounter, Problems
from tuner.data.rows import Columns
from tuner.settings import Settings
from tuner.workers import encoders, loading
from tuner.workers.probing import Reference

#: Rows of the two points of a slope.
CHAT: Final = (20_000, 200_000)
TOOLS: Final = (1_000, 7_000)
ROUNDS: Final = 2
BOUNDS: Final = {"quicktok": 20, "tokenizers": 4, "tools": 2}


class Call:
    """Nobody listens; the time of the first answer is kept."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.estimate: float | None = None
        self.peak = self.beside = 0

    def progress(self, **values: Any) -> None:
        """Remember when the estimate came, and how large the process was."""
        if values.get("stage") == "estimate":
            self.estimate = time.monotonic() - self.started
        self.check()

    def check(self) -> None:
        """Never cancelled."""
        own = psutil.Process()
        self.peak = max(self.peak, own.memory_info().rss)
        beside = [child.memory_info().rss for child in own.children()]
        self.beside = max(self.beside, sum(beside))


def measure() -> dict[str, Any]:
    """Slopes of both sides and their ratios; time and memory of one whole look."""
    poems, model, tools = (_given(f"TUNER_BENCH_{name}") for name in ("POEMS", "QWEN3", "TOOLS"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        reference = Reference(model, "qwen3", "qwen3", None)
        assert reference.tokenizer_json
        spec = encoders.admit(Settings.load().home / "encoders", reference.tokenizer_json)
        plain = {name: value for name, value in spec.items() if name != "name"}
        specs = {"quicktok": spec, "tokenizers": plain | {"encoder": "tokenizers"}}
        chat = [_first(Path(poems), count, place / f"chat-{count}.jsonl") for count in CHAT]
        called = [_with_tools(tools, count, place / f"tools-{count}.jsonl") for count in TOOLS]
        sides: dict[str, Callable[[Path], float]] = {
            "swift": lambda path: _swift(reference, path),
            "quicktok": lambda path: _ours(reference, specs["quicktok"], path, True, place),
            "tokenizers": lambda path: _ours(reference, specs["tokenizers"], path, True, place),
        }
        slopes = _slopes(sides, chat, CHAT)
        with_tools = {
            "swift": sides["swift"],
            "tools": lambda path: _ours(reference, spec, path, False, place),
        }
        tool_slopes = _slopes(with_tools, called, TOOLS)
        theirs = {"chat": slopes.pop("swift"), "tools": tool_slopes.pop("swift")}
        ours = slopes | tool_slopes
        ratios = {
            name: round(theirs["tools" if name == "tools" else "chat"] / us, 1)
            for name, us in ours.items()
        }
        result: dict[str, Any] = {"swift_us": theirs, "us": ours, "ratio": ratios}
        result |= _whole(poems, model, place)
    result["kept"] = {name: result["ratio"][name] >= bound for name, bound in BOUNDS.items()} | {
        "estimate": result["estimate_seconds"] <= 2,
        "whole": result["whole_seconds"] <= 20,
        "memory": result["growth_mb"] < 300,
    }
    named = {
        "quicktok": "plain chat, Qwen3 (quicktok)",
        "tokenizers": "plain chat, Qwen3 (tokenizers alone)",
        "tools": "rows with tools, Qwen3",
    }
    result["lines"] = [
        f"{text}: {result['us'][name]:.0f} µs a row, EncodePreprocessor with two processes"
        f" {result['swift_us']['tools' if name == 'tools' else 'chat']:.0f} µs"
        f" ({result['ratio'][name]} times, bound {BOUNDS[name]})"
        for name, text in named.items()
    ] + [
        (
            f"{result['rows']:,} rows, child warm: estimate after {result['estimate_seconds']} s (bound 2),"
            f" exact after {result['whole_seconds']} s (bound 20), the child grew by"
            f" {result['growth_mb']} MB (bound 300), its counting processes had {result['counters_mb']} MB"
        )
    ]
    return result


def _given(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"bench lengths: set {name}; see bench/lengths.py")
    return value


def _first(source: Path, count: int, out: Path) -> Path:
    with source.open("rb") as rows, out.open("wb") as sink:
        sink.writelines(itertools.islice(rows, count))
    return out


def _with_tools(source: str, count: int, out: Path) -> Path:
    """Standard rows with tools, again and again, each with a number of its own."""
    rows, _ = loading.load(source, {})
    kept = [{k: v for k, v in row.items() if v is not None} for row in rows if row.get("tools")]
    with out.open("w", encoding="utf-8") as sink:
        for number, row in zip(range(count), itertools.cycle(kept), strict=False):
            messages = [dict(message) for message in row["messages"]]
            messages[0]["content"] += f" ({number})"
            sink.write(json.dumps(row | {"messages": messages}, ensure_ascii=False) + "\n")
    return out


def _swift(reference: Reference, path: Path) -> float:
    """Seconds of ms-swift's own encoding of a file's rows, its loading not counted."""
    from swift.dataset import EncodePreprocessor, load_dataset

    rows, _ = load_dataset(str(path), load_from_cache_file=False, num_proc=2)
    return _timed(
        lambda: EncodePreprocessor(reference.template)(rows, num_proc=2, load_from_cache_file=False)
    )


def _ours(
    reference: Reference, spec: dict[str, str], path: Path, strict: bool, place: Path
) -> float:
    folder = Path(tempfile.mkdtemp(dir=place))
    columns, problems = Columns(folder, "train"), Problems(folder)
    asked = Asked(Call(), reference, encoders.load(spec), spec, folder, {}, 2048)  # type: ignore[arg-type]
    counter = PartCounter(asked, "train", 0, str(path), columns, problems)
    seconds = _timed(lambda: counter.count(path, strict=strict))
    columns.close()
    problems.close()
    return seconds


def _whole(poems: str, model: str, place: Path) -> dict[str, Any]:
    """The verb as the page calls it, in a process that has looked at something before."""
    home = str(Settings.load().home / "encoders")

    def run(path: str, name: str) -> tuple[Call, dict[str, Any]]:
        call = Call()
        found = look(
            call, model, "qwen3", "qwen3", [path], [], 0.0, None, 42, str(place / name), {}, None,  # type: ignore[arg-type]
            home, 2048, False,
        )  # fmt: skip
        return call, found

    run(str(place / f"chat-{CHAT[0]}.jsonl"), "warm")
    idle = psutil.Process().memory_info().rss
    call, found = run(poems, "whole")
    return {
        "rows": found["valid"],
        "estimate_seconds": round(call.estimate or 0, 2),
        "whole_seconds": found["seconds"],
        "growth_mb": round((call.peak - idle) / 1e6),
        "counters_mb": round(call.beside / 1e6),
    }


def _timed(work: Callable[[], Any]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def _slopes(
    sides: Mapping[str, Callable[[Path], float]], paths: Sequence[Path], rows: tuple[int, int]
) -> dict[str, float]:
    """Microseconds a row of each side, in turns; of each point the best of the rounds."""
    best: dict[tuple[str, int], float] = {}
    for _ in range(ROUNDS):
        for place, path in enumerate(paths):
            for name, side in sides.items():
                best[name, place] = min(side(path), best.get((name, place), float("inf")))
    return {
        name: round(1e6 * (best[name, 1] - best[name, 0]) / (rows[1] - rows[0]), 1)
        for name in sides
    }
