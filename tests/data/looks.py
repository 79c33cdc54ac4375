"""Folders as a look at data leaves them, made without a model: for tests that need rows on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tuner.data.rows import FOUND, Columns, Side
from tuner.files import write_json

Row = Mapping[str, Any]
#: Rows of one dataset, or of several by name.
Given = Sequence[Row] | Mapping[str, Sequence[Row]]


def make_look(
    folder: Path, train_rows: Given, eval_rows: Given = (), held: Iterable[int] = ()
) -> Path:
    """A look's folder with these rows; ``held`` are train-side positions that a split holds out.

    A row's length is its characters, what counts in the loss those of its answers.
    Without ``held`` there was no split: ``train.index`` and ``train.held`` are not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stores = {
        "train": _side(folder, "train", train_rows),
        "eval": _side(folder, "eval", eval_rows),
    }
    if positions := sorted(held):
        count = sum(len(rows) for rows in _parts("train", train_rows).values())
        index = np.setdiff1d(np.arange(count), positions)
        for name, values in (("index", index), ("held", positions)):
            np.asarray(values, "<i8").tofile(folder / f"train.{name}")
    write_json(folder / FOUND, {"stores": stores})
    return folder


def _parts(side: Side, rows: Given) -> Mapping[str, Sequence[Row]]:
    if isinstance(rows, Mapping):
        return rows
    return {f"{side}.jsonl": rows} if rows else {}


def _side(folder: Path, side: Side, rows: Given) -> list[dict[str, str]]:
    columns = Columns(folder, side)
    stores = []
    for part, (name, items) in enumerate(_parts(side, rows).items()):
        path = folder / f"{side}-{part}.store.jsonl"
        with path.open("wb") as store:
            for number, row in enumerate(items, 1):
                texts = [(m["role"], m.get("content") or "") for m in row["messages"]]
                columns.append(
                    length=[sum(len(text) for _, text in texts)],
                    trained=[sum(len(text) for role, text in texts if role == "assistant")],
                    offset=[store.tell()], row=[number], part=[part],
                )  # fmt: skip
                store.write(orjson.dumps(row) + b"\n")
        stores.append({"path": str(path), "name": name})
    columns.close()
    return stores
