"""The verb ``mask``: the tokens of one row as the model gets them, and what each weighs in the loss.

The row is encoded by the template that a run's own arguments build, with no
limit; then the limit is applied by ms-swift's rules, so that what is lost can
still be seen. Tokens that are parts of one character come together. Importing
this module loads no torch.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tuner.errors import InputError
from tuner.records import Sentence
from tuner.workers.loading import prepared, reason_of

if TYPE_CHECKING:
    from tuner.workers.child import Call

#: As good as no limit: ms-swift raises above it.
NO_LIMIT: Final = 2**31 - 1
STRATEGIES: Final = ("delete", "left", "right")
#: A label that does not count in the loss.
IGNORED: Final = -100
#: What a decoder writes for bytes that are no character.
LOST: Final = "\ufffd"
#: More tokens than any character has.
LONGEST: Final = 16


def mask(
    call: Call, model: str, model_type: str, template: str, system: str | None, loss_scale: str | None,
    max_length: int | None, truncation_strategy: str, agent_template: str | None, row: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The row's tokens and their weights, as :class:`tuner.data.masks.Mask` has them.

    ``verdict`` is the worst that is true: "dropped" before "untrained" (no trained
    token is left) before "answer_cut" (some are lost by the cut) before "ok".

    Raises:
        InputError: ms-swift cannot encode the row, or has no such loss_scale,
            agent_template or truncation_strategy.
    """
    _check(loss_scale or None, agent_template or None, truncation_strategy)
    encoder = _encoder(
        model, model_type, template, system, agent_template or None, loss_scale or None
    )
    call.check()
    ids, labels, weights = _encoded(encoder.template, row)
    limit = max_length or NO_LIMIT
    kept = survivors(
        ids, limit, truncation_strategy, frozenset(encoder.template.placeholder_tokens)
    )
    places = [place for place, stays in enumerate(kept) if stays]
    if places and len(places) < len(ids):
        weights[places[0]] = 0.0  # nothing stands before it that could predict it
    trained = sum(label != IGNORED for label in labels[1:])
    trained_kept = sum(labels[place] != IGNORED for place in places[1:])
    dropped = bool(ids) and not places
    pieces = cut_up(encoder.tokenizer, ids, weights, kept, encoder.special)
    return {
        "tokens": [vars(piece) for piece in pieces],
        "length": len(ids),
        "trained": trained,
        "trained_kept": trained_kept,
        "weights": sorted(set(weights)),
        "cut": _cut(kept, truncation_strategy),
        "dropped": dropped,
        "verdict": _verdict(dropped, trained, trained_kept),
        "loss_scale": encoder.loss_scale,
        "prompt": _decoded(encoder.tokenizer, ids),
        "max_length": max_length,
        "strategy": truncation_strategy,
    }


def _check(loss_scale: str | None, agent_template: str | None, strategy: str) -> None:
    """Raise ``InputError`` for a name that ms-swift would only miss in the middle of a row."""
    from swift.agent_template import agent_template_map
    from swift.loss_scale import loss_scale_map
    from swift.loss_scale.base import ALL_BASE_STRATEGY

    scales = [*ALL_BASE_STRATEGY, *loss_scale_map]
    first, *rest = (loss_scale or "default").split("+")
    checks: list[tuple[str, str | None, Collection[str], bool]] = [
        ("loss_scale", loss_scale, scales, first in scales and set(rest) <= set(loss_scale_map)),
        (
            "agent_template", agent_template, agent_template_map,
            agent_template is None or agent_template in agent_template_map,
        ),
        ("truncation_strategy", strategy, STRATEGIES, strategy in STRATEGIES),
    ]  # fmt: skip
    for flag, value, allowed, good in checks:
        if not good:
            raise InputError("knob.not_choice", knob=flag, value=value, allowed=", ".join(allowed))


@dataclass(frozen=True, eq=False)
class _Encoder:
    """A run's template, and what of its tokenizer every row needs."""

    template: Any
    loss_scale: str  #: as the run's arguments make it of the one that was given
    special: frozenset[int]

    @property
    def tokenizer(self) -> Any:
        return self.template.tokenizer


@lru_cache(maxsize=8)
def _encoder(
    model: str, model_type: str, template: str, system: str | None, agent_template: str | None,
    loss_scale: str | None,
) -> _Encoder:  # fmt: skip
    """The template as a run's own arguments build it. The last few are kept.

    Hybrid-thinking models get a loss scale of their own there.
    """
    arguments = _arguments(
        model=model, model_type=model_type, template=template, system=system,
        agent_template=agent_template, loss_scale=loss_scale,
    )  # fmt: skip
    made = arguments.get_template(_processor(model, model_type, template))
    made.max_length = NO_LIMIT
    made.set_mode("train")
    tokenizer = made.tokenizer
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if str(token).strip()}
    return _Encoder(made, arguments.loss_scale, frozenset(added | set(tokenizer.all_special_ids)))


@lru_cache(maxsize=2)
def _processor(model: str, model_type: str, template: str) -> Any:
    """A model's tokenizer: reading it takes a second, the rest of a template a few milliseconds."""
    arguments = _arguments(model=model, model_type=model_type, template=template)
    return arguments.get_model_processor(load_model=False)[1]


def _arguments(**given: str | None) -> Any:
    from swift.arguments import BaseArguments

    return BaseArguments(**{name: value for name, value in given.items() if value is not None})


def _encoded(template: Any, row: Mapping[str, Any]) -> tuple[list[int], list[int], list[float]]:
    """A row's tokens, their labels and their weights. Raises ``InputError``."""
    try:
        # A row of a file as it came has not met ms-swift's preprocessors yet; others stay as they are.
        ready = prepared(row, tuple(row))
        encoded = template.encode(ready) if ready else None
    except Exception as error:  # whatever ms-swift raises is the reason
        _refuse(error)
    if encoded is None:
        raise InputError("mask.refused", reason=Sentence("reason.no_messages"))
    ids: list[int] = list(encoded["input_ids"])
    labels: list[int] = list(encoded.get("labels") or [IGNORED] * len(ids))
    scale = encoded.get("loss_scale")
    counted = [label != IGNORED for label in labels] if scale is None else scale
    return ids, labels, [float(weight) for weight in counted]


def _refuse(error: Exception) -> NoReturn:
    from swift.agent_template import agent_template_map

    if isinstance(error, ValueError) and "match an agent_template" in str(error):
        raise InputError("mask.no_agent_template", options=", ".join(agent_template_map)) from error
    raise InputError("mask.refused", reason=reason_of(error)) from error


def survivors(
    ids: Sequence[int], max_length: int, strategy: str, protected: Collection[int] = ()
) -> list[bool]:
    """Which tokens ms-swift leaves: all, none ("delete"), or the first or last of them.

    ``protected`` tokens stand for pictures or sound and stay in any case.
    """
    if len(ids) <= max_length:
        return [True] * len(ids)
    if strategy == "delete":
        return [False] * len(ids)
    kept = [ident in protected for ident in ids]
    room = max(0, max_length - sum(kept))
    free = [place for place, stays in enumerate(kept) if not stays]
    for place in free[:room] if strategy == "right" else free[len(free) - room :]:
        kept[place] = True
    return kept


def _cut(kept: Sequence[bool], strategy: str) -> int | None:
    """Where the cut falls: before the first token that is lost, or after the last one for "left"."""
    if all(kept) or not any(kept):
        return None
    return kept.index(False) if strategy == "right" else len(kept) - kept[::-1].index(False)


def _verdict(dropped: bool, trained: int, trained_kept: int) -> str:
    if dropped:
        return "dropped"
    if not trained_kept:
        return "untrained"
    return "answer_cut" if trained_kept < trained else "ok"


@dataclass(frozen=True)
class Piece:
    """One token, or a few that make up one character. As :class:`tuner.data.masks.TokenPiece`."""

    text: str
    ids: list[int]
    weight: float
    special: bool
    kept: bool
    raw: bool  #: the text names bytes: they are no whole character here


def cut_up(
    tokenizer: Any, ids: Sequence[int], weights: Sequence[float], kept: Sequence[bool],
    special: Collection[int],
) -> list[Piece]:  # fmt: skip
    """The tokens as text. Joined, it is the text of the whole sequence, but for ``raw`` pieces."""

    def look(place: int) -> tuple[float, bool, int | None]:
        # A special token stands alone.
        return weights[place], kept[place], place if ids[place] in special else None

    spelled = _spelled(tokenizer, ids)
    pieces: list[Piece] = []
    for (weight, stays, alone), run in groupby(range(len(ids)), key=look):
        places = list(run)
        part = ids[places[0] : places[-1] + 1]
        if spelled is not None:
            texts = _by_bytes(part, spelled[places[0] : places[-1] + 1])
        else:
            before = pieces[-1].ids if pieces and not pieces[-1].raw else []
            texts = _by_decoding(tokenizer, part, before)
        pieces += [
            Piece(text, group, weight, alone is not None, stays, raw) for group, text, raw in texts
        ]
    return pieces


def _spelled(tokenizer: Any, ids: Sequence[int]) -> list[bytes] | None:
    """The bytes of each token, as the one of two spellings that gives the sequence's text; None: neither does."""
    names = tokenizer.convert_ids_to_tokens(list(ids))
    text = _decoded(tokenizer, ids)
    for spell in (spell_bytes, spell_pieces):
        spelled = [spell(name or "") for name in names]
        whole = b"".join(spelled).decode(errors="replace")
        if whole == f" {text}" and spelled[0][:1] == b" ":
            # A decoder of pieces takes away the space that stands before the first word.
            return [spelled[0][1:], *spelled[1:]]
        if whole == text:
            return spelled
    return None


def _by_bytes(
    ids: Sequence[int], spelled: Sequence[bytes]
) -> Iterator[tuple[list[int], str, bool]]:
    """Tokens until they are whole characters, and their text."""
    group: list[int] = []
    held = b""
    for ident, part in zip(ids, spelled, strict=True):
        group.append(ident)
        held += part
        if not held:
            continue
        try:
            yield group, held.decode(), False
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue
            yield group, held.decode(errors=NAMED), True
        group, held = [], b""
    if group:
        yield group, held.decode(errors=NAMED), bool(held)


def _by_decoding(
    tokenizer: Any, ids: Sequence[int], before: list[int]
) -> Iterator[tuple[list[int], str, bool]]:
    """The same for any other tokenizer: what tokens add to the text of those before them."""
    group: list[int] = []
    base = _decoded(tokenizer, before)
    for ident in ids:
        group.append(ident)
        whole = _decoded(tokenizer, before + group)
        added = whole[len(base) :]
        clean = whole.startswith(base) and added and not added.endswith(LOST)
        if not clean and len(group) < LONGEST:
            continue
        yield (group, added, False) if clean else (group, _named(tokenizer, group), True)
        before, group = group, []
        base = _decoded(tokenizer, before)
    if group:
        yield group, _named(tokenizer, group), True


def _named(tokenizer: Any, ids: Sequence[int]) -> str:
    """Tokens by their names in the vocabulary."""
    return "".join(name or "" for name in tokenizer.convert_ids_to_tokens(list(ids)))


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(
        list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text


def _name_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(f"<0x{byte:02X}>" for byte in bad), error.end


NAMED: Final = "tuner.named_bytes"
codecs.register_error(NAMED, _name_bytes)


@cache
def _alphabet() -> dict[str, int]:
    """The characters by which a byte-level vocabulary writes bytes: printable ones stand for themselves."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + n): byte for n, byte in enumerate(others)
    }


@lru_cache(maxsize=1 << 18)
def spell_bytes(token: str) -> bytes:
    """The bytes of a token of a byte-level vocabulary; an added token may hold any character."""
    alphabet = _alphabet()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode()


def spell_pieces(token: str) -> bytes:
    """The bytes of a token of a vocabulary of pieces: a mark for a space, names for single bytes."""
    if byte := re.fullmatch("<0x([0-9A-F]{2})>", token):
        return bytes.fromhex(byte[1])
    return token.replace("\u2581", " ").encode()
