"""The arithmetic of max_length, against a plain count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import lengths_of
from tuner.data.lengths import as_text, histogram, stats

ROWS = st.lists(st.integers(1, 5000), min_size=1, max_size=60)
LIMIT = st.one_of(st.none(), st.integers(1, 5200))


@given(ROWS, ROWS, ROWS, LIMIT)
def test_delete_drops_the_rows_that_are_longer_and_nothing_else(
    rows: list[int], train: list[int], validation: list[int], limit: int | None
) -> None:
    top = math.inf if limit is None else limit
    kept = lengths_of(rows, train, validation).kept(limit, "delete")
    fits = [n for n in rows if n <= top]
    assert kept.rows == len(fits)
    assert kept.over == len(rows) - len(fits)
    assert kept.tokens == sum(rows)
    assert kept.tokens_lost == sum(rows) - sum(fits)
    assert kept.train_rows == sum(n <= top for n in train)
    assert kept.train_tokens == sum(n for n in train if n <= top)
    assert kept.eval_rows == sum(n <= top for n in validation)


@given(ROWS, ROWS, ROWS, LIMIT, st.sampled_from(["left", "right"]))
def test_cutting_keeps_every_row_and_loses_what_is_beyond_the_line(
    rows: list[int], train: list[int], validation: list[int], limit: int | None, strategy: str
) -> None:
    top = max(rows + train) if limit is None else limit
    kept = lengths_of(rows, train, validation).kept(limit, strategy)
    assert (kept.rows, kept.train_rows, kept.eval_rows) == (len(rows), len(train), len(validation))
    assert kept.over == sum(n > top for n in rows)
    assert kept.tokens_lost == sum(max(n - top, 0) for n in rows)
    assert kept.train_tokens == sum(min(n, top) for n in train)


def test_a_row_that_is_exactly_max_length_long_fits() -> None:
    lengths = lengths_of([99, 100, 101], validation=[100, 101])
    assert (lengths.kept(100).rows, lengths.kept(100).over, lengths.kept(100).eval_rows) == (
        2,
        1,
        1,
    )
    assert lengths.kept(100, "right").tokens_lost == 1
    assert lengths.kept(98).rows == 0


def test_tokens_of_a_huge_dataset_do_not_overflow() -> None:
    kept = lengths_of([2_000_000_000] * 3).kept(1_000_000_000, "right")
    assert kept.tokens == 6_000_000_000
    assert kept.tokens_lost == 3_000_000_000


@given(ROWS)
def test_statistics_are_lengths_that_occur_and_cover_what_they_say(rows: list[int]) -> None:
    found = stats(np.asarray(rows, dtype=np.int32))
    assert (found.min, found.max) == (min(rows), max(rows))
    assert found.mean == pytest.approx(sum(rows) / len(rows), abs=0.0051)
    ordered = sorted(rows)
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.95, found.p95), (0.99, found.p99)):
        assert value == ordered[math.floor(share * (len(rows) - 1) + 1e-9)]


@given(ROWS, st.integers(1, 80))
def test_a_histogram_holds_every_row_once_in_whole_bins(rows: list[int], bins: int) -> None:
    edges, counts = histogram(np.asarray(rows, dtype=np.int32), bins)
    assert sum(counts) == len(rows)
    assert len(edges) == len(counts) + 1 <= bins + 1
    assert edges[0] == min(rows)
    assert edges[-1] > max(rows)
    assert len({high - low for low, high in itertools.pairwise(edges)}) == 1


def test_lengths_as_text_are_one_integer_a_line() -> None:
    assert as_text(np.asarray([3, 10], dtype=np.int32)) == "3\n10\n"
