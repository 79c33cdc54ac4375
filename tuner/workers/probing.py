"""What a run's own template does with rows, asked of ms-swift: the exact side of every length.

:class:`Reference` encodes a row with ms-swift's code, unchanged. It also asks
the template, with marks in place of contents, which texts it joins before it
cuts them into tokens, and so makes the :class:`tuner.workers.shapes.Shape` of
a sequence of roles; a shape that differs from ms-swift on one of its trials is
not made.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

from tuner.workers.encoders import Encoder, added_tokens, any_of
from tuner.workers.shapes import MARKS, Hazards, Piece, Shape

#: As good as no limit: ms-swift raises above it.
NO_LIMIT: Final = 2**31 - 1
#: Stands for a content while a template is asked: letters and digits, which no template changes.
_MARK: Final = "XQ{:02d}ZT"
_TRIALS: Final = (
    "plain text", "多行\n文本，带标点。", "x", "1 + 1 = 2", "It's I'll\n\n- a\n- b", "🐟 emoji 👩‍👩‍👧", "привет мир", "\\n \"q\" 'z'",
    "a" * 60, "def f():\n    return 1",
)  # fmt: skip
_EDGES: Final = (" ", "\n", "\n\n", "\t", "  \n", "\u3000", "\r\n")


class Reference:
    """The template as a run's own arguments build it, with no limit of length.

    Hybrid-thinking models get a loss scale of their own there, which moves the
    places where text is cut into tokens.
    """

    def __init__(
        self, model: str, model_type: str, template: str, system: str | None,
        agent_template: str | None = None, loss_scale: str | None = None,
    ) -> None:  # fmt: skip
        from swift.arguments import BaseArguments

        given = {"system": system, "agent_template": agent_template, "loss_scale": loss_scale}
        arguments = BaseArguments(
            model=model,
            model_type=model_type,
            template=template,
            **{name: value for name, value in given.items() if value is not None},
        )
        self.template: Any = arguments.get_template()
        self.template.max_length = NO_LIMIT
        self.template.set_mode("train")
        backend = getattr(self.template.tokenizer, "backend_tokenizer", None)
        #: the tokenizer as its library writes it; None for one that is not of that library
        self.tokenizer_json: str | None = backend.to_str() if backend is not None else None
        described = json.loads(self.tokenizer_json or "{}")
        #: texts that the tokenizer takes as one token, and whether text may be cut by hand at them
        self.added, self.cuttable = added_tokens(described)
        self._shapes: dict[tuple[str, ...], Shape | None] = {}

    def encode(self, row: dict[str, Any]) -> tuple[int, int]:
        """Tokens of a row, and how many of them count in the loss. Raises whatever ms-swift does."""
        return _measured(self.template.encode(row, return_length=True))

    def encode_quickly(self, row: dict[str, Any]) -> tuple[int, int]:
        """As :meth:`encode`, without its copies, within :meth:`quick`. The row is used up."""
        return _measured(
            self.template.encode.__wrapped__.__wrapped__(self.template, row, return_length=True)
        )

    @contextlib.contextmanager
    def quick(self, encoder: Encoder) -> Iterator[None]:
        """ms-swift's own code with an admitted encoder cutting the text, and rows not copied."""
        from swift.template import base, template_inputs

        special = any_of(self.added)
        once = lru_cache(4096)(lambda text: tuple(self._cut(text, special, encoder)))
        template = self.template
        original, split = template._tokenize, template._split_special_tokens
        marks = any_of(template.special_tokens).search

        def split_quickly(texts: list[Any], scales: list[float]) -> tuple[list[Any], list[float]]:
            # Without a mark nothing is split: ms-swift only leaves out what is empty.
            if any(isinstance(text, str) and marks(text) for text in texts):
                found: tuple[list[Any], list[float]] = split(texts, scales)
                return found
            kept = [(text, scale) for text, scale in zip(texts, scales, strict=True) if text != ""]
            return [text for text, _ in kept], [scale for _, scale in kept]

        template._tokenize = lambda text, **_: list(once(text))
        template._split_special_tokens = split_quickly
        base.deepcopy = template_inputs.deepcopy = lambda value: value
        try:
            yield
        finally:
            base.deepcopy = template_inputs.deepcopy = copy.deepcopy
            template._tokenize, template._split_special_tokens = original, split

    def _cut(self, text: str, special: re.Pattern[str], encoder: Encoder) -> Iterator[int]:
        start = 0
        for found in special.finditer(text):
            if found.start() > start:
                yield from encoder.ids(text[start : found.start()])
            yield self.template.tokenizer.convert_tokens_to_ids(found.group())
            start = found.end()
        if start < len(text):
            yield from encoder.ids(text[start:])

    @cached_property
    def hazards(self) -> Hazards:
        """What in a content needs this template's own code."""
        meta = self.template.template_meta
        stops = [word for word in meta.stop_words if isinstance(word, str)]
        suffix = [word for word in meta.suffix if isinstance(word, str)]
        words = [word.strip() for word in (*stops, *suffix, *MARKS) if word.strip()]
        return Hazards(tuple(dict.fromkeys((*self.added, *words))))

    def shape(self, roles: tuple[str, ...], encoder: Encoder) -> Shape | None:
        """The shape of a sequence of roles; None where it cannot be proven."""
        if roles not in self._shapes:
            try:
                self._shapes[roles] = self._probe(roles, encoder) if self.cuttable else None
            except Exception as error:  # whatever a template raises: its rows go the exact way
                print(f"no shape for {roles}: {error}", flush=True)
                self._shapes[roles] = None
        return self._shapes[roles]

    def _probe(self, roles: tuple[str, ...], encoder: Encoder) -> Shape | None:
        marks = [_MARK.format(i) for i in range(len(roles))]
        pieces = tuple(self._pieces(_messages(roles, marks), marks))
        if sorted(p for piece in pieces for p in piece.parts if isinstance(p, int)) != list(
            range(len(roles))
        ):
            return None
        length, trained = self.encode(_messages(roles, marks))
        counts = encoder.counts([piece.text(marks) for piece in pieces])
        paired = list(zip(counts, pieces, strict=True))
        shape = Shape(
            roles,
            length - sum(counts),
            trained - sum(count for count, piece in paired if piece.trained),
            pieces,
        )
        for turn in range(len(_TRIALS)):
            contents = [_TRIALS[(turn + i) % len(_TRIALS)] for i in range(len(roles))]
            if not self._agrees(shape, contents, encoder):
                return None
        left: set[int] = set()
        right: set[int] = set()
        # A template treats the turns of one role alike: they are tried together.
        for role in dict.fromkeys(roles):
            places = [i for i in range(len(roles)) if roles[i] == role]
            for edge in _EDGES:
                if not self._agrees(shape, _with(len(roles), places, edge + "text"), encoder):
                    left.update(places)
                if not self._agrees(shape, _with(len(roles), places, "text" + edge), encoder):
                    right.update(places)
        return Shape(
            roles, shape.fixed, shape.fixed_trained, pieces, frozenset(left), frozenset(right)
        )

    def _agrees(self, shape: Shape, contents: Sequence[str], encoder: Encoder) -> bool:
        return measure(shape, contents, encoder) == self.encode(_messages(shape.roles, contents))

    def _pieces(self, row: dict[str, Any], marks: Sequence[str]) -> Iterator[Piece]:
        """The texts that hold a mark, as the template joins them before it cuts them into tokens."""
        from swift.template.template_inputs import TemplateInputs

        template = self.template
        inputs = TemplateInputs.from_dict(row).chosen
        template._preprocess_inputs(inputs)
        template._swift_prepare_inputs(inputs)
        contexts, scales, _ = template._swift_encode(inputs)
        contexts, scales = template._simplify_context_list(contexts, scales, inputs)
        special = any_of(self.added)
        mark = any_of(marks)
        for context, scale in zip(contexts, scales, strict=True):
            if not isinstance(context, str):
                continue
            for text in special.split(context):
                parts = [part for part in re.split(f"({mark.pattern})", text) if part]
                if any(part in marks for part in parts):
                    yield Piece(
                        tuple(marks.index(p) if p in marks else p for p in parts), scale > 0
                    )


def measure(shape: Shape, contents: Sequence[str], encoder: Encoder) -> tuple[int, int]:
    """Length and trained tokens of one row of this shape."""
    counts = encoder.counts([piece.text(contents) for piece in shape.pieces])
    trained = sum(count for count, piece in zip(counts, shape.pieces, strict=True) if piece.trained)
    return shape.fixed + sum(counts), shape.fixed_trained + trained


def _with(count: int, places: Sequence[int], text: str) -> list[str]:
    """Contents that are ordinary but in some places."""
    return [text if i in places else "text" for i in range(count)]


def _measured(encoded: Any) -> tuple[int, int]:
    labels = encoded.get("labels") or []
    return max(encoded["lengths"]), len(labels[1:]) - labels[1:].count(-100)


def _messages(roles: Sequence[str], contents: Sequence[str]) -> dict[str, Any]:
    return {"messages": [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]}
