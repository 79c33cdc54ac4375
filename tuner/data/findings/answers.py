"""What an answer is worth: nothing at all, one word, or what many other rows answer too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

#: Roles whose text is learnt.
ANSWERS: Final = frozenset({"assistant", "tool_call"})
#: An answer counts as repeated when this share of the rows have it, and this many.
REPEATED_SHARE: Final = 0.005
REPEATED_LEAST: Final = 20
#: Shorter answers (bytes) are labels, which are repeated by nature.
SHORTEST: Final = 32

_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
#: Space, seen and unseen, and what ends sentences. Signs of arithmetic do say something.
_NOTHING: Final = re.compile(
    r"[\s\u200b-\u200f\u2060\ufeff.,;:!?…·'\"()。，、；：！？“”‘’（）《》\-—]*"
)
_ROUND_ABOUT: Final = re.compile(r"^[\W_]+|[\W_]+$")
_HAN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LONGEST_WORD: Final = 30


def said(turns: Sequence[tuple[str, str]]) -> list[str]:
    """The answers of a conversation, without what was only thought."""
    return [
        (_THOUGHT.sub("", text) if "<think>" in text else text).strip()
        for role, text in turns
        if role in ANSWERS
    ]


def kind(answers: Sequence[str]) -> Literal["empty", "one_word", "some"]:
    """Whether an answer has no word at all, or the only one is a single word."""
    if not answers or any(_NOTHING.fullmatch(answer) for answer in answers):
        return "empty"
    return "one_word" if len(answers) == 1 and is_one_word(answers[0]) else "some"


def is_one_word(text: str) -> bool:
    """Whether a text is one word: Chinese has no spaces, two characters are one there."""
    if len(text) > _LONGEST_WORD or len(text.split()) != 1:
        return False
    word = _ROUND_ABOUT.sub("", text) or text
    han = len(_HAN.findall(word))
    return han <= 2 and (han == 0 or han == len(word))


def fingerprint(answers: Sequence[str]) -> int:
    """Equal where all answers of a conversation are, 64 bits; 0 for what is too short to count."""
    text = " ".join("\n".join(answers).casefold().split()).encode("utf-8", "replace")
    if len(text) < SHORTEST:
        return 0
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") | 1


@dataclass(frozen=True)
class Repeated:
    """Answers that many rows share."""

    extra: NDArray[np.int64]  #: places of the rows that repeat an answer, without the first of each
    first: NDArray[np.int64]  #: for each of them the place of the first row with that answer
    answers: int  #: different answers that are repeated
    most: int  #: rows that have the most frequent one


def repeated(fingerprints: NDArray[np.uint64]) -> Repeated:
    """The answers that too many of these rows share."""
    least = max(REPEATED_LEAST, REPEATED_SHARE * len(fingerprints))
    values, first, which, counts = np.unique(
        fingerprints, return_index=True, return_inverse=True, return_counts=True
    )
    often = (counts >= least) & (values != 0)
    extra = np.flatnonzero(often[which])
    origin = first[which[extra]]
    most = int(counts[often].max()) if often.any() else 0
    keep = extra != origin
    return Repeated(extra[keep], origin[keep], int(often.sum()), most)
