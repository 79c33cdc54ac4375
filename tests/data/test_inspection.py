"""A look at a dataset is kept by content. The warm child is a hand-written fake here."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import chat, write_jsonl
from tuner.data.inspection import inspect
from tuner.data.rows import Columns, Side
from tuner.errors import StorageError
from tuner.files import write_json
from tuner.records import DatasetRef, DatasetReport, ModelInfo
from tuner.settings import Settings


class Child:
    """Measures a row by its characters, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def call(self, role: str, verb: str, on_progress: Any, **args: Any) -> dict[str, Any]:
        self.asked += 1
        assert (role, verb) == ("data", "measure")
        name = args["train"][0]
        rows = Path(name.partition("#")[0]).read_text().splitlines()
        folder = Path(args["out"])
        folder.mkdir()
        sides: tuple[tuple[Side, list[str]], ...] = (("train", rows), ("eval", []))
        for side, kept in sides:
            columns = Columns(folder, side)
            sizes = [len(row) for row in kept]
            zeros = [0] * len(sizes)
            columns.append(
                length=sizes, trained=zeros, offset=zeros, row=range(1, len(sizes) + 1), part=zeros
            )
            columns.close()
        problem = {"side": "train", "part": 0, "row": 1, "stage": "valid", "text": "{}"}
        problem["reason"] = {"key": "reason.no_messages", "params": {}}
        (folder / "problems.jsonl").write_text(json.dumps(problem) + "\n")
        part = {"name": name, "lines": 2, "read": 2, "loaded": 2, "valid": 2}
        found = {
            "stores": {"train": [{"path": name.partition("#")[0], "name": name}], "eval": []},
            "parts": {"train": [part], "eval": []},
            "split": {"chosen": 2, "train": 2, "held": 0}, "checks": 0,
            "valid": len(rows), "problem_count": 1, "trained_tokens": 0, "untrained": 2,
            "channels": {}, "path": "tokenizers", "checked": 2, "seconds": 0.1, "estimate": None,
            "preview": [[{"role": "user", "content": "q"}]],
        }  # fmt: skip
        write_json(folder / "found.json", found)
        return found


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
    assert first.untrained_rows == (1, 2)
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
    (kept,) = look.home.lengths.glob("*/found.json")
    kept.write_text('{"read": ')
    look(model, str(rows))
    assert look.child.asked == 2
    assert len(list(look.home.lengths.iterdir())) == 1


def test_a_look_that_fails_leaves_nothing(look: Looker, model: ModelInfo, rows: Path) -> None:
    class Full(Child):
        def call(self, role: str, verb: str, on_progress: Any, **args: Any) -> dict[str, Any]:
            super().call(role, verb, on_progress, **args)
            raise OSError(errno.ENOSPC, "No space left on device")

    look.child = Full()
    with pytest.raises(StorageError, match="No space left"):
        look(model, str(rows))
    assert not list(look.home.lengths.iterdir())


def test_rows_from_a_hub_are_read_each_time(look: Looker, model: ModelInfo, rows: Path) -> None:
    class Hub(Child):
        def call(self, role: str, verb: str, on_progress: Any, **args: Any) -> dict[str, Any]:
            return super().call(role, verb, on_progress, **(args | {"train": [str(rows)]}))

    look.child = Hub()
    look(model, "owner/name")
    look(model, "owner/name")
    assert look.child.asked == 2
