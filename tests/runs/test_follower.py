"""Pages see a run change, cheaply, and hear of its end once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.helpers import small_config
from tuner.records import Run
from tuner.runs import folder
from tuner.runs.follower import Follower
from tuner.runs.process import Identity
from tuner.settings import Settings


def set_status(made: Path, **facts: object) -> None:
    (made / "status.json").write_text(json.dumps(folder.status(made) | facts))


def going(home: Settings) -> Path:
    """A run in training, whose supervisor is this very process."""
    made = folder.create(home.runs, small_config())
    me = Identity.of(os.getpid())
    set_status(made, state="training", supervisor=me.pid, supervisor_start=me.start_time)
    (made / "attempt-1").mkdir()
    return made


def log(made: Path, step: int) -> None:
    row = {"loss": 1.0, "global_step/max_steps": f"{step}/9"}
    with (made / "attempt-1" / "logging.jsonl").open("a") as sink:
        sink.write(json.dumps(row) + "\n")


def test_a_picture_gets_a_new_version_exactly_when_something_changed(home: Settings) -> None:
    made = going(home)
    follower = Follower(home.runs)
    follower.refresh()
    first = follower.picture(made.name)
    follower.refresh()
    assert first is follower.picture(made.name)
    assert first is not None
    log(made, 1)
    follower.refresh()
    second = follower.picture(made.name)
    assert second is not None
    assert second.version > first.version
    assert [e.step for e in second.events] == [1]
    assert first.events == ()


def test_the_end_of_a_run_is_told_once(home: Settings) -> None:
    made = going(home)
    ends: list[Run] = []
    follower = Follower(home.runs, ends.append)
    follower.refresh()
    set_status(made, state="finished")
    for _ in range(3):
        follower.refresh()
    assert [(run.id, run.state) for run in ends] == [(made.name, "finished")]


def test_a_run_that_had_ended_before_the_app_opened_is_shown_and_not_told(home: Settings) -> None:
    made = going(home)
    set_status(made, state="finished")
    ends: list[Run] = []
    follower = Follower(home.runs, ends.append)
    follower.refresh()
    assert [run.id for run in follower.runs()] == [made.name]
    assert ends == []


def test_a_run_whose_folder_was_removed_is_forgotten(home: Settings) -> None:
    made = going(home)
    follower = Follower(home.runs)
    follower.refresh()
    before = follower.list_version
    shutil.rmtree(made)
    follower.refresh()
    assert follower.picture(made.name) is None
    assert follower.list_version > before


def test_rubbish_among_the_runs_does_not_stop_the_follower(home: Settings) -> None:
    (home.runs / "rubbish").mkdir(parents=True)
    (home.runs / "rubbish" / "status.json").write_text("{}")
    made = going(home)
    follower = Follower(home.runs)
    follower.refresh()
    assert [run.id for run in follower.runs()] == [made.name]
