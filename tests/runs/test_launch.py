"""A run is refused before anything is written when it cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers import small_config
from tuner.errors import BusyError, StorageError
from tuner.runs import folder, launch
from tuner.runs.process import Identity
from tuner.settings import Settings


def test_a_second_run_is_refused_while_one_is_going_and_named(home: Settings) -> None:
    going = folder.create(home.runs, small_config())
    me = Identity.of(os.getpid())
    status = folder.status(going) | {
        "state": "training",
        "supervisor": me.pid,
        "supervisor_start": me.start_time,
    }
    (going / "status.json").write_text(json.dumps(status))
    with pytest.raises(BusyError) as caught:
        launch.start(home.runs, small_config())
    assert going.name in caught.value.say("en")
    assert going.name in caught.value.say("zh")
    assert [run.folder for run in folder.listed(home.runs)] == [going]


def test_a_disk_without_room_for_a_checkpoint_is_named(small_disk: Path) -> None:
    with pytest.raises(StorageError, match=str(small_disk)):
        launch.start(small_disk / "runs", small_config())
    assert folder.listed(small_disk / "runs") == []


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        launch.start(tmp_path / "file" / "runs", small_config())
