"""The ledger of rows: what each of ms-swift's stages leaves, so that the numbers add up.

ms-swift reads the rows, loses those that its preprocessors do not take, draws
``#count`` of them, splits, loses those that its template refuses, and only then
applies ``max_length``. The lines follow that order; each says what it lost
against the line it comes from. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.data.lengths import Lengths
from tuner.records import LedgerLine

STRATEGIES: Final = ("delete", "left", "right")


def until_split(found: Mapping[str, Any]) -> tuple[LedgerLine, ...]:
    """From the rows in the files to the rows that train and validate, before any is tokenised.

    ``found`` is what the verb ``measure`` left. Validation datasets of their own
    are counted on the line "validation" alone.
    """
    train = found["parts"]["train"]

    def total(parts: list[Mapping[str, Any]], name: str) -> int:
        return sum(part[name] for part in parts)

    lines, read, loaded = (total(train, name) for name in ("lines", "read", "loaded"))
    split = found["split"]
    return (
        LedgerLine("read", lines),
        LedgerLine("parsed", read, lines - read),
        LedgerLine("valid", loaded, read - loaded),
        LedgerLine("chosen", split["chosen"], max(0, loaded - split["chosen"])),
        LedgerLine("train", split["train"], split["chosen"] - split["train"]),
        LedgerLine("validation", split["held"] or found["checks"]),
    )


def after_split(
    report_lines: tuple[LedgerLine, ...], lengths: Lengths, max_length: int | None
) -> tuple[LedgerLine, ...]:
    """What the template and ``max_length`` leave of the training rows, for each truncation strategy."""
    before = next(line.rows for line in report_lines if line.stage == "train")
    encoded = LedgerLine("encoded", len(lengths.train), before - len(lengths.train))
    fits = tuple(
        LedgerLine("fits", rows, len(lengths.train) - rows, strategy)
        for strategy in STRATEGIES
        for rows in (lengths.kept(max_length, strategy).train_rows,)
    )
    return (encoded, *fits)
