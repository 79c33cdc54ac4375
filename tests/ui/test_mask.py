"""How a row's tokens are drawn: nothing is lost, nothing is markup, the cut is where it falls."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data.masks import Mask, TokenPiece, of
from tuner.records import to_dict
from tuner.texts import LANGS, Lang
from tuner.ui.mask import MOST, counts, render, share, windows

HOSTILE = "<script>alert(1)</script>\"'&"


def mask_of(pieces: list[TokenPiece], strategy: Any = "right", scale: str = "default") -> Mask:
    """A mask as the verb gives it for these pieces, one token a piece or more."""
    length = sum(len(p.ids) for p in pieces)
    kept = sum(len(p.ids) for p in pieces if p.kept)
    trained = sum(len(p.ids) for p in pieces if p.weight)
    left = sum(len(p.ids) for p in pieces if p.weight and p.kept)
    dropped = kept == 0 and length > 0
    cut = None if dropped or kept == length else kept if strategy == "right" else length - kept
    verdict: Any = (
        "dropped" if dropped else "untrained" if not left else "answer_cut" if left < trained else "ok"
    )  # fmt: skip
    return Mask(
        tokens=tuple(pieces), length=length, trained=trained, trained_kept=left,
        weights=tuple(sorted({p.weight for p in pieces})), verdict=verdict, loss_scale=scale,
        prompt="".join(p.text for p in pieces), cut=cut, dropped=dropped,
        max_length=kept or 1, strategy="delete" if dropped else strategy,
    )  # fmt: skip


def shown(page: str) -> str:
    """The text of the tokens, as a reader copies it, a bar where the cut is drawn."""
    region = page[page.index('<div class="mask-tokens"') :]
    region = re.sub(r'<span class="mask-gap">.*?</span>', "", region)
    region = re.sub(r'<span class="mask-cut [^>]*>.*?</span>', "\x1f", region)
    region = re.sub(r"<i>.</i>", "", region)
    return html.unescape(re.sub(r"<[^>]*>", "", region))


def spans(page: str) -> list[str]:
    """The classes of each token that is drawn."""
    region = page[page.index('<div class="mask-tokens"') :]
    return re.findall(r'<span class="(tk[^"]*)"', region)


visible = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t<>&\"'"),
    min_size=1, max_size=4,
)  # fmt: skip


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Any row: some of its pieces before a cut or behind it, or all of them dropped."""
    drawn = draw(
        st.lists(st.tuples(visible, st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0, 2.5]), st.booleans()),
                 min_size=1, max_size=30)
    )  # fmt: skip
    strategy = draw(st.sampled_from(["left", "right"]))
    place = draw(st.integers(0, len(drawn)))
    return mask_of(
        [
            TokenPiece(
                text, tuple(range(n)), weight, special,
                kept=number < place if strategy == "right" else number >= place,
            )
            for number, (text, n, weight, special) in enumerate(drawn)
        ],
        strategy,
    )  # fmt: skip


@given(masks(), st.sampled_from(LANGS))
def test_every_token_is_there_as_text_and_the_cut_stands_between_what_stays_and_what_is_lost(
    mask: Mask, lang: Lang
) -> None:
    page = render(mask, lang)
    text = shown(page)
    assert text.replace("\x1f", "") == mask.prompt
    first = "".join(p.text for p in mask.tokens if p.kept == (mask.strategy == "right"))
    assert text.split("\x1f")[0] == (mask.prompt if mask.cut is None else first)
    drawn = spans(page)
    assert len(drawn) == len(mask.tokens)
    for names, piece in zip(map(str.split, drawn), mask.tokens, strict=True):
        assert ("on" in names) == (piece.weight > 0) != ("w0" in names)
        assert ("gone" in names) != piece.kept
        assert ("special" in names) == piece.special
    assert of(to_dict(mask)) == mask


def test_what_a_row_holds_never_becomes_markup() -> None:
    page = render(mask_of([TokenPiece(HOSTILE, (1,), 1.0)], scale=HOSTILE), "en")
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 2


def test_a_lines_end_is_seen_and_kept_and_so_is_what_cannot_be_seen() -> None:
    page = render(
        mask_of([TokenPiece("a\n\n", (1,), 1.0), TokenPiece("\x00\r\t", (2,), 1.0)]), "en"
    )
    assert "a<i>↵</i>\n<i>↵</i>\n" in page
    assert "<i>␀</i><i>␍</i><i>⇥</i>\t" in page


def row(prompt: int, answer: int, kept: int, left: bool = False) -> Mask:
    """Single tokens: a prompt, an answer that trains, and how many of all are kept."""
    total = prompt + answer
    return mask_of(
        [
            TokenPiece("x", (number,), float(number >= prompt), kept=number >= total - kept if left else number < kept)
            for number in range(total)
        ],
        "left" if left else "right",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "line"),
    [
        (row(125, 87, 212), "212 tokens, 87 trained (41 %)"),
        (row(71, 87, 128), "158 tokens, 87 trained (55 %), cut after 128: 30 trained tokens lost"),
        (row(71, 87, 157), "158 tokens, 87 trained (55 %), cut after 157: 1 trained token lost"),
        (row(90, 10, 20), "100 tokens, 10 trained (10 %), cut after 20: all 10 trained tokens lost"),
        (row(90, 10, 20, left=True), "100 tokens, 10 trained (10 %), the first 80 cut: no trained token lost"),
        (row(90, 10, 0), "100 tokens, 10 trained (10 %), dropped: longer than 1"),
    ],
)  # fmt: skip
def test_the_counts_are_said_in_one_line(mask: Mask, line: str) -> None:
    assert counts(mask).say("en") == line
    assert html.escape(counts(mask).say("zh")) in render(mask, "zh")


def test_a_row_without_a_trained_token_and_one_that_lost_them_all_get_different_advice() -> None:
    assert "loss_scale." in render(row(10, 0, 10), "en")
    assert "Raise max_length to 20." in render(row(10, 10, 5), "en")


def test_each_weight_stands_in_the_legend_with_its_number() -> None:
    page = render(
        mask_of([TokenPiece("x", (1,), weight) for weight in (0.0, 0.25, 1.0, 3.0)]), "en"
    )
    for words in ("not trained, weight 0", "weight 0.25", "weight 1<", "weight 3<"):
        assert words in page


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=6, unique=True))
def test_a_heavier_token_is_never_paler_and_weight_1_looks_the_same_in_every_row(
    weights: list[float],
) -> None:
    top = max(weights)
    shades = [share(weight, top) for weight in sorted(weights)]
    assert shades == sorted(shades)
    assert all(0 < shade < 60 for shade in shades)
    assert share(1.0, top) == share(1.0, 1.0)


@given(st.integers(0, 5 * MOST), st.data())
def test_of_a_long_row_the_start_the_end_and_what_is_around_the_cut_are_shown(
    pieces: int, data: st.DataObject
) -> None:
    middle = data.draw(st.integers(0, max(0, pieces - 1)))
    stretches = list(windows(pieces, middle))
    places = [place for start, end in stretches for place in range(start, end)]
    assert places == sorted(set(places))
    assert len(places) <= MOST
    assert len(places) == pieces or pieces > MOST
    assert not pieces or {0, middle, pieces - 1} <= set(places)


def test_what_is_not_shown_of_a_long_row_is_counted() -> None:
    mask = row(6000, 4000, 7000)
    page = render(mask, "en")
    hidden = [int(n.replace(",", "")) for n in re.findall(r"… ([\d,]+) tokens not shown …", page)]
    assert len(hidden) == 2
    assert sum(hidden) + len(spans(page)) == mask.length
    before, after = shown(page).split("\x1f")
    assert len(before) + hidden[0] == 7000
    assert len(after) + hidden[1] == 3000
