"""How often the estimate's intervals hold the truth, how wide they are, and what a sample costs.

Datasets are simulated as two columns, bytes and tokens of each row, and drawn
from as ``tuner/data/sampling.py`` draws from a file: by a random byte. Bounds:
every interval holds the truth in 95 % of the datasets of every kind; neither
its width nor the time of the draws depends on the size.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tuner.data.estimate import Draw, estimate, of_columns
from tuner.data.sampling import draw
from tuner.records import Estimate, Interval

DATASETS: Final = 1_000
DRAWS: Final = 1_000
ROWS: Final = 5_000
QUANTITIES: Final = ("tokens", "mean", "rows", "over", "p50", "p95")
#: Bytes of a row around its texts, and tokens of a template around them.
FRAME_BYTES: Final = 76
FRAME_TOKENS: Final = 20

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """All rows of a simulated file."""

    size: Integers  #: bytes of each row
    tokens: Integers  #: -1: lost
    max_length: int
    blank: int = 0  #: bytes of blank lines
    counted: bool = False  #: the number of rows is known to the estimate

    def truth(self) -> dict[str, float]:
        """What the intervals should hold."""
        lengths = np.sort(self.tokens[self.tokens >= 0])
        p50, p95 = (
            int(lengths[int(level * (len(lengths) - 1) + 1e-9)]) for level in (0.5, 0.95)
        )  # as tuner/data/lengths.py: a length that occurs
        return {
            "tokens": int(lengths.sum()), "mean": float(lengths.mean()), "rows": len(self.size),
            "over": float((lengths > self.max_length).mean()), "p50": p50, "p95": p95,
        }  # fmt: skip

    def sample(self, random: Generator, draws: int) -> Estimate:
        """The estimate of so many draws, each by a random byte."""
        ends = np.cumsum(self.size)
        total = int(ends[-1]) + self.blank
        # Blank lines lie at the end here: where they lie is the same to a random byte.
        found = np.searchsorted(ends, random.integers(0, total, draws), "right")
        rows = found[found < len(ends)]
        return of_columns(
            self.size[rows].astype(np.float64), self.tokens[rows], total, self.max_length,
            len(self.size) if self.counted else None, draws - len(rows),
        )  # fmt: skip


def _texts(random: Generator, rows: int, median: float, sigma: float) -> Integers:
    return np.maximum(random.lognormal(np.log(median), sigma, rows), 1).astype(np.int64)


def _plain(texts: Integers, ratio: Any, max_length: int, **more: Any) -> Dataset:
    tokens = FRAME_TOKENS + np.maximum(texts * ratio, 1).astype(np.int64)
    return Dataset(FRAME_BYTES + texts, tokens, max_length, **more)


def _noisy(random: Generator, rows: int, ratio: float = 0.25) -> Any:
    return np.clip(random.normal(ratio, 0.03, rows), 0.05, 1)


def _lognormal(random: Generator) -> Dataset:
    return _plain(_texts(random, ROWS, 800, 1.0), _noisy(random, ROWS), 2048)


def _wide(random: Generator) -> Dataset:
    return _plain(_texts(random, ROWS, 800, 1.5), _noisy(random, ROWS), 2048)


def _very_wide(random: Generator) -> Dataset:
    return _plain(_texts(random, ROWS, 800, 2.0), _noisy(random, ROWS), 4096)


def _pareto(random: Generator) -> Dataset:
    texts = np.minimum(200 * (1 + random.pareto(1.3, ROWS)), 4e6).astype(np.int64)
    return _plain(texts, 0.25, 2048)


def _mixture(random: Generator) -> Dataset:
    long = random.random(ROWS) < 0.1
    texts = np.where(long, _texts(random, ROWS, 12_000, 0.4), _texts(random, ROWS, 150, 0.4))
    return _plain(texts, 0.27, 2048)


def _short_half(random: Generator) -> Dataset:
    short = random.random(ROWS) < 0.5
    return _plain(
        np.where(short, random.integers(1, 10, ROWS), _texts(random, ROWS, 3_000, 0.5)), 0.25, 2048
    )


def _two_languages(random: Generator) -> Dataset:
    other = random.random(ROWS) < 0.3
    ratio = np.where(other, random.normal(0.6, 0.06, ROWS), random.normal(0.22, 0.02, ROWS))
    return _plain(_texts(random, ROWS, 600, 0.9), ratio, 512)


def _rare_language(random: Generator) -> Dataset:
    other = random.random(ROWS) < 0.005
    ratio = np.where(other, 1.0, random.normal(0.2, 0.01, ROWS))
    return _plain(_texts(random, ROWS, 600, 0.6), ratio, 512)


def _few_over(random: Generator) -> Dataset:
    texts = _texts(random, ROWS, 400, 0.7)
    texts[random.choice(ROWS, 5, replace=False)] += 12_000
    return _plain(texts, 0.25, 2048)


def _dense_over(random: Generator) -> Dataset:
    """Rows over the limit that are no longer in bytes than the others."""
    ratio = np.where(random.random(ROWS) < 0.004, 1.0, 0.25)
    return _plain(_texts(random, ROWS, 400, 0.7), ratio, 400)


def _none_over(random: Generator) -> Dataset:
    made = _plain(_texts(random, ROWS, 400, 0.8), _noisy(random, ROWS), 0)
    return Dataset(made.size, made.tokens, int(made.tokens.max()))


def _all_over(random: Generator) -> Dataset:
    return _plain(_texts(random, ROWS, 400, 0.8), _noisy(random, ROWS), FRAME_TOKENS)


def _tiny(random: Generator) -> Dataset:
    return _plain(_texts(random, 50, 800, 1.0), _noisy(random, 50), 600)


def _equal(random: Generator) -> Dataset:  # noqa: ARG001  # one signature
    return Dataset(np.full(ROWS, 400), np.full(ROWS, 100), 100)


def _lost(random: Generator, counted: bool = False) -> Dataset:
    made = _plain(_texts(random, ROWS, 600, 1.0), _noisy(random, ROWS), 1024)
    lost = random.random(ROWS) < 0.08
    size = np.where(lost, random.integers(20, 80, ROWS), made.size)
    return Dataset(size, np.where(lost, -1, made.tokens), 1024, counted=counted)


def _counted(random: Generator) -> Dataset:
    return _lost(random, counted=True)


def _blank(random: Generator) -> Dataset:
    return _plain(_texts(random, ROWS, 400, 0.8), _noisy(random, ROWS), 512, blank=100 * ROWS)


KINDS: Final[dict[str, Callable[[Generator], Dataset]]] = {
    "lognormal": _lognormal,
    "wide lognormal": _wide,
    "very wide lognormal": _very_wide,
    "Pareto tail": _pareto,
    "short and long": _mixture,
    "half of the rows nearly empty": _short_half,
    "two languages": _two_languages,
    "a rare language": _rare_language,
    "5 of 5,000 rows over": _few_over,
    "short rows over": _dense_over,
    "no row over": _none_over,
    "all rows over": _all_over,
    "50 rows": _tiny,
    "all rows equal": _equal,
    "lost rows": _lost,
    "lost rows, all counted": _counted,
    "blank lines": _blank,
}


def coverage(kind: str, datasets: int, draws: int = DRAWS) -> dict[str, float]:
    """In how many percent of ``datasets`` each interval holds the truth."""
    random = np.random.default_rng(sorted(KINDS).index(kind))
    held = dict.fromkeys(QUANTITIES, 0)
    for _ in range(datasets):
        dataset = KINDS[kind](random)
        found = dataset.sample(random, draws)
        for name, true in dataset.truth().items():
            held[name] += _holds(getattr(found, name), true)
    return {name: 100 * count / datasets for name, count in held.items()}


def _holds(interval: Interval, true: float) -> bool:
    """As far as floating point can tell."""
    return interval.low * (1 - 1e-9) <= true <= interval.high * (1 + 1e-9)


def _width(interval: Interval) -> float:
    """Half of it, in percent of the value."""
    return 50 * (interval.high - interval.low) / interval.value


SIZES: Final = (100_000, 1_000_000, 1_000_000_000)
_MEDIAN, _SIGMA, _LIMIT = 800, 1.0, 1024


def _of_size(random: Generator, rows: int, times: int) -> list[Estimate]:
    """Estimates of one dataset of so many rows; of a billion, by the distribution of its draws."""
    if rows <= 1_000_000:
        made = _plain(_texts(random, rows, _MEDIAN, _SIGMA), _noisy(random, rows), _LIMIT)
        return [made.sample(random, DRAWS) for _ in range(times)]
    mean = _MEDIAN * np.exp(_SIGMA**2 / 2)
    found = []
    for _ in range(times):
        # Draws in proportion to frame + text: of the frames, any text; of the texts, long ones rather.
        by_text = random.random(DRAWS) < mean / (mean + FRAME_BYTES)
        longer = _MEDIAN * np.exp(_SIGMA**2)
        texts = np.where(
            by_text, _texts(random, DRAWS, longer, _SIGMA), _texts(random, DRAWS, _MEDIAN, _SIGMA)
        )
        made = _plain(texts, _noisy(random, DRAWS), _LIMIT)
        found.append(
            of_columns(
                made.size.astype(np.float64), made.tokens, int(rows * (mean + FRAME_BYTES)), _LIMIT
            )
        )
    return found


def _seconds_to_draw(folder: Path, megabytes: int) -> tuple[float, float]:
    """For a sample of a file of that size: held in memory, and dropped from it before."""
    random = np.random.default_rng(0)
    piece = b"".join(b"x" * int(n) + b"\n" for n in _texts(random, 20_000, _MEDIAN, _SIGMA))
    path = folder / f"{megabytes}.jsonl"
    with path.open("wb") as sink:
        while sink.tell() < megabytes << 20:
            sink.write(piece)
        sink.flush()
        os.fsync(sink.fileno())
        spent: dict[bool, list[float]] = {False: [], True: []}
        for seed in range(14):
            if dropped := seed >= 7:
                os.posix_fadvise(sink.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            draw(path, DRAWS, seed)
            spent[dropped].append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(spent[False]), statistics.median(spent[True])


def measure() -> dict[str, Any]:
    """Coverage of every interval for every kind of dataset, widths by size, times."""
    covered = {kind: coverage(kind, DATASETS) for kind in KINDS}
    worst, kind, name = min(
        (share, kind, name) for kind, shares in covered.items() for name, share in shares.items()
    )
    random = np.random.default_rng(1)
    widths = {
        rows: {
            name: statistics.median(_width(getattr(one, name)) for one in estimates)
            for name in QUANTITIES
        }
        for rows in SIZES
        for estimates in [_of_size(random, rows, 101)]
    }
    spread = max(
        max(widths[rows][name] for rows in SIZES) / min(widths[rows][name] for rows in SIZES)
        for name in QUANTITIES
    )
    draws = [Draw(100 + i, 20 + i // 4) for i in range(DRAWS)]
    start = time.perf_counter()
    for _ in range(20):
        estimate(draws, 10**9, 200)
    arithmetic = (time.perf_counter() - start) / 20
    with tempfile.TemporaryDirectory() as folder:
        small, _ = _seconds_to_draw(Path(folder), 16)
        large, dropped = _seconds_to_draw(Path(folder), 1024)
    return {
        "datasets": DATASETS,
        "draws": DRAWS,
        "coverage_percent": covered,
        "half_width_percent": {str(rows): _rounded(values) for rows, values in widths.items()},
        "estimate_ms": round(1000 * arithmetic, 2),
        "draw_ms": {
            "16 MB": round(1000 * small, 1),
            "1 GB": round(1000 * large, 1),
            "1 GB, not in memory": round(1000 * dropped, 1),
        },
        "kept": {
            "coverage": worst >= 95,
            "width_by_size": spread <= 1.15,
            "time_by_size": large <= 3 * small,
        },
        "lines": [
            (
                f"the estimate of {DRAWS:,} rows: each interval holds the truth in at least"
                f" {worst:.1f} % of {DATASETS:,} simulated datasets of each of {len(KINDS)} kinds"
                f" (the least: {name}, {kind}; promised 95 %)"
            ),
            *(
                f"half its width at {rows:,} rows: "
                + ", ".join(f"{name} {value:.1f} %" for name, value in widths[rows].items())
                for rows in SIZES
            ),
            (
                f"{DRAWS:,} draws take {1000 * small:.0f} ms in a file of 16 MB and"
                f" {1000 * large:.0f} ms in one of 1 GB, both in memory, {1000 * dropped:.0f} ms"
                f" where it is not; the arithmetic takes {1000 * arithmetic:.1f} ms"
            ),
        ],
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}
