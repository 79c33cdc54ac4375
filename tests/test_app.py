"""The app's door: what it refuses before anything is built, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


def opened(home: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Start the app with arguments that it must refuse."""
    return subprocess.run(
        [sys.executable, "app.py", *argv],
        cwd=ROOT, env=os.environ | {"TUNER_HOME": str(home)} | env,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_it_does_not_open_to_others_without_a_login(tmp_path: Path) -> None:
    done = opened(tmp_path, "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "login" in done.stderr
    assert "TUNER_PASSWORD_FILE" in done.stderr


def test_an_empty_password_is_no_password(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("\n")
    done = opened(tmp_path, "--host", "0.0.0.0", TUNER_PASSWORD_FILE=str(secret))
    assert done.returncode == 2
    assert str(secret) in done.stderr


@pytest.mark.parametrize(("lang", "sentence"), [("en", "is in use"), ("zh", "已被占用")])
def test_a_port_in_use_is_named_with_a_way_out(tmp_path: Path, lang: str, sentence: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = opened(tmp_path, "--port", str(port), "--lang", lang)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert str(port) in done.stderr
    assert f"PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_that_is_not_ours_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("secret words")
    done = opened(tmp_path, "--host", "192.0.2.1", TUNER_PASSWORD_FILE=str(secret))
    assert done.returncode == 2
    assert "192.0.2.1" in done.stderr
    assert "secret words" not in done.stderr + done.stdout
