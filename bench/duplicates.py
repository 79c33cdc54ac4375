"""What a search for faults costs on a large real set, and how rensa compares with datasketch.

``TUNER_BENCH_POEMS`` names a JSON Lines file of some 400,000 rows. Bounds: the
whole search within 150 s and 300 MB; for the same 20,000 rows rensa's sketches
and candidates take at most a quarter of the time of datasketch's.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from tuner.data.findings.duplicates import (
    BAND_WIDTH,
    BANDS,
    LEAST_SHINGLES,
    Buckets,
    Sketches,
)
from tuner.data.findings.reading import Source
from tuner.data.findings.shingles import Shingles, normal
from tuner.data.rows import FOUND, Columns
from tuner.files import write_json

ROOT: Final = Path(__file__).resolve().parent.parent
ROWS: Final = 20_000
ROUNDS: Final = 3
SECONDS: Final = 150
MEGABYTES: Final = 300
RATIO: Final = 0.25


def measure() -> dict[str, Any]:
    """Seconds and memory of one search, and seconds of both libraries on a part of the rows."""
    poems = os.environ.get("TUNER_BENCH_POEMS")
    if not poems:
        raise SystemExit("duplicates: set TUNER_BENCH_POEMS to a JSON Lines file of conversations")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = _look(folder, Path(poems))
        whole = _search(folder)
        source = Source.open(folder)
        texts = [
            normal(item.talk)
            for item in itertools.islice(itertools.chain.from_iterable(source.batches()), ROWS)
        ]
    rounds = [(_by_rensa(texts), _by_datasketch(texts)) for _ in range(ROUNDS)]
    rensa, datasketch = (statistics.median(r[side][0] for r in rounds) for side in (0, 1))
    rensa_rows, datasketch_rows = (rounds[0][side][1] for side in (0, 1))
    ratio = rensa / datasketch
    return {
        "rows": rows,
        **whole,
        "rensa_seconds": round(rensa, 2),
        "datasketch_seconds": round(datasketch, 2),
        "rows_of_both": len(texts),
        "candidates": {"rensa": rensa_rows, "datasketch": datasketch_rows},
        "ratio": round(ratio, 4),
        "kept": {
            "seconds": whole["seconds"] <= SECONDS,
            "memory": whole["peak_growth_mb"] <= MEGABYTES,
            "ratio": ratio <= RATIO,
        },
        "lines": [
            (
                f"{rows:,} rows searched in {whole['seconds']:.1f} s (bound {SECONDS}), with"
                f" {whole['peak_growth_mb']} MB at the peak (bound {MEGABYTES})"
            ),
            (
                f"{len(texts):,} rows: {rensa:.2f} s by rensa, {datasketch:.2f} s by datasketch"
                f" (ratio {ratio:.4f}, bound {RATIO}); rows with a candidate:"
                f" {rensa_rows} and {datasketch_rows}"
            ),
        ],
    }


def _look(folder: Path, poems: Path) -> int:
    """A look's folder over the file as it lies, one row in a hundred held out; its rows."""
    sizes = []
    with poems.open("rb") as source:
        sizes = [len(line) for line in source]
    rows = len(sizes)
    ends = np.cumsum(sizes)
    columns = Columns(folder, "train")
    columns.append(
        length=np.array(sizes) // 3, trained=np.array(sizes) // 4, offset=ends - sizes,
        row=np.arange(1, rows + 1), part=np.zeros(rows, np.int16),
    )  # fmt: skip
    columns.close()
    Columns(folder, "eval").close()
    order = np.random.default_rng(42).permutation(rows)
    for name, part in (("held", order[: rows // 100]), ("index", order[rows // 100 :])):
        part.astype("<i8").tofile(folder / f"train.{name}")
    store = {"path": str(poems.resolve()), "name": poems.name}
    write_json(folder / FOUND, {"stores": {"train": [store], "eval": []}})
    return rows


#: In a process of its own, so that its peak is of nothing else.
_SEARCH: Final = """
import json, resource, sys, time
from pathlib import Path
import psutil
from tuner.data.findings.scan import find
before = psutil.Process().memory_info().rss
start = time.monotonic()
found = find(Path(sys.argv[1]), lambda *_: None, lambda: None)
seconds = time.monotonic() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({
    "seconds": round(seconds, 1),
    "peak_growth_mb": round((peak - before) / 1e6),
    "found": {finding.name: finding.count for finding in found},
}))
"""


def _search(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH, str(folder)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _by_rensa(texts: list[bytes]) -> tuple[float, int]:
    """Seconds from texts to the rows that may have a near copy, and how many those are."""
    start = time.monotonic()
    sketches = Sketches()
    for first in range(0, len(texts), 2_000):
        part = texts[first : first + 2_000]
        sketches.add(np.arange(first, first + len(part)), Shingles.of(part))
    buckets = Buckets.of(*sketches.take())
    return time.monotonic() - start, len(buckets.numbers)


def _by_datasketch(texts: list[bytes]) -> tuple[float, int]:
    """The same by datasketch: equal shingles, hashed by the same arithmetic, and equal bands."""
    datasketch = import_module("datasketch")
    start = time.monotonic()
    shingles = Shingles.of(texts)
    hashes = (shingles.values * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    index = datasketch.MinHashLSH(num_perm=BANDS * BAND_WIDTH, params=(BANDS, BAND_WIDTH))
    sketches = []
    for number, (first, end) in enumerate(itertools.pairwise([0, *shingles.ends.tolist()])):
        if end - first >= LEAST_SHINGLES:
            sketch = datasketch.MinHash(BANDS * BAND_WIDTH, hashfunc=int)
            sketch.update_batch(hashes[first:end].tolist())
            index.insert(number, sketch)
            sketches.append(sketch)
    likely = sum(len(index.query(sketch)) > 1 for sketch in sketches)
    return time.monotonic() - start, likely
