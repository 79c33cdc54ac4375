"""What tests share: a home of their own, a workbench on it, and a very small real model."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import tiny
from tuner.records import ModelInfo
from tuner.settings import Settings
from tuner.workbench import Workbench

# A busy machine is no failure, and the same commit gives the same verdict twice.
hypothesis.settings.register_profile("here", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings are errors; but those that torch and ms-swift give at import are not ours to mend."""
    for item in items:
        if item.get_closest_marker("slow"):
            for kind in ("DeprecationWarning", "FutureWarning", "UserWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Libraries keep their caches in a folder of this test run, and ask no hub for anything."""
    place = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MODELSCOPE_CACHE", "HF_HOME"):
            patch.setenv(name, str(place))
        for name in (
            "MODELSCOPE_API_TOKEN",
            "TUNER_HOME",
            "TUNER_PASSWORD_FILE",
            "HOST",
            "PORT",
            "LANG_UI",
        ):
            patch.delenv(name, raising=False)
        # Nobody listens on this port: a look at a hub fails at once, on a machine with a network too.
        patch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield place


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Settings of a deployment that starts empty."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def bench(home: Settings) -> Iterator[Workbench]:
    """A workbench on that home; its children end with the test."""
    made = Workbench(home)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real two-layer Llama with a tokenizer and a ChatML template of its own. For slow tests."""
    return tiny.make(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """One workbench for a file of tests, so that its warm child is warmed once."""
    made = Workbench(Settings(home=tmp_path_factory.mktemp("home")))
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(real: Workbench, tiny_model: Path) -> ModelInfo:
    """The tiny model, looked at."""
    return real.inspect_model(str(tiny_model))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte. Needs the right to mount one."""
    place = tmp_path / "small-disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no right to mount a small disk here")
    yield place
    subprocess.run(["umount", str(place)], check=True)
