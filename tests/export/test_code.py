"""Each cell's code runs in a clean process and gets the cell's result."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, chat, write_jsonl
from tuner import chat as answering
from tuner.data.lengths import Lengths
from tuner.export import code
from tuner.records import DatasetRef, DatasetReport, ModelInfo
from tuner.runs import folder, launch
from tuner.workbench import Workbench

pytestmark = pytest.mark.slow


def python(text: str) -> str:
    """Run a fold's Python in a clean process."""
    return _run([sys.executable, "-c", text])


def shell(text: str, home: Path) -> str:
    """Run a fold's command line, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return _run(["bash", "-c", text], PATH=path, TUNER_HOME=str(home))


def _run(command: list[str], **env: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ) | env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def value(output: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)$", output, re.MULTILINE)
    assert found, output
    return found[1]


@pytest.fixture
def cells(
    bench: Workbench, tiny_model: Path, tmp_path: Path
) -> tuple[ModelInfo, DatasetRef, DatasetReport]:
    rows = [chat(f"Question {i}, what is it? " * (1 + i % 5), f"Answer {i}.") for i in range(24)]
    rows.append(
        {
            "messages": [
                {"role": "user", "content": "no answer"},
                {"role": "assistant", "content": None},
            ]
        }
    )
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    model = bench.inspect_model(str(tiny_model))
    data, shape = bench.resolve_data([str(file)], split_ratio=0.25)
    return model, data, bench.inspect_data(model, data, shape, system="Be brief.")


def test_the_model_cells_code_gets_the_model_cells_facts(
    cells: tuple[ModelInfo, DatasetRef, DatasetReport],
) -> None:
    model = cells[0]
    output = python(code.model(model))
    assert int(value(output, "parameters")) == model.parameters
    assert int(value(output, "context length")) == model.context_length
    assert value(output, "template") == model.template


def test_the_data_cells_code_gets_the_data_cells_rows(
    cells: tuple[ModelInfo, DatasetRef, DatasetReport],
) -> None:
    _, data, report = cells
    output = python(code.data(data))
    assert int(value(output, "rows to train on")) == len(Lengths.load(report.folder).train)
    assert int(value(output, "rows to validate on")) == report.eval_rows
    first = ast.literal_eval(value(output, "first row"))
    assert [m["role"] for m in first] == ["user", "assistant"]


def test_the_length_cells_code_gets_the_same_lengths(
    cells: tuple[ModelInfo, DatasetRef, DatasetReport],
) -> None:
    model, data, report = cells
    limit = report.lengths.p50
    output = python(code.lengths(model, data, limit, "Be brief."))
    expected = f"{report.valid} mean: {report.lengths.mean} longest: {report.lengths.max}"
    assert value(output, "rows") == expected
    assert int(value(output, "over max_length")) == Lengths.load(report.folder).kept(limit).over


def test_the_plan_cells_code_gets_the_same_advice(
    cells: tuple[ModelInfo, DatasetRef, DatasetReport], bench: Workbench, home_path: Path
) -> None:
    model, data, report = cells
    made = bench.recommend(model, report)
    answer = json.loads(shell(code.plan(model, data, "Be brief."), home_path))
    assert {a["knob"]: a["value"] for a in answer["advice"]} == {
        a.knob: a.value for a in made.advice
    }
    assert answer["steps"] == made.schedule.steps


def test_the_train_and_try_cells_code_train_and_answer_the_same(
    cells: tuple[ModelInfo, DatasetRef, DatasetReport],
    bench: Workbench,
    tmp_path: Path,
    home_path: Path,
) -> None:
    model, data, report = cells
    values = {a.knob: a.value for a in bench.recommend(model, report).advice}
    config = bench.config(model, data, report, values).replace(
        max_steps=4, eval_steps=2, save_steps=2
    )
    run = launch.follow(bench.start(config).folder)
    assert run.state == "finished", folder.log_tail(run.folder)

    again = config.replace(output_dir=str(tmp_path / "again"), add_version=False)
    shell(code.train(again), home_path)
    ours, theirs = (
        losses(place / "logging.jsonl") for place in (run.folder / "attempt-1", tmp_path / "again")
    )
    assert len(ours) == 4
    assert ours == theirs

    checkpoint = run.checkpoints[-1]
    output = python(code.answers(bench.run_config(run.id), checkpoint, ["Who are you?"]))
    (said,) = answering.ask_all(bench.pool, bench.run_config(run.id), checkpoint, ["Who are you?"])
    assert f"base | Who are you? | {said.base}" in output
    assert f"tuned | Who are you? | {said.tuned}" in output


@pytest.fixture
def home_path(bench: Workbench) -> Path:
    return bench.settings.home


def losses(log: Path) -> list[float]:
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]
