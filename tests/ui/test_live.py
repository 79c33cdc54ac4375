import json
from typing import Any

from tuner.ui.live import Piece, changed


def skipped(value: Any) -> bool:
    return isinstance(value, dict) and value == {"__type__": "update"}


def test_a_piece_is_rendered_only_when_its_token_changes() -> None:
    rendered: list[str] = []

    def piece(name: str, token: str) -> Piece:
        def render() -> list[str]:
            rendered.append(name)
            return [name]

        return Piece(token, 1, render)

    first = changed({"a": piece("a", "1"), "b": piece("b", "1")}, "")
    assert first[1:] == ["a", "b"]
    second = changed({"a": piece("a", "1"), "b": piece("b", "2")}, first[0])
    assert skipped(second[1])
    assert second[2] == "b"
    assert json.loads(second[0]) == {"a": "1", "b": "2"}
    third = changed({"a": piece("a", "1"), "b": piece("b", "2")}, second[0])
    assert all(skipped(value) for value in third)
    assert rendered == ["a", "b", "b"]
