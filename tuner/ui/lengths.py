"""Cell 3: how long the rows are, and what max_length would do to them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gradio as gr

from tuner.data.lengths import Lengths
from tuner.export import code
from tuner.records import DatasetReport
from tuner.texts import Lang, say
from tuner.ui import html, ledger, look, plots
from tuner.ui.notebook import Notebook
from tuner.ui.page import Page
from tuner.workbench import ledger_of


def build(page: Page) -> None:
    """The cell. Moving the slider counts again; nothing is tokenised again."""
    with page.cell("3", "lengths"):
        with gr.Row():
            slider = page.words.make(
                gr.Slider,
                {"label": "ui.lengths.max_length", "info": "ui.lengths.max_length_info"},
                minimum=16,
                maximum=8192,
                step=1,
                value=2048,
                scale=3,
                elem_id="max-length",
            )
            strategy = page.words.make(
                gr.Radio,
                {"label": "ui.lengths.strategy", "choices": _strategies},
                value="delete",
                scale=2,
            )
        plot = page.words.view(
            gr.Plot, figure, show_label=False, visible=False, elem_id="lengths-plot"
        )
        table = page.words.view(gr.HTML, verdict)
        look.build(page)
        page.fold("python", _code)
    page.parts |= {
        "slider": slider,
        "strategy": strategy,
        "lengths-plot": plot,
        "lengths-table": table,
    }


def wire(page: Page) -> None:
    """What moving the slider does."""
    slider, strategy = page.parts["slider"], page.parts["strategy"]
    look.wire(page)

    def moved(
        notebook: Notebook, lang: Lang, value: int, how: str
    ) -> tuple[Notebook, Any, str, int]:
        values = dict(notebook.values) | {"max_length": int(value)}
        changed = notebook.replace(max_length=int(value), strategy=how, values=values)
        return changed, figure(changed, lang), verdict(changed, lang), int(value)

    gr.on(
        [slider.input, strategy.input],
        moved,
        [page.notebook, page.lang, slider, strategy],
        [
            page.notebook,
            page.parts["lengths-plot"],
            page.parts["lengths-table"],
            page.parts["knob-max_length"],
        ],
        show_progress="hidden",
        queue=False,
        trigger_mode="always_last",
        api_name="max_length",
    )


def of(report: DatasetReport) -> Lengths | None:
    """The lengths behind a report; None when they have been deleted since."""
    try:
        return _loaded(report.folder)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=16)
def _loaded(folder: str) -> Lengths:
    return Lengths.load(folder)


def figure(notebook: Notebook, lang: Lang) -> Any:
    """The histogram; hidden before the rows were read."""
    found = of(notebook.report) if notebook.report else None
    if found is None:
        return gr.update(value=None, visible=False)
    drawn = plots.lengths(found, notebook.max_length, notebook.strategy, lang)
    return gr.update(value=drawn, visible=True)


def verdict(notebook: Notebook, lang: Lang) -> str:
    """Percentiles, and what this max_length keeps, drops and cuts."""
    report = notebook.report
    found = of(report) if report else None
    if report is None or found is None:
        return html.empty("ui.lengths.empty", lang)
    stats = report.lengths
    names = ("min", "mean", "p50", "p90", "p95", "p99", "max")
    percentiles = html.table(
        names, [[html.count(getattr(stats, name)) for name in names]], frozenset(range(7))
    )
    lines = ledger_of(report, found, notebook.max_length, notebook.values)
    title = html.esc(say("ui.ledger.title", lang))
    return (
        f'<h3 class="who">{title}</h3>{ledger.table(lines, lang)}<div class="gap"></div>'
        f"{ledger.strategies(lines, found, notebook.max_length, notebook.strategy, lang)}"
        f'<div class="gap"></div>{percentiles}<p class="small">{html.esc(_how(report, lang))}</p>'
    )


def _how(report: DatasetReport, lang: Lang) -> str:
    """Who counted, how fast, and what was counted twice."""
    seconds = max(report.seconds, 0.01)
    counted = {"rows": report.valid, "path": report.path, "seconds": seconds}
    if not report.checked:
        return say("ui.lengths.exact_slow", lang, **counted)
    speed = round(report.read / seconds)
    return say("ui.lengths.exact", lang, speed=speed, checked=report.checked, **counted)


def _strategies(lang: Lang) -> list[tuple[str, str]]:
    return [(say(f"ui.lengths.{name}", lang), name) for name in ("delete", "right", "left")]


def _code(notebook: Notebook) -> str:
    if notebook.model is None or notebook.data is None:
        return ""
    return code.lengths(notebook.model, notebook.data, notebook.max_length, notebook.system)
