"""One row as the model gets it: each token with its weight in the loss, and where max_length cuts.

Plain HTML from a :class:`tuner.data.masks.Mask`. Colour is never the only sign:
what is trained is underlined, what is cut off is struck out, a special token has
a frame, and each shade stands in the legend with its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from tuner.data.masks import Mask, TokenPiece
from tuner.records import Sentence
from tuner.texts import Lang, say
from tuner.ui.html import esc

#: Pieces that are shown of a row, a third of them at each place that matters.
MOST: Final = 1500
#: Parts of the accent in a token's background, in per cent: of weight 1, and of what is heavier.
PLAIN: Final = 26
HEAVIEST: Final = 58

CSS: Final = """
.mask { font-size: 14px; }
.mask .note { margin-bottom: var(--t-2); }
.mask-counts { margin: 0 0 var(--t-1); font-weight: 560; font-variant-numeric: tabular-nums; }
.mask-counts code { font-weight: 400; font-size: 12px; color: var(--body-text-color-subdued); display: inline-block; overflow-wrap: anywhere; }
.mask-legend { display: flex; flex-wrap: wrap; gap: var(--t-1) var(--t-3); list-style: none; padding: 0 !important; margin: 0 0 var(--t-2) !important; font-size: 12px; }
.mask-legend li { margin: 0 !important; padding: 0; }
.mask-tokens { max-height: 480px; overflow-y: auto; border: 1px solid var(--border-color-primary); border-radius: 8px;
  padding: var(--t-2) var(--t-3); line-height: 2; white-space: pre-wrap; overflow-wrap: anywhere; }
.mask .tk { unicode-bidi: isolate; border-radius: 2px; padding: 2px 0; margin-right: 1px; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.mask .tk.w0 { color: var(--body-text-color-subdued); background: color-mix(in srgb, #8a8f98 9%, transparent); }
.mask .tk.on { color: var(--body-text-color); background: color-mix(in srgb, #4f57d9 var(--share), transparent); border-bottom: 2px solid #4f57d9; }
.mask .tk.on.other { border-bottom-style: dashed; }
.dark .mask .tk.on { border-bottom-color: #979df5; }
.mask .tk.special, .mask .tk.raw { font-family: var(--font-mono); font-size: 12px; }
.mask .tk.special { box-shadow: inset 0 0 0 1px var(--body-text-color-subdued); border-radius: 4px; padding: 2px 3px; }
.mask .tk.gone { color: var(--body-text-color-subdued); background: none; text-decoration: line-through; text-decoration-color: #d9534f; }
.mask.dropped .tk.gone { text-decoration: none; }
.mask .tk i { font-style: normal; opacity: .6; user-select: none; }
.mask-cut { display: inline-block; vertical-align: text-bottom; border-left: 3px solid #d9534f; padding: 0 6px; margin: 0 2px; font-size: 12px;
  line-height: 1.6; font-weight: 600; white-space: normal; background: color-mix(in srgb, #d9534f 14%, transparent); border-radius: 0 4px 4px 0; }
.mask-cut.left { border-left: 0; border-right: 3px solid #d9534f; border-radius: 4px 0 0 4px; }
.mask-gap { display: block; text-align: center; color: var(--body-text-color-subdued); font-size: 12px; border-block: 1px dashed var(--border-color-primary);
  margin: var(--t-2) 0; white-space: normal; }
@media (max-width: 640px) { .mask-tokens { padding: var(--t-2); max-height: 60vh; } }
"""


def render(mask: Mask, lang: Lang) -> str:
    """The verdict, the counts, the legend, the tokens."""
    return (
        f'<div class="mask{" dropped" if mask.dropped else ""}">{_verdict(mask, lang)}'
        f'<p class="mask-counts">{esc(counts(mask).say(lang))} '
        f"<code>loss_scale {esc(mask.loss_scale)}</code></p>"
        f"{_legend(mask, lang)}{_tokens(mask, lang)}</div>"
    )


def counts(mask: Mask) -> Sentence:
    """How many tokens, how many of them train, how many the cut takes."""
    share = round(100 * mask.trained / mask.length) if mask.length else 0
    said = Sentence(
        "ui.mask.counts", {"tokens": mask.length, "trained": mask.trained, "share": share}
    )
    if mask.dropped:
        return Sentence("ui.mask.counts_delete", {"counts": said, "max_length": mask.max_length})
    if mask.cut is None:
        return said
    values = {"counts": said, "cut": mask.cut, "lost": _lost(mask)}
    return Sentence(f"ui.mask.counts_{mask.strategy}", values)


def _lost(mask: Mask) -> Sentence:
    lost = mask.trained - mask.trained_kept
    if lost == 0:
        return Sentence("ui.mask.lost_none")
    if lost == mask.trained:
        return Sentence("ui.mask.lost_all", {"lost": lost})
    return Sentence("ui.mask.lost_one" if lost == 1 else "ui.mask.lost_some", {"lost": lost})


def _verdict(mask: Mask, lang: Lang) -> str:
    name = "all_cut" if mask.verdict == "untrained" and mask.trained else mask.verdict
    text = say(
        f"ui.mask.verdict_{name}", lang, max_length=mask.max_length, length=mask.length,
        trained=mask.trained, lost=mask.trained - mask.trained_kept,
    )  # fmt: skip
    kind = "ok" if mask.verdict == "ok" else "warn"
    return f'<div class="note {kind}" role="status">{esc(text)}</div>'


def _legend(mask: Mask, lang: Lang) -> str:
    sample = say("ui.mask.sample", lang)
    items: list[tuple[TokenPiece, str]] = []
    for weight in mask.weights:
        key = {0.0: "ui.mask.weight_zero", 1.0: "ui.mask.weight_one"}.get(
            weight, "ui.mask.weight_other"
        )
        items.append((TokenPiece(sample, (), weight), say(key, lang, weight=_number(weight))))
    if any(piece.special for piece in mask.tokens):
        items.append((TokenPiece("<…>", (), 0.0, special=True), say("ui.mask.special", lang)))
    if not all(piece.kept for piece in mask.tokens):
        items.append((TokenPiece(sample, (), 0.0, kept=False), say("ui.mask.lost", lang)))
    top = max(mask.weights, default=1.0)
    entries = "".join(f"<li>{_span(piece, top)} {esc(text)}</li>" for piece, text in items)
    return f'<ul class="mask-legend" aria-label="{esc(say("ui.mask.legend", lang))}">{entries}</ul>'


def _tokens(mask: Mask, lang: Lang) -> str:
    """The tokens that matter, the cut where it falls, and how many are left out between."""
    starts = [0, *accumulate(len(piece.ids) for piece in mask.tokens)]
    cut = None if mask.cut is None else _piece_at(starts, mask.cut)
    trained = (number for number, piece in enumerate(mask.tokens) if piece.weight)
    middle = cut if cut is not None else next(trained, 0)
    top = max(mask.weights, default=1.0)
    parts: list[str] = []
    done = 0
    for start, end in windows(len(mask.tokens), middle):
        if hidden := starts[start] - starts[done]:
            text = esc(say("ui.mask.gap", lang, tokens=hidden))
            parts.append(f'<span class="mask-gap">{text}</span>')
        for number in range(start, end):
            if number == cut:
                parts.append(_rule(mask, lang))
            piece = mask.tokens[number]
            parts.append(_span(piece, top, _title(piece, starts[number], lang)))
        done = end
    label = esc(say("ui.mask.region", lang))
    return (
        f'<div class="mask-tokens" tabindex="0" role="region" aria-label="{label}">'
        f"{''.join(parts)}</div>"
    )


def windows(pieces: int, middle: int) -> Iterator[tuple[int, int]]:
    """Stretches of a row to show: its start, what is around ``middle``, its end. They never overlap."""
    if pieces <= MOST:
        yield 0, pieces
        return
    third = MOST // 3
    first = min(max(middle - third // 2, 0), pieces - third)
    start, end = 0, third
    for left, right in ((first, first + third), (pieces - third, pieces)):
        if left > end:
            yield start, end
            start = left
        end = max(end, right)
    yield start, end


def _piece_at(starts: list[int], place: int) -> int:
    """The piece that begins at this token, or after it."""
    return next(number for number, start in enumerate(starts) if start >= place)


def _rule(mask: Mask, lang: Lang) -> str:
    side = "left" if mask.strategy == "left" else "right"
    text = say(f"ui.mask.cut_{side}", lang, max_length=mask.max_length)
    return f'<span class="mask-cut {side}" role="separator">{esc(text)}</span>'


def _span(piece: TokenPiece, top: float, title: str = "") -> str:
    names = ["tk", "on" if piece.weight else "w0"]
    names += ["other"] if piece.weight not in (0, 1) else []
    names += [name for name in ("special", "raw") if getattr(piece, name)]
    names += [] if piece.kept else ["gone"]
    style = f' style="--share:{share(piece.weight, top)}%"' if piece.weight else ""
    said = f' title="{esc(title)}"' if title else ""
    return f'<span class="{" ".join(names)}"{style}{said}>{_visible(piece.text)}</span>'


def share(weight: float, top: float) -> int:
    """How much of the accent a weight gets, in per cent; ``top`` is the largest weight of the row."""
    if weight <= 1:
        return 8 + round((PLAIN - 8) * max(0.0, weight))
    return PLAIN + round((HEAVIEST - PLAIN) * (weight - 1) / (max(top, weight) - 1))


def _title(piece: TokenPiece, place: int, lang: Lang) -> str:
    ids = " ".join(map(str, piece.ids))
    number = f"{place + 1}" if len(piece.ids) < 2 else f"{place + 1}–{place + len(piece.ids)}"
    said = say("ui.mask.title", lang, place=number, ids=ids, weight=_number(piece.weight))
    return said if piece.kept else say("ui.mask.title_lost", lang, title=said)


def _number(weight: float) -> str:
    return f"{weight:g}"


def _visible(text: str) -> str:
    """Text as text; a line's end and characters that cannot be seen get a sign."""
    return "".join(_sign(character) for character in text)


def _sign(character: str) -> str:
    if character == "\n":
        return "<i>↵</i>\n"
    if character == "\t":
        return "<i>⇥</i>\t"
    if character < " ":
        return f"<i>{chr(0x2400 + ord(character))}</i>"
    return esc(character)
