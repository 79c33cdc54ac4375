"""Look at one row: the longest, the cut, or any by its number, as the model gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gradio as gr
import numpy as np

from tuner.data import masks
from tuner.data.rows import Rows
from tuner.errors import InputError, TunerError
from tuner.records import Sentence
from tuner.texts import Lang, say
from tuner.ui import html, mask
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.work import explain

#: ms-swift's own names; "" is what the run's arguments decide.
LOSS_SCALES: Final = (
    "", "default", "last_round", "all", "ignore_empty_think", "ignore_think_prefix",
    "react", "hermes", "qwen", "agentflan", "alpha_umi",
)  # fmt: skip
#: Rows that are listed, the longest first.
LONGEST: Final = 60


def build(page: Page) -> None:
    """The controls and the place where the row appears; part of the lengths cell."""
    page.words.view(gr.HTML, longest)
    with gr.Row():
        row = page.words.make(
            gr.Number,
            {"label": "ui.look.row", "info": "ui.look.row_info"},
            value=1, precision=0, minimum=1, scale=1, elem_id="look-row",
        )  # fmt: skip
        scale = page.words.make(
            gr.Dropdown,
            {"label": "ui.look.loss_scale", "info": "ui.look.loss_scale_info", "choices": _scales},
            value="", scale=2, allow_custom_value=True, elem_id="look-scale",
        )  # fmt: skip
        show = page.words.make(
            gr.Button, {"value": "ui.look.show"}, elem_classes="act", elem_id="look", scale=1
        )
    page.parts |= {
        "look-row": row,
        "look-scale": scale,
        "look": show,
        "look-out": gr.HTML(elem_id="look-out"),
    }


def wire(page: Page) -> None:
    """Show a row; recolour it when the loss scale, the cut or the strategy changes."""
    parts = page.parts
    # The slider and the strategy say more than the notebook, which follows them a moment later.
    inputs = [
        page.notebook, page.lang, parts["look-row"], parts["look-scale"], parts["slider"],
        parts["strategy"],
    ]  # fmt: skip

    def look(
        notebook: Notebook, lang: Lang, row: float | None, scale: str, max_length: int, how: str
    ) -> str:
        if notebook.model is None or notebook.report is None or notebook.data is None:
            return html.note(Note("error", Sentence("ui.quality.read_first")), lang)
        try:
            rows = Rows.open(Path(notebook.report.folder), "train")
            found = np.flatnonzero(rows.row == int(row or 1))
            if not len(found):
                raise InputError("ui.look.lost", row=int(row or 1))
            return mask.render(
                masks.ask(
                    page.bench.pool, notebook.model, rows.conversation(int(found[0])),
                    system=notebook.system, loss_scale=scale or None, max_length=int(max_length),
                    strategy=how,  # type: ignore[arg-type]
                    agent_template=notebook.data.agent_template,
                ),
                lang,
            )  # fmt: skip
        except (TunerError, OSError, ValueError) as error:
            return html.note(Note("error", explain(error, page.bench.settings.logs)), lang)

    def again(notebook: Notebook, lang: Lang, *given: Any) -> Any:
        *rest, shown = given
        return look(notebook, lang, *rest) if shown else gr.skip()

    gr.on(
        [parts["look"].click, parts["look-row"].submit], look, inputs, parts["look-out"],
        show_progress="hidden", concurrency_limit=2, api_name="look_at_row",
    )  # fmt: skip
    gr.on(
        [
            parts["look-scale"].change, parts["slider"].release, parts["strategy"].change,
            parts["choices"].input,
        ],
        again, [*inputs, parts["look-out"]], parts["look-out"],
        show_progress="hidden", concurrency_limit=2, trigger_mode="always_last",
        api_visibility="private",
    )  # fmt: skip


def longest(notebook: Notebook, lang: Lang) -> str:
    """The longest rows, and what happens to each at this max_length."""
    if notebook.report is None:
        return ""
    try:
        rows = Rows.open(Path(notebook.report.folder), "train")
    except (OSError, ValueError):
        return ""
    count = min(LONGEST, len(rows))
    places = np.argpartition(rows.length, -count)[-count:]
    ranked = sorted(places, key=lambda place: -int(rows.length[place]))
    several = len(rows.names) > 1
    table = []
    for place in ranked:
        name, number = rows.where(int(place))
        table.append(
            (
                f"{Path(name).name} · {number:,}" if several else f"{number:,}",
                html.count(int(rows.length[place])),
                html.count(int(rows.trained[place])),
                say(f"ui.look.{_fate(notebook, int(rows.length[place]), int(rows.trained[place]))}", lang),
            )
        )  # fmt: skip
    columns = [say(f"ui.look.{name}", lang) for name in ("row", "tokens", "trained", "fate")]
    title = html.esc(say("ui.look.title", lang))
    listed = html.table(columns, table, frozenset({0, 1, 2}))
    return f'<h3 class="who">{title}</h3><div class="tall" tabindex="0">{listed}</div>'


def _fate(notebook: Notebook, length: int, trained: int) -> str:
    if not trained:
        return "untrained"
    if length <= notebook.max_length:
        return "whole"
    if notebook.strategy == "delete":
        return "dropped"
    if notebook.strategy == "right" or trained > notebook.max_length:
        return "answer_cut"
    return "beginning_cut"


def _scales(lang: Lang) -> list[tuple[str, str]]:
    return [(name or say("ui.look.by_run", lang), name) for name in LOSS_SCALES]
