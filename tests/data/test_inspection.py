"""A look at a dataset is kept by content. The warm child is a hand-written fake here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import chat, write_jsonl
from tuner.data.inspection import inspect
from tuner.records import DatasetRef, DatasetReport, ModelInfo
from tuner.settings import Settings


class Child:
    """Measures a row by its characters, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, role: str, verb: str, on_progress: Any, **args: Any) -> dict[str, Any]:
        self.asked += 1
        assert (role, verb) == ("data", "measure")
        rows = Path(args["train"][0].partition("#")[0]).read_text().splitlines()
        for part, values in (
            ("train", [len(r) for r in rows]),
            ("index", range(len(rows))),
            ("eval", []),
        ):
            np.save(f"{args['out']}.{part}.npy", np.asarray(list(values), dtype=np.int32))
        return {
            "read": len(rows), "valid": len(rows), "problem_count": 0, "untrained": 0, "eval_rows": 0,
            "problems": [(1, {"key": "reason.no_messages", "params": {}})], "untrained_rows": [2],
            "preview": [[{"role": "user", "content": "q"}]],
        }  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> ModelInfo:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    return ModelInfo("m", path=str(folder), model_type="llama", template="chatml")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", [chat("q", "a"), chat("long question", "a")])


@dataclasses.dataclass
class Looker:
    home: Settings
    child: Child

    def __call__(self, model: ModelInfo, *names: str, **how: Any) -> DatasetReport:
        child: Any = self.child
        return inspect(self.home, child, model, DatasetRef(names), **how)


@pytest.fixture
def look(home: Settings) -> Looker:
    return Looker(home, Child())


def test_a_second_look_at_the_same_rows_asks_nobody(
    look: Looker, model: ModelInfo, rows: Path
) -> None:
    first, second = look(model, str(rows)), look(model, str(rows))
    assert first == second
    assert look.child.asked == 1
    assert first.untrained_rows == (2,)
    assert first.problems[0].reason.say("en") == "no messages"


@pytest.mark.parametrize("change", ["rows", "tokenizer", "template", "system", "count"])
def test_whatever_decides_the_lengths_is_noticed(
    look: Looker, model: ModelInfo, rows: Path, change: str
) -> None:
    look(model, str(rows))
    name, how = str(rows), {}
    if change == "rows":
        rows.write_text(rows.read_text().replace("long", "wide"))
    if change == "tokenizer":
        Path(str(model.path), "tokenizer.json").write_text('{"x": 1}')
    if change == "template":
        model = dataclasses.replace(model, template="llama3")
    if change == "system":
        how = {"system": "Be brief."}
    if change == "count":
        name += "#1"
    look(model, name, **how)
    assert look.child.asked == 2


def test_a_look_that_was_broken_off_is_done_again(
    look: Looker, model: ModelInfo, rows: Path
) -> None:
    look(model, str(rows))
    (kept,) = look.home.lengths.glob("*.json")
    kept.write_text('{"read": ')
    look(model, str(rows))
    next(look.home.lengths.glob("*.index.npy")).unlink()
    look(model, str(rows))
    assert look.child.asked == 3


def test_rows_from_a_hub_are_read_each_time(look: Looker, model: ModelInfo, rows: Path) -> None:
    class Hub(Child):
        def call(self, role: str, verb: str, on_progress: Any, **args: Any) -> dict[str, Any]:
            return super().call(role, verb, on_progress, **(args | {"train": [str(rows)]}))

    look.child = Hub()
    look(model, "owner/name")
    look(model, "owner/name")
    assert look.child.asked == 2
