"""What moves on a page while nobody touches it: pieces, each redrawn only when its token changes.

A tick asks each piece for its token, which is cheap; only a piece whose token
differs from what the page has seen is rendered and sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr


@dataclass(frozen=True)
class Piece:
    """Some outputs that change together. ``render`` gives one value an output."""

    token: str
    outputs: int
    render: Callable[[], Sequence[Any]]


def changed(pieces: Mapping[str, Piece], seen: str) -> list[Any]:
    """What was seen now (as JSON), then the outputs of all pieces: values, or skips.

    ``seen`` is the first value of the last answer, "" at first.
    """
    known = json.loads(seen) if seen else {}
    tokens = {name: piece.token for name, piece in pieces.items()}
    values: list[Any] = [gr.skip() if tokens == known else json.dumps(tokens)]
    for name, piece in pieces.items():
        if piece.token == known.get(name):
            values += [gr.skip()] * piece.outputs
        else:
            values += piece.render()
    return values
