"""Hard inputs end in a sentence that names the file and the row, and leave nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import psutil
import pytest

from tests.helpers import chat, write_jsonl
from tests.workers.test_encoders import qwen_like_model
from tuner.data import files
from tuner.data.counting import cuts
from tuner.data.files import check, check_all
from tuner.data.rows import Rows
from tuner.data.sources import resolve
from tuner.errors import InputError, NotFoundError, StorageError, TunerError
from tuner.records import DatasetReport, ModelInfo
from tuner.settings import Settings
from tuner.workbench import Workbench
from tuner.workers.crowd import Crowd
from tuner.workers.encoders import NoEncoder, ReferenceEncoder

MB: Final = 1 << 20
PLAIN: Final = json.dumps(chat("How deep is the sea?", "Deep, and deeper still.")).encode() + b"\n"
#: What a child may grow by, whatever the size of a file (bytes), with its helpers.
BOUND: Final = 400 * MB


def long_row(size: int) -> bytes:
    return json.dumps(chat("q", "x" * size)).encode() + b"\n"


# Before anything heavy is started.


def test_a_first_line_of_100_mb_is_named_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with path.open("wb") as sink:
        sink.write(b'{"messages": "')
        sink.truncate(100 * MB)
    with pytest.raises(InputError, match=r"one\.jsonl, row 1: longer than 4 MB"):
        check(path)


def test_a_line_of_100_mb_anywhere_is_named_in_little_memory(tmp_path: Path) -> None:
    for rows in (0, 1, 300_000):  # in the first piece of the file, and in a later one
        path = tmp_path / "middle.jsonl"
        with path.open("wb") as sink:
            sink.write(PLAIN * rows)
            sink.seek(100 * MB, os.SEEK_CUR)  # a hole: no byte of it is written
            sink.write(b"\n" + PLAIN)
        tracemalloc.start()
        try:
            with pytest.raises(InputError) as caught:
                list(cuts(path, path.stat().st_size))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (caught.value.key, caught.value.params["row"]) == ("file.row_too_long", rows + 1)
        assert "middle.jsonl" in caught.value.say("zh")
        assert peak < 40 * MB


def test_a_loop_of_links_is_a_missing_file(tmp_path: Path, home: Settings) -> None:
    loop = tmp_path / "loop.jsonl"
    loop.symlink_to(loop)
    with pytest.raises(NotFoundError, match=r"loop\.jsonl"):
        check(loop)
    for name in (str(loop), f"{loop}#10", f"{loop}/rows.jsonl"):
        with pytest.raises(NotFoundError, match=r"loop\.jsonl"):
            resolve(home, [name])


def test_an_array_that_memory_would_have_to_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as sink:
        sink.write(b"[")
        sink.truncate((1 << 30) + 1)
    with pytest.raises(InputError, match=r"huge\.json.*more than 1 GB.*\.jsonl"):
        check(path)


@pytest.mark.parametrize(
    "line", [b'{"messages": "\x00"}', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b'{"messages": [', b"nothing"]
)  # fmt: skip
def test_the_first_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(PLAIN * 2 + line + b"\n" + PLAIN)
    for look in (check, check_all):
        with pytest.raises(InputError, match=r"broken\.jsonl, (line|row) 3"):
            look(path)


@pytest.mark.parametrize("size", [0, 1, 3 * MB])
def test_blank_lines_are_no_rows_however_many_there_are(tmp_path: Path, size: int) -> None:
    path = tmp_path / "blank.jsonl"
    path.write_bytes(b"\n \r\n\t\n" * (size // 6) + b"\n" * (size % 6))
    with pytest.raises(InputError, match=r"blank\.jsonl is empty"):
        check(path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match=r"pipe\.jsonl is empty"):
        check(tmp_path / "pipe.jsonl")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        Path(place).chmod(0o755)
        path = Path(place) / "closed.jsonl"
        path.write_bytes(PLAIN)
        path.chmod(0)
        with as_nobody(), pytest.raises(TunerError, match=r"closed\.jsonl cannot be read"):
            check(path)


def test_a_file_of_a_mb_is_read_whole_and_a_larger_one_only_at_its_beginning(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.jsonl"
    many = files.HEAD // len(PLAIN)
    path.write_bytes(PLAIN * (many - 1) + b"nothing\n")
    with pytest.raises(InputError) as caught:
        check(path)
    assert (caught.value.key, caught.value.params["row"]) == ("file.bad_json_line", many)
    path.write_bytes(PLAIN * (many + 1) + b"nothing\n")
    assert check(path) == "messages (jsonl)"
    with pytest.raises(InputError) as caught:
        check_all(path)
    assert caught.value.params["row"] == many + 2


# What a process that is killed leaves to the others.


class Deadly:
    """Stands for a template; the process that it is asked in is killed, as where memory ends."""

    quick = staticmethod(lambda _: contextlib.nullcontext())

    def encode_quickly(self, row: Mapping[str, Any]) -> tuple[int, int]:
        if row["messages"] == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return 1, 1


class WaitedError(Exception):
    """Nobody waits any longer."""


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_that_is_killed_is_not_waited_for() -> None:
    rows = [orjson.dumps({"messages": text}) for text in ("fine", "deadly", "fine")]
    turns = iter(range(30))

    def check_often() -> None:
        if next(turns, None) is None:
            raise WaitedError

    reference: Any = Deadly()
    crowd = Crowd(reference, NoEncoder(), None)
    try:
        with pytest.raises((TunerError, OSError, RuntimeError)):
            crowd.settle(rows, check_often)
    finally:
        crowd.close()


# Looks, by the real child.


Look = Callable[..., DatasetReport]


@pytest.fixture
def look(real: Workbench, model: ModelInfo) -> Iterator[Look]:
    """A look, after which nothing half-written may lie in the folder of looks."""

    def looked(path: Path, **how: Any) -> DatasetReport:
        data, shape = real.resolve_data([str(path)])
        try:
            return real.inspect_data(how.pop("model", model), data, shape, **how)
        finally:
            nothing_half_written(real.settings)

    yield looked
    # A child that has been asked hard things answers as before.
    few = write_jsonl(real.settings.home / "few.jsonl", [chat("q", "a")] * 3)
    shutil.rmtree(real.settings.lengths, ignore_errors=True)
    assert looked(few).valid == 3


def nothing_half_written(settings: Settings) -> None:
    for kept in settings.lengths.iterdir() if settings.lengths.exists() else ():
        assert not kept.name.startswith("."), "a look was left half-written"
        assert (kept / "found.json").is_file()
        known = {"found.json", "problems.jsonl", "train-0.jsonl"}
        strays = {path.name for path in kept.iterdir()} - known
        assert {name.partition(".")[0] for name in strays} <= {"train", "eval"}


def processes(bench: Workbench) -> list[psutil.Process]:
    """The data child and what it has started."""
    pid = bench.pool.worker("data").pid
    if pid is None:
        return []
    try:
        child = psutil.Process(pid)
        return [child, *child.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident(bench: Workbench) -> int:
    """Memory of the data child and of what it has started (bytes)."""
    found = 0
    for process in processes(bench):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.memory_info().rss
    return found


@contextlib.contextmanager
def watched(bench: Workbench) -> Iterator[list[int]]:
    """What the child's memory grows by at most (bytes), the only number of the list, at the end."""
    before, peak, ended = resident(bench), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], resident(bench) - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("escape", ["\\u0000", "\\ud83d\\udc1f", "\\u0007"])
def test_escapes_that_json_allows_are_measured(look: Look, tmp_path: Path, escape: str) -> None:
    path = tmp_path / "escapes.jsonl"
    path.write_bytes(PLAIN * 3 + PLAIN.replace(b"Deep", escape.encode()) + PLAIN)
    report = look(path)
    assert (report.valid, report.problem_count) == (5, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", [b'{"messages": "\x00"}', b"\x00" * 99, b"[" * 100_000, b'{"x":' + b"[" * 5_000, b'{"messages": [']
)  # fmt: skip
def test_a_broken_line_is_named_before_anything_is_kept(
    look: Look, tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "broken.jsonl"
    # Beyond the part that a first look reads.
    path.write_bytes(PLAIN * 12_000 + line + b"\n" + PLAIN)
    with pytest.raises(InputError, match=r"broken\.jsonl, line 12,?001"):
        look(path)


@pytest.mark.slow
@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00 x", b"\\ud83d"])
def test_a_lone_surrogate_is_named_with_its_line(look: Look, tmp_path: Path, escape: bytes) -> None:
    path = tmp_path / "lone.jsonl"
    path.write_bytes(PLAIN * 2 + PLAIN.replace(b"Deep", escape) + PLAIN)
    with pytest.raises(InputError, match=r"lone\.jsonl, (line|row) 3"):
        look(path)


@pytest.mark.slow
def test_a_lone_surrogate_ends_in_a_sentence(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "lone.jsonl"
    path.write_bytes(PLAIN + PLAIN.replace(b"Deep", b"\\ud800"))
    with pytest.raises(InputError, match=r"lone\.jsonl"):
        look(path)


@pytest.mark.slow
def test_a_line_of_100_mb_in_the_middle_is_named_in_bounded_memory(
    look: Look, real: Workbench, tmp_path: Path
) -> None:
    look(write_jsonl(tmp_path / "warm.jsonl", [chat("q", "a")]))
    path = tmp_path / "middle.jsonl"
    with path.open("wb") as sink:
        sink.write(PLAIN * 200_000)
        sink.write(b'{"messages": [{"role": "user", "content": "' + b"x" * (100 * MB) + b'"}]}\n')
        sink.write(PLAIN * 1_000)
    with watched(real) as peak, pytest.raises(InputError) as caught:
        look(path)
    path.unlink()
    assert (caught.value.key, caught.value.params["row"]) == ("file.row_too_long", 200_001)
    assert "middle.jsonl" in caught.value.say("en")
    assert peak[0] < BOUND


@pytest.mark.slow
def test_a_row_over_the_limit_is_named_wherever_it_lies(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(PLAIN * 100 + long_row(20 * MB) + PLAIN * 100)
    with pytest.raises(InputError, match=r"long\.jsonl, row 101: longer than 4 MB"):
        look(path)


@pytest.mark.slow
def test_300_mb_of_rows_are_counted_in_bounded_memory(
    look: Look, real: Workbench, tiny_model: Path, tmp_path: Path
) -> None:
    known = real.inspect_model(str(qwen_like_model(tiny_model, tmp_path / "quick")))
    rows = [
        chat(f"Question {n}?", f"Answer {n}. " + "The sea is deep and blue. " * 400)
        for n in range(900)
    ]
    block = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    path = tmp_path / "large.jsonl"
    with path.open("wb") as sink:
        for _ in range(300 * MB // len(block)):
            sink.write(block)
    count = 300 * MB // len(block) * len(rows)
    few = tmp_path / "few.jsonl"
    few.write_bytes(block)
    once = look(few, model=known)
    assert once.path == "quicktok"
    with watched(real) as peak:
        report = look(path, model=known)
    path.unlink()
    assert (report.read, report.valid, report.path) == (count, count, "quicktok")
    assert report.trained_tokens * len(rows) == once.trained_tokens * count
    assert report.estimate is not None
    assert report.estimate.tokens.low <= report.lengths.mean * count <= report.estimate.tokens.high
    assert peak[0] < BOUND


@pytest.mark.slow
def test_two_million_rows_are_estimated_first_and_stopped_at_once_in_bounded_memory(
    look: Look, real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    look(write_jsonl(tmp_path / "warm.jsonl", [chat("q", "a")]))
    path = tmp_path / "many.jsonl"
    tiny = json.dumps(chat("a", "b")).encode() + b"\n"
    with path.open("wb") as sink:
        for _ in range(200):
            sink.write(tiny * 10_000)
    heard: list[Mapping[str, Any]] = []

    def hear(said: Mapping[str, Any]) -> None:
        heard.append(said)
        if said.get("done"):
            real.pool.worker("data").cancel()

    with watched(real) as peak, pytest.raises(TunerError) as caught:
        look(path, progress=hear)
    assert caught.value.key == "worker.cancelled"
    (estimate,) = (said["estimate"] for said in heard if said.get("estimate"))
    assert estimate["rows"]["low"] <= 2_000_000 <= estimate["rows"]["high"]
    assert max(said.get("done", 0) for said in heard) < 2_000_000
    assert peak[0] < BOUND
    found = real.estimate_data(model, real.resolve_data([str(path)])[0])
    assert found is not None
    assert found.mean.low <= found.mean.value <= found.mean.high
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["load", "count", "estimate"])
def test_a_cancelled_look_leaves_nothing_and_the_child_lives_on(
    look: Look, real: Workbench, tmp_path: Path, stage: str
) -> None:
    path = write_jsonl(
        tmp_path / "rows.jsonl", [chat(f"{stage} {n}", "a " * 50) for n in range(40_000)]
    )
    look(write_jsonl(tmp_path / "warm.jsonl", [chat("q", "a")]))
    pid = real.pool.worker("data").pid

    def cancel(said: Mapping[str, Any]) -> None:
        if said.get("stage") == stage:
            real.pool.worker("data").cancel()

    with pytest.raises(TunerError) as caught:
        look(path, progress=cancel)
    assert caught.value.key == "worker.cancelled"
    assert real.pool.worker("data").pid == pid
    assert len(processes(real)) == 1, "a helper of the child works on"


def grows(path: Path) -> None:
    with path.open("ab") as sink:
        sink.write(PLAIN)


def is_written_anew(path: Path) -> None:
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)


def is_edited_in_place(path: Path) -> None:
    with path.open("r+b") as sink:
        sink.seek(len(PLAIN))
        sink.write(PLAIN.upper())


def is_replaced(path: Path) -> None:
    path.with_suffix(".new").write_bytes(PLAIN * 10)
    path.with_suffix(".new").replace(path)


def shrinks(path: Path) -> None:
    os.truncate(path, 10 * len(PLAIN))


def is_emptied(path: Path) -> None:
    os.truncate(path, 0)


#: Rows are read again by their places, which are no longer there.


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        grows, is_written_anew, is_edited_in_place,
        is_replaced, shrinks,
        is_emptied, Path.unlink,
    ],
)  # fmt: skip
def test_a_file_that_changes_while_it_is_read_is_not_believed(
    look: Look, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(PLAIN * 300_000)  # several pieces: some are counted before the change
    waiting = [change]

    def disturb(said: Mapping[str, Any]) -> None:
        if said.get("done") and waiting:
            waiting.pop()(path)

    with pytest.raises((InputError, NotFoundError), match=r"rows\.jsonl") as caught:
        look(path, progress=disturb)
    assert caught.value.key in {"file.changed", "file.missing"}


@pytest.mark.slow
def test_a_file_that_grows_before_it_is_counted_is_counted_whole_or_not_believed(
    look: Look, tmp_path: Path
) -> None:
    path = tmp_path / "grows.jsonl"
    path.write_bytes(PLAIN * 1_000)

    def append(said: Mapping[str, Any]) -> None:
        if said["stage"] == "count":
            grows(path)

    with pytest.raises(InputError, match=r"grows\.jsonl was changed"):
        look(path, progress=append)
    assert look(path).valid > 1_000


@pytest.mark.slow
def test_rows_that_were_read_are_not_kept_for_those_that_stood_there_before(
    look: Look, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(PLAIN * 100)
    waiting = [
        b"".join(orjson.dumps(chat("Other rows?", "Yes, other ones.")) + b"\n" for _ in range(7))
    ]

    def swap(said: Mapping[str, Any]) -> None:
        if said.get("stage") == "load" and waiting:
            path.write_bytes(waiting.pop())

    with contextlib.suppress(InputError):
        look(path, progress=swap)
    path.write_bytes(PLAIN * 100)
    assert look(path).valid == 100


@pytest.mark.slow
def test_the_look_at_a_copy_does_not_depend_on_the_original(look: Look, tmp_path: Path) -> None:
    first = write_jsonl(
        tmp_path / "one" / "rows.jsonl", [chat("What is it?", "The copied row.")] * 5
    )
    second = tmp_path / "two" / "rows.jsonl"
    second.parent.mkdir()
    shutil.copy(first, second)
    look(first)
    write_jsonl(first, [chat("What now?", "Other rows, in the original.")] * 9)
    report = look(second)
    rows = Rows.open(Path(report.folder), "train")
    assert [rows.conversation(place) for place in range(len(rows))] == [
        chat("What is it?", "The copied row.")
    ] * 5
    assert rows.where(0) == (str(second), 1)


@pytest.mark.slow
def test_a_folder_of_folders_gives_all_of_its_rows(look: Look, tmp_path: Path) -> None:
    place = tmp_path / "folders"
    for name, count in (("a/one.jsonl", 5), ("b/c/two.jsonl", 7), ("b/empty/readme.md", 1)):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(PLAIN * count)
    (place / "a" / "again").symlink_to(place)
    report = look(place)
    assert (report.read, report.valid) == (12, 12)
    assert report.format == "folder"


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["", "a/b/c", "notes.md", "broken.jsonl"])
def test_a_folder_without_rows_is_named(look: Look, tmp_path: Path, inside: str) -> None:
    place = tmp_path / "nothing-here"
    (place / inside).parent.mkdir(parents=True, exist_ok=True)
    if "." in inside:
        (place / inside).write_bytes(PLAIN + b'{"messages": [')
    else:
        (place / inside).mkdir(exist_ok=True)
    with pytest.raises(InputError, match="nothing-here"):
        look(place)


@pytest.mark.slow
def test_only_blank_lines_are_no_rows(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "blank.jsonl"
    path.write_bytes(b"\n" * 50)
    with pytest.raises(InputError, match=r"blank\.jsonl is empty"):
        look(path)


@pytest.mark.slow
def test_a_look_whose_file_is_gone_is_made_again(look: Look, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [chat("q", "a")] * 3)
    first = look(path)
    shutil.rmtree(first.folder)
    assert look(path).lengths == first.lengths


@pytest.mark.slow
def test_helpers_that_are_killed_end_the_look_with_a_sentence(
    look: Look, real: Workbench, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(PLAIN * 400_000)

    def kill(said: Mapping[str, Any]) -> None:
        if said.get("done"):
            for process in processes(real)[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    with pytest.raises(TunerError) as caught:
        look(path, progress=kill)
    assert caught.value.key == "worker.helper_died"


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [False, True], ids=["in place", "loaded"])
def test_a_disk_without_room_for_the_columns_is_named_and_left_clean(
    model: ModelInfo, small_disk: Path, tmp_path: Path, loaded: bool
) -> None:
    bench = Workbench(Settings(home=small_disk))
    path, few = tmp_path / "rows.jsonl", tmp_path / "few.jsonl"
    path.write_bytes(
        PLAIN * 60_000 + (orjson.dumps(chat("q", "a") | {"tools": "[]"}) + b"\n") * loaded
    )
    few.write_bytes(PLAIN * 5)
    try:
        data, shape = bench.resolve_data([str(path)])
        with pytest.raises(StorageError, match=str(small_disk)):
            bench.inspect_data(model, data, shape)
        nothing_half_written(bench.settings)
        data, shape = bench.resolve_data([str(few)])
        assert bench.inspect_data(model, data, shape).valid == 5
    finally:
        bench.close()


@pytest.mark.slow
def test_the_shape_of_a_long_conversation_is_not_asked_for_in_thousands_of_rows(
    model: ModelInfo, tmp_path: Path
) -> None:
    from tuner.workers.probing import Reference

    class Counting(Reference):
        asked = 0

        def encode(self, row: dict[str, Any]) -> tuple[int, int]:
            self.asked += 1
            return super().encode(row)

    reference = Counting(str(model.path), str(model.model_type), str(model.template), None)
    file = tmp_path / "tokenizer.json"
    file.write_text(str(reference.tokenizer_json), encoding="utf-8")
    reference.shape(("user", "assistant") * 40, ReferenceEncoder(file))
    assert reference.asked < 200
