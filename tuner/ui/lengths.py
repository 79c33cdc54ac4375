"""Cell 3: how long the rows are, and what max_length would do to them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from tuner.data.choices import Choice, choices
from tuner.data.lengths import Lengths
from tuner.export import code
from tuner.records import DatasetReport
from tuner.texts import Lang, say
from tuner.ui import histogram, html, ledger, look, suggest
from tuner.ui.histogram import Axes, Bins
from tuner.ui.live import Piece, changed
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
        axes = page.words.make(
            gr.CheckboxGroup,
            {"label": "ui.histogram.axes", "choices": _axes},
            value=[],
            show_label=False,
            container=False,
            elem_id="axes",
            elem_classes="plain",
        )
        plot = gr.Plot(show_label=False, visible=False, elem_id="lengths-plot")
        choice = page.words.view(gr.Radio, _options, visible=False, elem_id="choices")
        offer = page.words.view(gr.HTML, _offer, elem_id="offer")
        table = page.words.view(gr.HTML, verdict, elem_id="lengths-table")
        look.build(page)
        page.fold("python", _code)
    page.parts |= {
        "slider": slider,
        "strategy": strategy,
        "axes": axes,
        "lengths-plot": plot,
        "choices": choice,
        "offer": offer,
        "lengths-table": table,
    }


def wire(page: Page) -> None:
    """What moving the slider does."""
    slider, strategy = page.parts["slider"], page.parts["strategy"]
    look.wire(page)

    axes, choice = page.parts["axes"], page.parts["choices"]
    seen = gr.State("")
    given = [page.notebook, page.lang, strategy, axes, seen]
    names = ("lengths-table", "knob-max_length", "choices", "offer", "lengths-plot")
    shown = [page.notebook, seen, *(page.parts[name] for name in names)]
    silent = {"show_progress": "hidden", "queue": False, "trigger_mode": "always_last"}

    def moved(
        value: int, notebook: Notebook, lang: Lang, how: str, axes: list[str], seen: str
    ) -> list[Any]:
        values = dict(notebook.values) | {"max_length": int(value)}
        changed = notebook.replace(max_length=int(value), strategy=how, values=values)
        told, plot = drawn(changed, lang, axes, seen)
        offer = [_options(changed, lang), _offer(changed, lang)]
        return [changed, told, verdict(changed, lang), int(value), *offer, plot]

    def chosen(value: int, notebook: Notebook, *rest: Any) -> list[Any]:
        top = max(256, value, notebook.report.lengths.max if notebook.report else 0)
        range_ = gr.update(value=value, maximum=1 << (top - 1).bit_length())
        return [range_, *moved(value, notebook, *rest)]

    gr.on(
        [slider.input, strategy.input], moved, [slider, *given], shown,
        api_name="max_length", **silent,
    )  # fmt: skip
    choice.input(chosen, [choice, *given], [slider, *shown], api_name="choose_max_length", **silent)
    # Not the notebook's own change: Gradio does not tell of it after an event without a queue.
    gr.on(
        [page.parts["offer"].change, axes.change],
        drawn,
        [page.notebook, page.lang, axes, seen],
        [seen, page.parts["lengths-plot"]],
        api_visibility="private",
        **silent,
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


@lru_cache(maxsize=32)
def _binned(folder: str, log_x: bool) -> Bins:
    return histogram.binned(_loaded(folder).of_rows, log_x)


def drawn(notebook: Notebook, lang: Lang, axes: list[str], seen: str) -> list[Any]:
    """What the page has seen of the histogram, and the histogram if that has changed."""
    picture = Axes(**dict.fromkeys(axes, True))
    token = f"{_token(notebook, lang)}|{picture}"
    return changed({"plot": Piece(token, 1, lambda: [figure(notebook, lang, picture)])}, seen)


def _token(notebook: Notebook, lang: Lang) -> str:
    """What the histogram depends on; while it stays, nothing is drawn anew."""
    look = Path(notebook.report.folder).name if notebook.report else ""
    return f"{look}|{notebook.max_length}|{notebook.strategy}|{lang}"


def figure(notebook: Notebook, lang: Lang, axes: Axes) -> Any:
    """The histogram; hidden before the rows were read."""
    found = of(notebook.report) if notebook.report else None
    if found is None or notebook.report is None:
        return gr.update(value=None, visible=False)
    limit = notebook.max_length
    fitting, _ = found.of_rows.within(limit)
    bins = _binned(notebook.report.folder, axes.log_x)
    figure = histogram.figure(bins, fitting, limit, notebook.strategy, axes, lang)
    return gr.update(value=figure, visible=True)


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


def _choices(notebook: Notebook) -> tuple[Choice, ...]:
    """Values for max_length, the plan's own among them."""
    report = notebook.report
    if report is None or of(report) is None:
        return ()
    advice = notebook.plan.advice if notebook.plan else ()
    suggested = next((int(a.value) for a in advice if a.knob == "max_length"), None)
    context = notebook.model.context_length if notebook.model else None
    return _chosen(report.folder, context, suggested, notebook.strategy)


@lru_cache(maxsize=32)
def _chosen(
    folder: str, context: int | None, suggested: int | None, strategy: str
) -> tuple[Choice, ...]:
    return choices(_loaded(folder), context, suggested, strategy)


def _options(notebook: Notebook, lang: Lang) -> Any:
    return suggest.options(_choices(notebook), notebook.max_length, lang)


def _offer(notebook: Notebook, lang: Lang) -> str:
    """The table of choices. It changes whenever the histogram must: its change redraws it."""
    table = suggest.table(_choices(notebook), notebook.max_length, notebook.strategy, lang)
    return f'<div data-of="{html.esc(_token(notebook, lang))}">{table}</div>'


def _axes(lang: Lang) -> list[tuple[str, str]]:
    return [(say(f"ui.histogram.{name}", lang), name) for name in ("log_x", "log_y", "cumulative")]


def _strategies(lang: Lang) -> list[tuple[str, str]]:
    return [(say(f"ui.lengths.{name}", lang), name) for name in ("delete", "right", "left")]


def _code(notebook: Notebook) -> str:
    if notebook.model is None or notebook.data is None:
        return ""
    return code.lengths(notebook.model, notebook.data, notebook.max_length, notebook.system)
