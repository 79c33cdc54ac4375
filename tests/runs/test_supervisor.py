"""The supervisor's promises, with a trainer that is a real process but trains nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import ROOT, small_config
from tuner.records import Run
from tuner.runs import folder, launch
from tuner.runs.process import Identity, with_token
from tuner.settings import Settings

STAND_IN = str(Path(__file__).parent / "stand_in.py")
START = (
    "import sys; from pathlib import Path; from tuner.runs.supervisor import main; "
    "main(Path(sys.argv[1]), sys.argv[2:])"
)
#: Starts a process, tells that it is up, and waits for ever.
WAITS = "import signal; print('up', flush=True); signal.pause()"

Start = Callable[[str], Path]


def supervise(made: Path, deed: str) -> None:
    """A supervisor process of its own for this run; returns once it has detached itself."""
    with (made / "log.txt").open("ab") as log:
        subprocess.run(
            [sys.executable, "-c", START, str(made), sys.executable, STAND_IN, deed],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=30,
        )  # fmt: skip


@pytest.fixture
def start(home: Settings) -> Iterator[Start]:
    """Runs of the stand-in; whatever is left of them when a test fails is ended."""
    made: list[Path] = []

    def begin(deed: str) -> Path:
        made.append(folder.create(home.runs, small_config()))
        supervise(made[-1], deed)
        return made[-1]

    yield begin
    for place in made:
        status = folder.status(place)
        mine = with_token(status["token"])
        if "supervisor" in status:
            mine.append(Identity(status["supervisor"], status["supervisor_start"]))
        for identity in mine:
            if identity.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, signal.SIGKILL)


@pytest.fixture
def stranger() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Processes that belong to nobody's run."""
    started: list[subprocess.Popen[str]] = []

    def begin(*argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITS, *argv], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def end_of(place: Path, on_training: Callable[[Path], None] = lambda _: None) -> Run:
    """The run when it is over; ``on_training`` is called once, when training has begun."""
    waiting = [on_training]

    def look(run: Run) -> None:
        if run.state == "training" and waiting:
            waiting.pop()(place)

    return launch.follow(place, look)


def states(place: Path) -> list[str]:
    return [entry["state"] for entry in folder.journal(place)]


def test_a_run_that_reaches_its_last_step_is_finished(start: Start) -> None:
    place = start("finish")
    run = end_of(place)
    assert (run.state, run.exit_code, run.signal, run.error) == ("finished", 0, None, None)
    assert (run.step, run.max_steps, run.pid) == (3, 3, None)
    assert [Path(c).name for c in run.checkpoints] == ["checkpoint-3"]
    assert states(place)[0] == "preparing"
    assert states(place)[-1] == "finished"


def test_a_run_that_ended_well_before_its_last_step_is_finished_too(start: Start) -> None:
    assert end_of(start("early")).state == "finished"


def test_a_trainer_that_ends_without_a_word_has_failed(start: Start) -> None:
    assert end_of(start("half")).state == "failed"


def test_a_failure_keeps_the_exit_code_and_the_error_in_its_own_words(start: Start) -> None:
    run = end_of(start("fail"))
    assert (run.state, run.exit_code, run.signal) == ("failed", 3, None)
    assert run.error is not None
    for lang in ("en", "zh"):
        assert "ValueError: no template called 'nonsense'" in run.error.say(lang)


def test_a_trainer_killed_by_a_signal_has_failed_with_its_name(start: Start) -> None:
    run = end_of(start("killed"))
    assert (run.state, run.exit_code, run.signal) == ("failed", None, "SIGKILL")
    assert run.step == 1


def test_rubbish_among_the_phases_does_no_harm(start: Start) -> None:
    run = end_of(start("torn"))
    assert (run.state, run.exit_code) == ("failed", 1)


def test_a_stop_saves_a_checkpoint_and_is_stopped(start: Start) -> None:
    place = start("wait")
    run = end_of(place, launch.request_stop)
    assert (run.state, run.exit_code) == ("stopped", 0)
    assert [Path(c).name for c in run.checkpoints] == ["checkpoint-1"]
    assert states(place)[-2:] == ["stopping", "stopped"]


def test_a_trainer_that_others_asked_to_stop_and_that_saved_is_stopped_too(start: Start) -> None:
    def ask(place: Path) -> None:
        pid = folder.status(place)["pid"]
        assert Identity(pid, folder.status(place)["pid_start"]).alive()
        os.kill(pid, signal.SIGTERM)

    run = end_of(start("wait"), ask)
    assert (run.state, len(run.checkpoints)) == ("stopped", 1)


def test_a_trainer_that_does_not_listen_is_ended_when_told_to_end_now(start: Start) -> None:
    place = start("deaf")
    run = end_of(place, lambda p: launch.request_stop(p, now=True))
    assert (run.state, run.signal) == ("stopped", "SIGKILL")
    assert run.checkpoints == ()


def test_nothing_of_a_run_is_left_even_if_it_ignores_sigterm(start: Start) -> None:
    place = start("litter")
    assert end_of(place).state == "finished"
    pid = int((place / "attempt-1" / "litter.pid").read_text())
    assert not psutil.pid_exists(pid)
    assert with_token(folder.status(place)["token"]) == []


def test_strangers_are_not_touched_however_much_their_command_line_looks_like_the_run(
    start: Start, stranger: Callable[..., subprocess.Popen[str]]
) -> None:
    place = start("wait")
    token = folder.status(place)["token"]
    like = stranger(
        "swift", "sft", str(place / "config.yaml"), "--output_dir", str(place / "attempt-1"), token
    )
    assert end_of(place, launch.request_stop).state == "stopped"
    assert like.poll() is None


def test_the_pid_of_a_run_is_its_trainers_while_it_trains(start: Start) -> None:
    seen: list[list[str]] = []

    def look(place: Path) -> None:
        pid = folder.read(place).pid
        assert pid is not None
        seen.append(psutil.Process(pid).cmdline())
        launch.request_stop(place)

    end_of(start("wait"), look)
    assert STAND_IN in seen[0]


def test_a_run_lives_in_a_session_of_its_own(start: Start) -> None:
    def look(place: Path) -> None:
        status = folder.status(place)
        assert len({os.getsid(0), os.getsid(status["supervisor"]), os.getsid(status["pid"])}) == 3
        launch.request_stop(place)

    assert end_of(start("wait"), look).state == "stopped"


def test_a_second_supervisor_leaves_a_supervised_run_alone(start: Start) -> None:
    def look(place: Path) -> None:
        before = folder.status(place)
        supervise(place, "fail")
        assert folder.status(place)["supervisor"] == before["supervisor"]
        launch.request_stop(place)

    assert end_of(start("wait"), look).state == "stopped"


def test_a_run_whose_supervisor_was_killed_is_lost_and_says_so(start: Start) -> None:
    run = end_of(
        start("deaf"), lambda place: os.kill(folder.status(place)["supervisor"], signal.SIGKILL)
    )
    assert run.state == "lost"
    assert run.error is not None
    assert run.error.say("zh") != run.error.say("en")


def test_the_log_holds_what_the_trainer_said(start: Start) -> None:
    place = start("fail")
    end_of(place)
    assert "ValueError: no template called" in folder.log_tail(place)


def test_the_supervisor_imports_nothing_but_the_standard_library_and_two_small_files() -> None:
    code = (
        "import sys; before = set(sys.modules); import tuner.runs.supervisor; "
        "print(*sorted({m for m in sys.modules if m not in before and m.split('.')[0] not in sys.stdlib_module_names}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) == {
        "tuner", "tuner.files", "tuner.runs", "tuner.runs.process", "tuner.runs.supervisor",
    }  # fmt: skip
