"""Small things that many tests make: rows, files, lengths, a run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuner.config import TuningConfig
from tuner.data.lengths import Lengths
from tuner.records import LengthStats

ROOT = Path(__file__).resolve().parent.parent


def chat(user: str, assistant: str, system: str | None = None) -> dict[str, Any]:
    """One row of one turn."""
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages}


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """One object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def lengths_of(
    rows: list[int], train: list[int] | None = None, validation: Iterable[int] = ()
) -> Lengths:
    """Lengths as a look at a dataset leaves them; without ``train`` every row trains."""
    arrays = (
        np.asarray(list(v), dtype=np.int32)
        for v in (rows, rows if train is None else train, validation, rows)
    )
    return Lengths(*arrays)


def stats_of(p95: int = 100, p99: int = 120, longest: int = 150) -> LengthStats:
    return LengthStats(min=10, mean=60.0, p50=50, p90=90, p95=p95, p99=p99, max=longest)


def small_config(model: Path | str = "owner/model", **flags: Any) -> TuningConfig:
    """A run's settings, complete enough for a folder to be made of them."""
    return TuningConfig.of(**({"model": str(model), "dataset": ["owner/data"]} | flags))
