"""What is gathered of the rows while they pass by: a few numbers of each, and the first examples.

Texts are not kept. Rows that are compared with all others leave a digest, a
fingerprint of the answer and a sketch; everything else is told row by row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tuner.data.findings import answers, leftovers, secrets
from tuner.data.findings.duplicates import Sketches
from tuner.data.findings.flags import Flag
from tuner.data.findings.reading import VALIDATES, Item, Source
from tuner.data.findings.scripts import SCRIPTS, scripts
from tuner.data.findings.shingles import Shingles, common, jaccard, normal
from tuner.records import Example

EXAMPLES: Final = 8
EXAMPLE_LENGTH: Final = 160
#: Nearly equal rows share this part of the shingles of their answers.
ANSWERS_ALIKE: Final = 0.5
#: Rows that show what all rows share, before the others are read.
_SHOWN: Final = 500


@dataclass(frozen=True)
class Limits:
    """How many rows are compared with one another; of more, a random part is."""

    exactly: int = 10_000_000  #: for equal rows
    nearly: int = 1_000_000  #: for nearly equal rows and repeated answers
    seed: int = 42


class Gathered:
    """What the rows of a look have left so far."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.flags = np.zeros(len(source), np.uint16)
        self.counts: Counter[str] = Counter()  #: rows with a fault, by its name
        self.examples: dict[str, list[Example]] = defaultdict(list)
        self.channels: Counter[str] = Counter()  #: rows of the training datasets
        self.scripts = np.zeros((3, len(SCRIPTS)), np.int64)  #: rows by role and main script
        self.sketches = Sketches()
        self._digests: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
        self._fingerprints: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
        self._drawn = self._draw()
        self._common = self._shared_by_all()

    @property
    def digests(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Rows, and what is equal in equal rows."""
        return _joined(self._digests)

    @property
    def fingerprints(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Rows of the training datasets, and what is equal for equal answers."""
        return _joined(self._fingerprints)

    @property
    def drawn(self) -> int | None:
        """How many rows were drawn to be compared nearly; None: all were compared."""
        return None if self._drawn is None else int(self._drawn.sum())

    def see(self, batch: Sequence[Item]) -> None:
        """Take what is needed of some rows."""
        texts = [normal(item.talk) for item in batch]
        numbers = np.array([item.number for item in batch])
        roles = self.source.roles[numbers].astype(np.int64)
        kinds = roles * len(SCRIPTS) + scripts(texts)
        self.scripts += np.bincount(kinds, minlength=self.scripts.size).reshape(3, -1)
        digests = np.array([item.digest for item in batch], np.uint64)
        # Chosen by what they say: of a row that is chosen, every copy is.
        share = self.limits.exactly / len(self.source)
        some = digests < np.uint64(share * 2.0**64) if share < 1 else np.ones(len(batch), np.bool_)
        self._digests.append((numbers[some], digests[some]))
        fingerprints = [self._see_one(item) for item in batch]
        drawn = np.ones(len(batch), np.bool_) if self._drawn is None else self._drawn[numbers]
        trains = drawn & (numbers < len(self.source.train))
        answered = np.array(fingerprints, np.uint64)[trains]
        self._fingerprints.append((numbers[trains], answered))
        # Of pictures nobody here knows whether they are alike.
        plain = np.flatnonzero(drawn & ~np.array([item.media for item in batch]))
        shingles = Shingles.of([texts[place] for place in plain.tolist()])
        self.sketches.add(numbers[plain], shingles.without(self._common))

    def mark(self, rows: NDArray[np.int64] | Sequence[int], flag: Flag) -> None:
        """Set a flag of some rows."""
        self.flags[np.asarray(rows, np.int64)] |= np.uint16(flag)

    def shingles(self, number: int) -> NDArray[np.uint64]:
        """The shingles of one row, without those that all rows share."""
        text = normal(self.source.item(number).talk)
        return Shingles.of([text]).without(self._common).sets()[0]

    def same_answer(self, one: int, other: int) -> bool:
        """Whether two rows answer alike: questions about one long text are no copies of each other."""
        a, b = (normal("\n".join(answers.said(self.source.item(n).turns))) for n in (one, other))
        return a == b or jaccard(*Shingles.of([a, b]).sets()) >= ANSWERS_ALIKE

    def example(self, item: Item, at: int | None = None) -> Example:
        """A row to look at: a piece around ``at``, or what follows the system prompt."""
        text = item.text
        place = len(text) - len(item.talk) if at is None else at
        piece = secrets.excerpt(text, place, EXAMPLE_LENGTH, 0 if at is None else 40)
        data, row = self.source.where(item.number)
        side: Literal["train", "eval"] = (
            "eval" if self.source.roles[item.number] == VALIDATES else "train"
        )
        return Example(side, data, row, " ".join(piece.split()))

    def _see_one(self, item: Item) -> int:
        """Tell what is wrong with one row by itself; the fingerprint of its answer."""
        if item.channel is not None and item.number < len(self.source.train):
            self.channels[item.channel] += 1
        said = answers.said(item.turns)
        kind = answers.kind(said)
        if kind == "empty":
            self._tell(item, Flag.EMPTY_ANSWER, "empty_answers", len(item.text))
        elif kind == "one_word":
            self._tell(item, Flag.ONE_WORD_ANSWER, "one_word_answers", len(item.text))
        text = item.text
        if (place := leftovers.placeholder(text)) is not None:
            self._tell(item, Flag.PLACEHOLDER, "placeholders", place)
        spans = secrets.spans(text)
        self.counts.update({span.kind for span in spans})
        if (first := next((s.start for s in spans if s.kind == "key"), None)) is not None:
            self._tell(item, Flag.SECRET, "secrets", first)
        if (first := next((s.start for s in spans if s.kind != "key"), None)) is not None:
            self._tell(item, Flag.PERSONAL_DATA, "personal_data", first)
        return answers.fingerprint(said) if kind == "some" else 0

    def _tell(self, item: Item, flag: Flag, name: str, at: int) -> None:
        self.flags[item.number] |= np.uint16(flag)
        self.counts[name] += 1
        if len(self.examples[name]) < EXAMPLES:
            self.examples[name].append(self.example(item, at))

    def _draw(self) -> NDArray[np.bool_] | None:
        """The rows that are compared nearly; None: all. Up to half of them are validation rows."""
        rows, most = len(self.source), self.limits.nearly
        if rows <= most:
            return None
        rng = np.random.default_rng(self.limits.seed)
        drawn = np.zeros(rows, np.bool_)
        checks = np.flatnonzero(self.source.roles == VALIDATES)
        drawn[rng.choice(checks, min(len(checks), most // 2), replace=False)] = True
        others = np.flatnonzero(self.source.roles != VALIDATES)
        drawn[rng.choice(others, min(len(others), most - int(drawn.sum())), replace=False)] = True
        return drawn

    def _shared_by_all(self) -> NDArray[np.uint64]:
        rows = len(self.source)
        some = np.random.default_rng(self.limits.seed).choice(
            rows, min(rows, _SHOWN), replace=False
        )
        return common([normal(self.source.item(number).talk) for number in np.sort(some).tolist()])


def _joined(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.uint64]]],
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    return (
        np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)]),
        np.concatenate([np.empty(0, np.uint64), *(values for _, values in parts)]),
    )
