"""What one row looks like to the model: its tokens, each with its weight in the loss.

A warm child encodes the row (``tuner/workers/mask.py``); this module asks for
it and gives the answer a shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tuner.records import ModelInfo, from_dict
from tuner.workers.pool import Pool

Verdict = Literal["ok", "answer_cut", "untrained", "dropped"]
Strategy = Literal["delete", "left", "right"]


@dataclass(frozen=True)
class TokenPiece:
    """One token, or a few that make up one character."""

    text: str
    ids: tuple[int, ...]
    weight: float  #: in the loss; 0: not trained
    special: bool = False  #: a token that text is never cut into, such as ``<|im_end|>``
    kept: bool = True  #: max_length leaves it
    raw: bool = False  #: the text names bytes that are no whole character here: ``<0xE4>``


@dataclass(frozen=True)
class Mask:
    """The tokens of a row, and what the loss and ``max_length`` do to them."""

    tokens: tuple[TokenPiece, ...]
    length: int  #: tokens, before max_length
    trained: int  #: tokens that count in the loss, before max_length
    trained_kept: int  #: of those, the ones that max_length leaves
    weights: tuple[float, ...]  #: the distinct ones
    verdict: Verdict
    loss_scale: str  #: as the run has it: some models add to what was given
    prompt: str  #: all of the text
    cut: int | None = None  #: tokens before the cut
    dropped: bool = False
    max_length: int | None = None
    strategy: Strategy = "delete"


def ask(
    pool: Pool, model: ModelInfo, row: Mapping[str, Any], *, system: str | None = None,
    loss_scale: str | None = None, max_length: int | None = None, strategy: Strategy = "delete",
    agent_template: str | None = None,
) -> Mask:  # fmt: skip
    """The mask of one row (``messages``, and ``tools``, ``channel`` if any).

    Raises:
        InputError: ms-swift cannot encode the row with this model's template.
        BusyError: the child is reading data.
    """
    answer = pool.call(
        "data", "mask", model=model.path, model_type=model.model_type, template=model.template,
        system=system, loss_scale=loss_scale, max_length=max_length, truncation_strategy=strategy,
        agent_template=agent_template, row=dict(row),
    )  # fmt: skip
    return of(answer)


def of(answer: Mapping[str, Any]) -> Mask:
    """The mask from the verb's answer."""
    # Thousands of tokens: their types are not looked up one by one.
    tokens = tuple(
        TokenPiece(**(token | {"ids": tuple(token["ids"])})) for token in answer["tokens"]
    )
    return dataclasses.replace(from_dict(Mask, {**answer, "tokens": ()}), tokens=tokens)
