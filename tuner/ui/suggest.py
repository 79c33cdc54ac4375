"""Values for max_length to choose from, each with what it keeps and what it costs. Part of cell 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from tuner.data.choices import Choice
from tuner.texts import Lang, say
from tuner.ui import html
from tuner.ui.histogram import percent


def options(found: Sequence[Choice], max_length: int, lang: Lang) -> Any:
    """The radio of all choices; none is chosen while max_length is another value."""
    labels = [
        say("ui.choices.suggested", lang, value=choice.max_length)
        if choice.suggested
        else f"{choice.max_length:,}"
        for choice in found
    ]
    values = [choice.max_length for choice in found]
    return gr.update(
        label=say("ui.choices.label", lang),
        info=say("ui.choices.info", lang),
        choices=list(zip(labels, values, strict=True)),
        value=max_length if max_length in values else None,
        visible=bool(found),
    )


def table(found: Sequence[Choice], max_length: int, strategy: str, lang: Lang) -> str:
    """What each choice keeps and costs; a dot before the one that is chosen."""
    if not found:
        return ""
    dropping = strategy == "delete"
    names = ("max_length", "rows", "dropped" if dropping else "cut", "tokens", "peak")
    rows = []
    for choice in found:
        whole = choice.rows if dropping else choice.rows - choice.lost
        rows.append(
            (
                ("● " if choice.max_length == max_length else "") + html.count(choice.max_length),
                percent(whole / (whole + choice.lost)),
                html.count(choice.lost),
                percent(choice.tokens_share),
                percent(choice.peak),
            )
        )
    columns = [say(f"ui.choices.{name}", lang) for name in names]
    facts = html.esc(say("ui.choices.facts", lang))
    return f'{html.table(columns, rows, frozenset(range(5)))}<p class="small">{facts}</p>'
