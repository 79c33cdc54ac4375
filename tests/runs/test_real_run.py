"""Real training on a very small model: through the app, stopped half-way, and beside plain ms-swift."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT, chat, read_jsonl, write_jsonl
from tuner.config import TuningConfig
from tuner.errors import BusyError
from tuner.records import DatasetReport, ModelInfo, Plan, Run
from tuner.runs import folder, launch
from tuner.runs.process import with_token
from tuner.settings import Settings
from tuner.workbench import Workbench, documents_of, restore

pytestmark = pytest.mark.slow


class Case:
    """A model, data, and the plan that the app makes of them."""

    def __init__(self, bench: Workbench, model: Path, place: Path) -> None:
        self.bench = bench
        rows = [chat(f"What is {n} + {n}?", f"It is {2 * n}.") for n in range(60)]
        self.train = write_jsonl(place / "train.jsonl", rows)
        self.checks = write_jsonl(place / "checks.jsonl", rows[:12])
        self.model: ModelInfo = bench.inspect_model(str(model))
        self.data, shape = bench.resolve_data([str(self.train)], [str(self.checks)])
        self.report: DatasetReport = bench.inspect_data(self.model, self.data, shape)
        self.plan: Plan = bench.recommend(self.model, self.report)

    def config(self, **values: Any) -> TuningConfig:
        advised = {advice.knob: advice.value for advice in self.plan.advice}
        return self.bench.config(self.model, self.data, self.report, advised | values)


@pytest.fixture(scope="module")
def case(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    place = tmp_path_factory.mktemp("real")
    bench = Workbench(Settings(home=place / "home"))
    yield Case(bench, tiny_model, place)
    bench.close()


@pytest.fixture(scope="module")
def finished(case: Case) -> Run:
    """One run to its end: 60 rows at batch 4 for 1 epoch, an interval that does not divide the steps."""
    config = case.config(
        num_train_epochs=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
        eval_steps=4,
    )
    documents = documents_of(case.model, case.data, case.report, case.plan)
    return launch.follow(case.bench.start(config, documents).folder)


def losses(log: Path, name: str = "loss") -> list[tuple[str, float]]:
    return [(row["global_step/max_steps"], row[name]) for row in read_jsonl(log) if name in row]


def test_a_real_run_finishes_with_a_curve_and_complete_checkpoints(finished: Run) -> None:
    log = folder.log_tail(finished.folder)
    assert (finished.state, finished.exit_code, finished.error) == ("finished", 0, None), log
    assert (finished.step, finished.max_steps, finished.pid) == (15, 15, None)
    names = [Path(checkpoint).name for checkpoint in finished.checkpoints]
    assert names == ["checkpoint-8", "checkpoint-12", "checkpoint-15"]  # save_total_limit 3
    for checkpoint in finished.checkpoints:
        assert (Path(checkpoint) / "adapter_model.safetensors").stat().st_size > 0
    curve = folder.curve_of(finished.folder)
    curve.refresh()
    assert [e.step for e in curve.events if e.loss is not None] == list(range(1, 16))
    assert all(
        e.learning_rate is not None and e.grad_norm is not None
        for e in curve.events
        if e.loss is not None
    )
    assert finished.best_eval_loss is not None


def test_the_schedule_that_was_planned_is_the_one_that_ran(case: Case, finished: Run) -> None:
    from tuner.data.lengths import Lengths
    from tuner.plan.recommend import steps_of

    values = dict(case.bench.run_config(finished.id))
    planned = steps_of(values, Lengths.load(case.report.folder).kept(values["max_length"]))
    assert planned.steps == finished.max_steps
    evaluated = losses(finished.folder / "attempt-1" / "logging.jsonl", "eval_loss")
    assert [step for step, _ in evaluated] == ["4/15", "8/15", "12/15", "15/15"]
    assert planned.evaluations == len(evaluated)


def test_the_states_of_a_run_come_in_their_order(finished: Run) -> None:
    states = [entry["state"] for entry in folder.journal(finished.folder)]
    assert states[0] == "preparing"
    assert states[1] == "training"
    assert {"evaluating", "saving"} <= set(states)
    assert states[-1] == "finished"
    assert "stopping" not in states


def test_a_runs_folder_tells_the_whole_story_again(case: Case, finished: Run) -> None:
    assert restore(finished.folder) == (case.model, case.data, case.report, case.plan)


def test_the_same_config_by_plain_swift_sft_gives_the_same_losses(
    finished: Run, tmp_path: Path
) -> None:
    output = tmp_path / "plain"
    config = TuningConfig.read(finished.folder / "config.yaml").replace(output_dir=str(output))
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "swift"), "sft", str(tmp_path / "config.yaml")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("loss", "eval_loss"):
        ours = losses(finished.folder / "attempt-1" / "logging.jsonl", name)
        plain = losses(output / "logging.jsonl", name)
        assert len(plain) >= 4
        assert [step for step, _ in ours] == [step for step, _ in plain]
        assert [loss for _, loss in ours] == pytest.approx([loss for _, loss in plain], rel=1e-5)


def test_both_sides_answer_from_a_checkpoint_and_stream(case: Case, finished: Run) -> None:
    from tuner import chat as sides

    config = case.bench.run_config(finished.id)
    parts = list(
        sides.stream(
            case.bench.pool, config, finished.checkpoints[-1], "What is 2 + 2?", max_new_tokens=8
        )
    )
    assert parts[0].loading
    assert parts[-1].base
    assert parts[-1].tuned
    assert len(parts) > 3
    again = list(
        sides.stream(
            case.bench.pool, config, finished.checkpoints[-1], "What is 2 + 2?", max_new_tokens=8
        )
    )
    assert again[-1] == parts[-1]
    case.bench.pool.release()


def test_a_run_that_is_stopped_keeps_a_checkpoint_and_leaves_no_process(case: Case) -> None:
    run = case.bench.start(case.config(num_train_epochs=500, eval_steps=1000, save_steps=1000))
    token = folder.status(run.folder)["token"]
    seen: list[str] = []

    def look(now: Run) -> None:
        if now.state == "training" and now.step >= 3 and not seen:
            seen.append(now.state)
            with pytest.raises(BusyError, match=run.id):
                case.bench.start(case.config())
            assert {identity.pid for identity in with_token(token)} >= {now.pid}
            case.bench.stop(run.id)

    ended = launch.follow(run.folder, look)
    assert (ended.state, ended.exit_code) == ("stopped", 0), folder.log_tail(run.folder)
    assert ended.max_steps is not None
    assert 3 <= ended.step < ended.max_steps
    assert len(ended.checkpoints) == 1
    kept = Path(ended.checkpoints[0])
    assert json.loads((kept / "trainer_state.json").read_text())["global_step"] == int(
        kept.name.split("-")[1]
    )
    assert (kept / "adapter_model.safetensors").stat().st_size > 0
    assert with_token(token) == []


def test_a_run_that_cannot_start_fails_with_its_reason(case: Case) -> None:
    run = launch.follow(case.bench.start(case.config().replace(lora_target="nonsense")).folder)
    assert run.state == "failed"
    assert run.exit_code not in (0, None)
    assert run.error is not None
    assert "lora_target" in run.error.say("en") + folder.log_tail(run.folder)


def test_the_terminal_inspects_plans_trains_and_lists(
    tiny_model: Path, case: Case, tmp_path: Path
) -> None:
    def tuner(*argv: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "tuner", *argv, "--json"], cwd=ROOT, capture_output=True, text=True, check=False,
            env=os.environ | {"TUNER_HOME": str(tmp_path / "home")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    chosen = [
        "--model",
        str(tiny_model),
        "--dataset",
        str(case.train),
        "--val-dataset",
        str(case.checks),
    ]
    one_a_row = tmp_path / "lengths.txt"
    found = tuner("inspect", *chosen, "--max-length", "20", "--lengths-out", str(one_a_row))
    measured = [int(line) for line in one_a_row.read_text().split()]
    over = sum(n > 20 for n in measured)
    assert found["rows"] == {"read": 60, "valid": 60, "kept": 60 - over, "dropped": over}
    assert (found["max_length"], found["over_max_length"], found["exact"]) == (20, over, True)
    assert (found["lengths"]["min"], found["lengths"]["max"]) == (min(measured), max(measured))
    assert set(found["lengths"]) == {"min", "mean", "p50", "p90", "p95", "p99", "max"}

    path = tmp_path / "plan.yaml"
    plan = tuner("plan", *chosen, "--system", "Be brief.", "--out", str(path))
    assert plan["config"]["system"] == "Be brief."
    knobs = {advice["knob"] for advice in plan["advice"]}
    assert {
        "learning_rate",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "eval_steps",
    } <= knobs
    assert all(advice["why"] and advice["source"] for advice in plan["advice"])
    assert dict(TuningConfig.read(path)) == plan["config"]

    # Files named relative to where the command runs are found.
    here = os.path.relpath(case.train, ROOT)
    short = TuningConfig.read(path).replace(max_steps=2, dataset=[here])
    path.write_text(short.to_yaml(), encoding="utf-8")
    run = tuner("train", str(path))
    assert run["state"] == "finished"
    listed = tuner("runs")["runs"]
    assert [(r["id"], r["state"], r["step"], r["max_steps"]) for r in listed] == [
        (run["id"], "finished", 2, 2)
    ]
