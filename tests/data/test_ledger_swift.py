"""The ledger is ms-swift's own: rows, split, lengths, trained tokens and steps of a zoo of datasets.

Each dataset of the zoo goes two ways: through the app's look at it, and
through ``swift sft`` up to the moment before it trains. Where ms-swift refuses
a dataset as a whole, the app says so first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.data.reference import (
    ACCUMULATION,
    BATCH,
    EPOCHS,
    STRATEGIES,
    Loaded,
    Pair,
    Reference,
    Strategy,
)
from tests.data.zoo import ZOO, Entry
from tuner.data.lengths import Lengths
from tuner.data.rows import Rows, Selection, Side, selected
from tuner.errors import InputError
from tuner.plan.schedule import schedule
from tuner.records import DatasetReport, Kept, ModelInfo
from tuner.workbench import Workbench

pytestmark = pytest.mark.slow

#: Where the app says no though ms-swift would go on, and how it says so.
STRICTER: Final = {
    # ms-swift trains on rows without one word to learn.
    "only_questions": "data.no_answers",
    "two_responses": "data.ambiguous_columns",
    # ms-swift passes over a mapping for a column that is not there.
    "named_nothing": "data.no_column",
    # Files that are not what their names say. ms-swift's loader reads them all the same.
    "lines_in_json": "file.not_array",
    "array_in_jsonl": "file.bad_json_line",
    "objects_over_lines": "file.bad_json_line",
    "two_on_a_line": "file.bad_json_line",
    "cr": "file.bad_json_line",
    "null_lines": "file.not_object",
    # ms-swift reads every file that the star matches.
    "name_with_star": "file.bad_name",
}


@dataclass(frozen=True)
class Look:
    """What the app found: rows before ``max_length``, and what each ``max_length`` leaves."""

    report: DatasetReport

    def line(self, stage: str) -> int:
        """Rows on a line of the ledger."""
        return next(line.rows for line in self.report.ledger if line.stage == stage)

    def kept(self, max_length: int, strategy: Strategy) -> Kept:
        """What the app says of a ``max_length``."""
        return Lengths.load(self.report.folder).kept(max_length, strategy)

    def train(self) -> list[Pair]:
        """Length and trained tokens of the rows that train."""
        return self._pairs("train", self._selected("train.index"))

    def validation(self) -> list[Pair]:
        """Length and trained tokens of the rows that validate."""
        held = self._selected("train.held")
        if held is not None and len(held):
            return self._pairs("train", held)
        return self._pairs("eval", self._selected("eval.index"))

    def _selected(self, which: Selection) -> NDArray[np.int64] | None:
        return selected(Path(self.report.folder), which)

    def _pairs(self, side: Side, chosen: NDArray[np.int64] | None) -> list[Pair]:
        rows = Rows.open(Path(self.report.folder), side)
        pairs = zip(rows.length.tolist(), rows.trained.tolist(), strict=True)
        found = list(pairs)
        return found if chosen is None else [found[n] for n in chosen]


def ours(bench: Workbench, model: ModelInfo, entry: Entry, ratio: float) -> Look:
    """The app's look at a dataset, as the page and the terminal take it. Raises as they do."""
    data, shape = bench.resolve_data(
        entry.train, entry.validation, ratio, columns=entry.columns,
        agent_template=entry.agent_template,
    )  # fmt: skip
    return Look(bench.inspect_data(model, data, shape, entry.system))


def theirs(model: Path, entry: Entry, ratio: float) -> dict[Strategy, Reference]:
    """What ms-swift makes of it: loaded once, encoded once for each strategy."""
    loaded = Loaded(
        model, "llama", "chatml", entry.train, entry.validation, ratio, 42, entry.max_length,
        entry.system, entry.columns, entry.agent_template,
    )  # fmt: skip
    return {strategy: loaded.encoded(strategy) for strategy in STRATEGIES}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Entry]:
    """The zoo on disk, each kind written at its first use."""
    place = tmp_path_factory.mktemp("zoo")
    return cache(lambda name: ZOO[name].write(place / name))


#: A dataset with validation rows of its own is not split; a large one goes one way only.
CASES: Final = [
    (name, ratio)
    for name, kind in ZOO.items()
    for ratio in (0.0, 0.2)
    if not (ratio and kind.validation) and not (kind.large and not ratio)
]


@pytest.mark.parametrize(("name", "ratio"), CASES)
def test_the_ledger_of_a_dataset_is_ms_swifts(
    real: Workbench,
    model: ModelInfo,
    tiny_model: Path,
    written: Callable[[str], Entry],
    name: str,
    ratio: float,
) -> None:
    entry = written(name)
    with ThreadPoolExecutor(1) as beside:  # the app's child and ms-swift work at the same time
        looking = beside.submit(ours, real, model, entry, ratio)
        references = theirs(tiny_model, entry, ratio)
    refused = all(reference.failed for reference in references.values())
    assert not (refused and name in STRICTER)
    if refused or name in STRICTER:
        with pytest.raises(InputError) as caught:
            looking.result()
        assert caught.value.key == STRICTER.get(name, caught.value.key)
        return
    look = looking.result()
    for strategy, reference in references.items():
        agree(look, strategy, reference, entry.max_length)


def agree(look: Look, strategy: Strategy, reference: Reference, max_length: int) -> None:
    """Fail where the app's figures for a strategy are not ms-swift's."""
    kept = look.kept(max_length, strategy)
    if reference.failed:  # it had rows, and none of them fits
        assert kept.train_rows == 0, reference.failed
        return
    counts = look.line("valid"), look.line("train"), look.line("validation")
    assert counts == (reference.loaded, reference.train, reference.validation)
    assert kept.train_rows == len(reference.train_rows)
    assert kept.eval_rows == len(reference.validation_rows)
    assert kept.train_tokens == sum(reference.train_lengths)
    steps = schedule(kept, EPOCHS, BATCH, ACCUMULATION, 50).steps
    assert steps == reference.steps
    for found, expected in (
        (look.train(), reference.train_rows),
        (look.validation(), reference.validation_rows),
    ):
        lengths = sorted(min(length, max_length) for length, _ in found)
        if strategy == "delete":
            lengths = sorted(length for length, _ in found if length <= max_length)
        assert lengths == [length for length, _ in expected]
        # What a cut row still trains depends on where it is cut: those are told by length alone.
        whole = max_length + 1 if strategy == "delete" else max_length
        assert trained(found, whole) == trained(expected, whole)


def trained(rows: tuple[Pair, ...] | list[Pair], below: int) -> Counter[Pair]:
    """Trained tokens of the rows that are shorter than this, with their lengths."""
    return Counter(pair for pair in rows if pair[0] < below)
