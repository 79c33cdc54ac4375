"""Values for max_length to choose from: what each says is what max_length does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import lengths_of
from tuner.data.choices import SHARES, Choice, choices, rounded

ROWS = st.lists(st.integers(1, 9000), min_size=1, max_size=80)
CONTEXT = st.one_of(st.none(), st.integers(1, 9000))
WISH = st.one_of(st.none(), st.integers(1, 9000))
STRATEGY = st.sampled_from(["delete", "right", "left"])


@given(ROWS, ROWS, CONTEXT, WISH, STRATEGY)
def test_each_choice_keeps_and_costs_what_the_arithmetic_of_max_length_says(
    rows: list[int], train: list[int], context: int | None, wish: int | None, strategy: str
) -> None:
    lengths = lengths_of(rows, train)
    whole = lengths.kept(None, strategy)
    for choice in choices(lengths, context, wish, strategy):
        kept = lengths.kept(choice.max_length, strategy)
        assert (choice.rows, choice.lost) == (kept.rows, kept.over)
        assert choice.tokens == kept.tokens - kept.tokens_lost
        assert choice.tokens_share == pytest.approx(choice.tokens / sum(rows))
        assert choice.total == pytest.approx(kept.train_tokens / whole.train_tokens)
        assert choice.peak == pytest.approx(min(choice.max_length, max(rows)) / max(rows))


@given(ROWS, CONTEXT, WISH, STRATEGY)
def test_a_shorter_choice_keeps_less_and_costs_less(
    rows: list[int], context: int | None, wish: int | None, strategy: str
) -> None:
    found = choices(lengths_of(rows), context, wish, strategy)
    assert 1 <= len(found) <= len(SHARES) + 1
    for longer, shorter in itertools.pairwise(found):
        assert shorter.max_length < longer.max_length
        assert shorter.rows <= longer.rows
        assert shorter.tokens <= longer.tokens
        assert shorter.peak <= longer.peak
        assert shorter.total <= longer.total


@given(ROWS, CONTEXT, WISH)
def test_every_share_of_the_rows_has_a_choice_unless_the_context_is_too_short(
    rows: list[int], context: int | None, wish: int | None
) -> None:
    found = choices(lengths_of(rows), context, wish)
    assert context is None or all(choice.max_length <= context for choice in found)
    reachable = sum(context is None or n <= context for n in rows) / len(rows)
    for share in SHARES:
        best = max(choice.rows for choice in found) / len(rows)
        assert best >= min(share, reachable)


@given(ROWS, CONTEXT, st.integers(1, 9000), STRATEGY)
def test_the_suggested_value_is_among_them_once(
    rows: list[int], context: int | None, wish: int, strategy: str
) -> None:
    found = choices(lengths_of(rows), context, wish, strategy)
    suggested = [choice.max_length for choice in found if choice.suggested]
    assert suggested == [wish if context is None else min(wish, context)]


@given(st.integers(1, 10**6))
def test_rounding_goes_up_by_an_eighth_at_most(length: int) -> None:
    assert length <= rounded(length) <= length * 9 / 8


def test_values_that_do_the_same_are_one_and_the_suggested_one_stays() -> None:
    assert values(choices(lengths_of([70] * 50), None)) == [72]
    assert values(choices(lengths_of([70] * 50), None, 2048)) == [2048]
    assert values(choices(lengths_of([1000]), 32)) == [32]
    assert choices(lengths_of([]), None, 2048) == ()


def test_a_long_tail_gives_a_handful_of_round_numbers() -> None:
    rows = [100] * 900 + [300] * 50 + [500] * 40 + [900] * 9 + [5000]
    assert values(choices(lengths_of(rows), None, 2048)) == [5056, 2048, 504, 304, 104]


def values(found: tuple[Choice, ...]) -> list[int]:
    return [choice.max_length for choice in found]
