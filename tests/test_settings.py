"""Settings come from the environment that is handed in, and nonsense in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.settings import Settings


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.load({})
    assert (settings.host, settings.port, settings.lang, settings.password) == (
        "127.0.0.1",
        7860,
        "en",
        None,
    )
    assert settings.home.is_absolute()
    assert not settings.needs_login


def test_the_environment_sets_and_the_command_line_wins(tmp_path: Path) -> None:
    env = {"TUNER_HOME": str(tmp_path / "h"), "HOST": "0.0.0.0", "PORT": "8000", "LANG_UI": "zh"}
    settings = Settings.load(env)
    assert (settings.host, settings.port, settings.lang) == ("0.0.0.0", 8000, "zh")
    assert settings.home == tmp_path / "h"
    assert Settings.load(env, host="localhost", port=1, lang="en").port == 1
    assert Settings.load(env, host=None, port=None, lang=None) == settings


def test_everything_that_is_written_lies_under_home(home: Settings) -> None:
    for place in (home.runs, home.models, home.datasets, home.lengths, home.logs):
        assert place.parent == home.home
    assert not home.home.exists()


def test_the_language_of_the_system_counts_when_none_is_chosen() -> None:
    assert Settings.load({"LANG": "zh_CN.UTF-8"}).lang == "zh"
    assert Settings.load({"LANG": "zh_CN.UTF-8", "LANG_UI": "en"}).lang == "en"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "78 60", "7860.0", "²"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(InputError, match="PORT"):
        Settings.load({"PORT": port})


def test_port_zero_on_the_command_line_is_refused_too() -> None:
    with pytest.raises(InputError, match="PORT"):
        Settings.load({}, port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_a_host_that_others_can_reach_needs_a_login(host: str) -> None:
    assert Settings.load({"HOST": host}).needs_login


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_host_that_nobody_else_can_reach_needs_none(host: str) -> None:
    assert not Settings.load({"HOST": host}).needs_login


def test_a_password_comes_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret 密码\n", encoding="utf-8")
    assert Settings.load({"TUNER_PASSWORD_FILE": str(tmp_path / "pw")}).password == "s3cret 密码"


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe"])
def test_a_password_file_that_gives_no_password_is_named_and_never_means_open(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "pw"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="pw"):
        Settings.load({"TUNER_PASSWORD_FILE": str(path)})
