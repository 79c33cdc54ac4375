"""Small files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.files import read_json, write_atomically, write_json


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"名": "值", "n": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"名": "值", "n": [1, 2.5, None]}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "status.json"
    write_atomically(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(target, "new \ud800")
    with pytest.raises(TypeError):
        write_json(target, {"path": object()})
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        write_atomically(tmp_path / "none" / "a.json", "x")


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null"])
def test_a_file_that_holds_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        read_json(tmp_path / "a.json")
