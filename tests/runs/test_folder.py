"""A run's folder is made whole, and whatever lies about, reading it gives runs or a sentence."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import small_config
from tuner.config import TuningConfig
from tuner.errors import NotFoundError, StorageError
from tuner.records import Run
from tuner.runs import folder
from tuner.runs.process import Identity


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def with_status(made: Path, **facts: Any) -> Path:
    path = made / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return made


def state_of(made: Path, **facts: Any) -> str:
    return folder.read(with_status(made, **facts)).state


def test_a_new_run_is_whole_and_waiting(runs: Path) -> None:
    made = folder.create(runs, small_config(), {"plan": {"steps": 3}}, {"demo": True})
    run = folder.read(made)
    assert (run.state, run.demo, run.model, run.data) == (
        "waiting",
        True,
        "owner/model",
        "owner/data",
    )
    assert run.id == made.name
    assert folder.document(made, "plan") == {"steps": 3}
    assert json.loads((made / "status.json").read_text())["schema"] == 1
    assert [p.name for p in runs.iterdir()] == [made.name]


def test_the_config_in_the_folder_is_the_one_that_was_given_but_for_where_it_writes(
    runs: Path,
) -> None:
    given = small_config(learning_rate=1e-05, system="你好")
    made = folder.create(runs, given)
    kept = TuningConfig.read(made / "config.yaml")
    assert kept == given.replace(output_dir=str(made / "attempt-1"), add_version=False)


def test_two_runs_of_the_same_second_are_two_runs(runs: Path) -> None:
    made = {folder.create(runs, small_config()) for _ in range(20)}
    assert len(made) == len(folder.listed(runs)) == 20


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        folder.create(tmp_path / "file", small_config())


def test_a_document_that_cannot_be_written_leaves_nothing_that_looks_like_a_run(runs: Path) -> None:
    with pytest.raises(StorageError):
        folder.create(runs, small_config(), {"no/such/place": {}})
    assert list(runs.iterdir()) == []
    with pytest.raises(TypeError):
        folder.create(runs, small_config(), {"plan": object()})
    assert folder.listed(runs) == []


def test_a_full_disk_is_named_and_leaves_nothing_half_made(small_disk: Path) -> None:
    with pytest.raises(StorageError, match=str(small_disk)):
        folder.create(small_disk / "runs", small_config(), {"report": {"rows": "x" * (2 << 20)}})
    assert folder.listed(small_disk / "runs") == []
    assert not [p for p in (small_disk / "runs").rglob("*") if p.is_file()]


def test_a_list_of_runs_is_newest_first_and_passes_over_what_is_no_run(runs: Path) -> None:
    made = [folder.create(runs, small_config()) for _ in range(3)]
    for age, place in enumerate(made):
        with_status(place, created=time.time() - 1000 * age)
    rubbish = {
        "empty": None, "cut": '{"id": "x", "sta', "list": "[]", "bare": "{}", "text": "x", "binary": "\0\1",
        ".making-20260101": (made[0] / "status.json").read_text(),
        "odd-state": '{"id": 1, "state": [], "created": "x", "updated": null}',
        "odd-time": '{"id": "x", "state": "finished", "created": "x", "updated": 0}',
    }  # fmt: skip
    for name, text in rubbish.items():
        (runs / name).mkdir()
        if text is not None:
            (runs / name / "status.json").write_text(text)
    (runs / "a file").write_text("x")
    assert [run.folder for run in folder.listed(runs)] == made


def test_a_run_of_a_newer_version_still_opens(runs: Path) -> None:
    made = with_status(folder.create(runs, small_config()), schema=2, mood="good")
    assert folder.read(made).id == made.name


def test_a_folder_without_a_readable_status_is_no_run(runs: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing-here"):
        folder.read(runs / "nothing-here")


def test_a_run_is_going_on_only_while_its_very_own_supervisor_lives(runs: Path) -> None:
    made = folder.create(runs, small_config())
    me = Identity.of(os.getpid())
    assert me.start_time is not None
    assert (
        state_of(made, state="training", supervisor=me.pid, supervisor_start=me.start_time)
        == "training"
    )
    # The same pid, given to another process since.
    assert state_of(made, supervisor_start=me.start_time - 1) == "lost"
    assert state_of(made, supervisor=2**22 + 1, supervisor_start=me.start_time) == "lost"
    assert state_of(made, state="finished") == "finished"


def test_a_run_that_no_supervisor_took_up_is_lost_after_a_while(runs: Path) -> None:
    made = folder.create(runs, small_config())
    assert state_of(made) == "waiting"
    assert state_of(made, created=time.time() - folder.START_SECONDS - 1) == "lost"


def test_a_checkpoint_counts_when_its_last_file_is_there(runs: Path) -> None:
    made = folder.create(runs, small_config())
    attempt = made / "attempt-1"
    for name in (
        "checkpoint-10",
        "checkpoint-9",
        "checkpoint-100",
        "checkpoint-final",
        "checkpoint-",
        "other-5",
    ):
        (attempt / name).mkdir(parents=True)
        (attempt / name / "trainer_state.json").write_text("{}")
    (attempt / "checkpoint-200").mkdir()
    (attempt / "checkpoint-300").symlink_to(attempt / "checkpoint-10")
    assert [Path(c).name for c in folder.checkpoints(made)] == [
        "checkpoint-9",
        "checkpoint-10",
        "checkpoint-100",
    ]


@pytest.mark.parametrize(
    "ident",
    [
        "",
        ".",
        "..",
        "../runs",
        "../../etc",
        "/etc",
        "a/b",
        "no-such-run",
        ".making-x",
        "run\0",
        "长" * 300,
        "~",
        "*",
    ],
)
def test_a_run_is_found_by_its_id_and_by_no_path(runs: Path, ident: str) -> None:
    made = folder.create(runs, small_config())
    (runs / "status.json").write_text((made / "status.json").read_text())
    (runs.parent / "status.json").write_text((made / "status.json").read_text())
    assert folder.find(runs, made.name) == made
    with pytest.raises(NotFoundError):
        folder.find(runs, ident)


def test_the_end_of_a_log_is_its_last_lines_without_progress_bars(runs: Path) -> None:
    made = folder.create(runs, small_config())
    assert folder.log_tail(made) == ""
    bars = "".join(f"\rTrain: {n}%" for n in range(100))
    (made / "log.txt").write_bytes(
        b"x" * 50_000 + b"\n" + f"起点\n{bars}\n\n终点".encode() + b"\xff"
    )
    tail = folder.log_tail(made, 2000)
    assert tail.endswith("终点\ufffd")
    assert "\r" not in tail
    assert len(tail) < 2100


def test_a_journal_with_a_torn_last_line_gives_the_lines_before(runs: Path) -> None:
    made = folder.create(runs, small_config())
    assert folder.journal(made) == []
    (made / "journal.jsonl").write_text('{"state": "training"}\n{"sta')
    assert folder.journal(made) == [{"state": "training"}]


def test_the_log_of_ms_swift_gives_step_and_best_eval_loss(runs: Path) -> None:
    made = folder.create(runs, small_config())
    (made / "attempt-1").mkdir()
    rows = [
        {"loss": 2.0, "global_step/max_steps": "1/4"},
        {"eval_loss": 0.5, "global_step/max_steps": "2/4"},
        {"eval_loss": 0.0, "global_step/max_steps": "3/4"},
        {"eval_loss": float("nan"), "global_step/max_steps": "4/4"},
    ]
    (made / "attempt-1" / "logging.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows)
    )
    run: Run = folder.read(made)
    assert (run.step, run.max_steps, run.best_eval_loss) == (4, 4, 0.0)
