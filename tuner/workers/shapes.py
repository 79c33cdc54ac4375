"""The shape of a conversation: what a template adds to it, and which of its texts meet in one piece.

For one sequence of roles a template adds the same tokens every time, and the
contents fall into the same pieces of text between added tokens. So the length
of a row is a constant plus the tokens of a few strings. ``probing`` makes
shapes from ms-swift's own template and proves them; here they are applied.
Importing this module loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tuner.workers.encoders import any_of

#: What ms-swift replaces or splits at in any content, whatever the template.
MARKS: Final = (
    "{{SYSTEM}}", "{{QUERY}}", "{{RESPONSE}}", "{{ROUND0}}", "{{ROUND1}}",
    "<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>", "<start-image>", "<img>",
    "<think>", "</think>", "<seed:think>", "<mm:think>", "</mm:think>", "<|channel>",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A text between two added tokens: literals, and contents by their number."""

    parts: tuple[str | int, ...]
    trained: bool

    def text(self, contents: Sequence[str]) -> str:
        """The piece with the contents in it."""
        return "".join(contents[p] if isinstance(p, int) else p for p in self.parts)


@dataclass(frozen=True)
class Shape:
    """What a template makes of one sequence of roles."""

    roles: tuple[str, ...]
    fixed: int  #: tokens outside the pieces
    fixed_trained: int  #: of those, how many count in the loss
    pieces: tuple[Piece, ...]
    #: contents at whose beginning or end white space changes more than the piece's text
    strict_left: frozenset[int] = frozenset()
    strict_right: frozenset[int] = frozenset()

    def takes(self, contents: Sequence[str]) -> bool:
        """No content is empty, and none has white space where this shape has not been proven."""
        if not all(contents):
            return False
        return not any(contents[i][0].isspace() for i in self.strict_left) and not any(
            contents[i][-1].isspace() for i in self.strict_right
        )


class Hazards:
    """Finds in a content what needs ms-swift's own code: added tokens, marks, words that stop."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self._search = any_of(self.texts).search
        firsts = sorted({text[0] for text in self.texts if text})
        self._firsts = "".join(firsts)
        self._maybe = re.compile(f"[{re.escape(self._firsts)}]").search if firsts else None

    def __call__(self, content: str) -> bool:
        """Whether the content holds one."""
        # Few characters can begin one: most texts are passed by without the long search.
        return (
            self._maybe is not None
            and self._maybe(content) is not None
            and self._search(content) is not None
        )


def to_json(shape: Shape) -> dict[str, Any]:
    """A shape for the wire."""
    return {
        "roles": list(shape.roles), "fixed": shape.fixed, "fixed_trained": shape.fixed_trained,
        "pieces": [[list(piece.parts), piece.trained] for piece in shape.pieces],
        "strict_left": sorted(shape.strict_left), "strict_right": sorted(shape.strict_right),
    }  # fmt: skip


def from_json(values: Mapping[str, Any]) -> Shape:
    """The shape that :func:`to_json` gave."""
    return Shape(
        tuple(values["roles"]), values["fixed"], values["fixed_trained"],
        tuple(Piece(tuple(parts), trained) for parts, trained in values["pieces"]),
        frozenset(values["strict_left"]), frozenset(values["strict_right"]),
    )  # fmt: skip
