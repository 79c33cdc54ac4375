"""Hard inputs end in a sentence that names the file and the row, and leave nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import chat, write_jsonl
from tuner.data.files import check, check_all
from tuner.errors import InputError, NotFoundError, TunerError
from tuner.records import DatasetReport, ModelInfo
from tuner.settings import Settings
from tuner.workbench import Workbench

MB = 1 << 20
PLAIN = json.dumps(chat("How deep is the sea?", "Deep, and deeper still.")).encode() + b"\n"


def test_a_first_line_of_100_mb_is_named_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with path.open("wb") as sink:
        sink.write(b'{"messages": "')
        sink.truncate(100 * MB)
    with pytest.raises(InputError, match=r"one\.jsonl, row 1: longer than 16 MB"):
        check(path)


def test_a_loop_of_links_is_a_missing_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jsonl"
    loop.symlink_to(loop)
    with pytest.raises(NotFoundError, match=r"loop\.jsonl"):
        check(loop)


def test_an_array_that_memory_would_have_to_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as sink:
        sink.write(b"[")
        sink.truncate((1 << 30) + 1)
    with pytest.raises(InputError, match=r"huge\.json.*more than 1 GB.*\.jsonl"):
        check(path)


@pytest.mark.parametrize(
    "line", [b'{"messages": "\x00"}', b"\xff\xfe", b"[" * 100_000, b'{"messages": [', b"nothing"]
)
def test_the_first_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(PLAIN * 2 + line + b"\n" + PLAIN)
    with pytest.raises(InputError, match=r"broken\.jsonl, (line|row) 3"):
        check_all(path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    bench = Workbench(Settings(home=tmp_path_factory.mktemp("home")))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def model(real: Workbench, tiny_model: Path) -> ModelInfo:
    return real.inspect_model(str(tiny_model))


Look = Callable[..., DatasetReport]


@pytest.fixture
def look(real: Workbench, model: ModelInfo) -> Iterator[Look]:
    """A look, after which nothing half-written may lie in the folder of looks."""

    def looked(path: Path, **how: Any) -> DatasetReport:
        data, shape = real.resolve_data([str(path)])
        return real.inspect_data(model, data, shape, **how)

    yield looked
    for kept in real.settings.lengths.iterdir():
        assert not kept.name.startswith("."), "a look was left half-written"
        assert (kept / "found.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("escape", ["\\u0000", "\\ud83d\\udc1f", "\\u0007"])
def test_escapes_that_json_allows_are_measured(look: Look, tmp_path: Path, escape: str) -> None:
    path = tmp_path / "escapes.jsonl"
    path.write_bytes(PLAIN * 3 + PLAIN.replace(b"Deep", escape.encode()) + PLAIN)
    assert look(path).valid == 5


@pytest.mark.slow
@pytest.mark.parametrize("line", [b'{"messages": "\x00"}', b"[" * 5_000, b'{"messages": ['])
def test_a_broken_line_is_named_before_anything_is_kept(
    look: Look, tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "broken.jsonl"
    # Beyond the part that a first look reads.
    path.write_bytes(PLAIN * 12_000 + line + b"\n" + PLAIN)
    with pytest.raises(InputError, match=r"broken\.jsonl, line 12,?001"):
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
    before = resident(real)
    with pytest.raises(InputError, match=r"middle\.jsonl, row 200,?001: longer than 16 MB"):
        look(path)
    assert resident(real) - before < 300 * MB
    path.unlink()


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
    before, heard = resident(real), []

    def hear(said: Mapping[str, Any]) -> None:
        heard.append(said)
        if said.get("done"):
            real.pool.worker("data").cancel()

    with pytest.raises(TunerError) as caught:
        look(path, progress=hear)
    assert caught.value.key == "worker.cancelled"
    (estimate,) = (said["estimate"] for said in heard if said.get("estimate"))
    assert estimate["rows"]["low"] <= 2_000_000 <= estimate["rows"]["high"]
    assert max(said.get("done", 0) for said in heard) < 2_000_000
    assert resident(real) - before < 300 * MB
    found = real.estimate_data(model, real.resolve_data([str(path)])[0])
    assert found is not None
    assert found.mean.low <= found.mean.value <= found.mean.high
    path.unlink()


@pytest.mark.slow
def test_a_file_that_grows_while_it_is_read_is_not_believed(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "grows.jsonl"
    path.write_bytes(PLAIN * 1_000)

    def append(said: Mapping[str, Any]) -> None:
        if said["stage"] == "count":
            with path.open("ab") as sink:
                sink.write(PLAIN)

    with pytest.raises(InputError, match=r"grows\.jsonl was changed"):
        look(path, progress=append)
    assert look(path).valid > 1_000


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


def resident(bench: Workbench) -> int:
    """Memory of the data child and of what it has started."""
    pid = bench.pool.worker("data").pid
    assert pid is not None
    child = psutil.Process(pid)
    return sum(process.memory_info().rss for process in [child, *child.children(recursive=True)])
