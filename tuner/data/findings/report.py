"""What was gathered and compared, as findings: a name, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

from tuner.data.findings import mix, secrets
from tuner.data.findings.compare import Compared, Copied, Pair
from tuner.data.findings.flags import Flag
from tuner.data.findings.gather import EXAMPLES, Gathered
from tuner.data.findings.reading import TRAINS, VALIDATES
from tuner.data.findings.scripts import SCRIPTS
from tuner.records import DataFinding, Example, Sentence

Severity = Literal["note", "warning", "serious"]
_RANK: Final[Mapping[Severity, int]] = {"serious": 0, "warning": 1, "note": 2}
#: A fault in this share of the rows or more is no detail any longer.
_DETAIL: Final = 0.01
#: Where this share of the answers are one word, they are what the rows are meant to teach.
_LABELS: Final = 0.5


def report(gathered: Gathered, compared: Compared) -> list[DataFinding]:
    """The findings, the worst first. Sets the flags of rows that are far too long."""
    found = [
        *_leaks(gathered, compared),
        *_copies(gathered, compared),
        *_single_rows(gathered),
        *_mixes(gathered),
    ]
    return sorted(found, key=lambda finding: _RANK[finding.severity])


def _finding(
    name: str, severity: Severity, count: int, params: Mapping[str, Any],
    examples: Sequence[Example] = (), variant: str = "what",
) -> DataFinding:  # fmt: skip
    return DataFinding(
        name, severity, count,
        Sentence(f"finding.{name}.{variant}", {"count": count, **params}),
        Sentence(f"finding.{name}.advice"),
        tuple(examples[:EXAMPLES]),
    )  # fmt: skip


def _leaks(gathered: Gathered, compared: Compared) -> Iterator[DataFinding]:
    leaked = compared.leaked
    if count := leaked.exactly + leaked.nearly:
        rows = int((gathered.source.roles == VALIDATES).sum())
        params = {"rows": rows, "exact": leaked.exactly, "near": leaked.nearly}
        sampled = gathered.drawn
        yield _finding(
            "leakage", "serious", count,
            params if sampled is None else params | {"sampled": sampled},
            _shown(gathered, leaked.pairs), "what" if sampled is None else "what_sampled",
        )  # fmt: skip


def _copies(gathered: Gathered, compared: Compared) -> Iterator[DataFinding]:
    rows = len(gathered.source.train)
    digested = len(gathered.digests[0])
    answers = {"answers": compared.different_answers, "most": compared.most_frequent}
    found: tuple[tuple[str, Copied, int | None, Mapping[str, int]], ...] = (
        ("exact_duplicates", compared.exact, digested if digested < len(gathered.source) else None, {}),
        ("near_duplicates", compared.near, gathered.drawn, {}),
        ("repeated_answers", compared.answers, gathered.drawn, answers),
    )  # fmt: skip
    for name, copied, sampled, more in found:
        if copied.rows:
            params = {"rows": rows, **more}
            yield _finding(
                name, _by_share(copied.rows, rows), copied.rows,
                params if sampled is None else params | {"sampled": sampled},
                _shown(gathered, copied.pairs), "what" if sampled is None else "what_sampled",
            )  # fmt: skip


def _single_rows(gathered: Gathered) -> Iterator[DataFinding]:
    """What is wrong with rows by themselves."""
    counts, rows = gathered.counts, len(gathered.source)
    if counts["one_word_answers"] >= _LABELS * rows:
        del counts["one_word_answers"]
    kinds = {"emails": "email", "phones": "phone", "ids": "id", "cards": "card"}
    severities: Mapping[str, Severity] = {
        "secrets": "serious", "personal_data": "warning", "placeholders": "warning",
        "empty_answers": "warning", "one_word_answers": "note",
    }  # fmt: skip
    for name, severity in severities.items():
        if count := counts[name]:
            params: dict[str, int] = {"rows": rows}
            if name == "personal_data":
                params |= {plural: counts[kind] for plural, kind in kinds.items()}
            yield _finding(name, severity, count, params, gathered.examples[name])


def _mixes(gathered: Gathered) -> Iterator[DataFinding]:
    """Where the rows differ in kind: both sides from each other, some rows from most."""
    source, roles = gathered.source, gathered.source.roles
    checks = int((roles == VALIDATES).sum())
    train, validation = gathered.scripts[TRAINS], gathered.scripts[VALIDATES]
    if mix.differs(train, validation):
        shares = [100 * counts / counts.sum() for counts in (train, validation)]
        script = int(np.abs(shares[0] - shares[1]).argmax())
        params = {"train": round(shares[0][script]), "validation": round(shares[1][script])}
        yield _finding("script_mix", "warning", checks, params, (), f"what_{SCRIPTS[script]}")
    lengths = source.lengths
    if apart := mix.lengths_differ(lengths[roles == TRAINS], lengths[roles == VALIDATES]):
        params = {"train": apart.train, "validation": apart.validation}
        yield _finding("length_mix", "warning", checks, params)
    if far := mix.outliers(source.train.length):
        gathered.mark(far.rows, Flag.LENGTH_OUTLIER)
        params = {"longest": far.longest, "median": far.median}
        examples = [gathered.example(source.item(int(row))) for row in far.rows[:EXAMPLES]]
        yield _finding("length_outliers", "note", len(far.rows), params, examples)
    if channels := mix.unbalanced(gathered.channels):
        names = (secrets.masked(name) for name in (channels.least, channels.largest))
        least, largest = names
        yield _finding(
            "unbalanced_channels", "note", channels.fewest,
            {"least": least, "largest": largest, "most": channels.most},
        )  # fmt: skip


def _by_share(count: int, rows: int) -> Severity:
    return "warning" if count >= _DETAIL * rows else "note"


def _shown(gathered: Gathered, pairs: Sequence[Pair]) -> list[Example]:
    """Each pair, one row after the other."""
    return [gathered.example(gathered.source.item(row)) for pair in pairs for row in pair]
