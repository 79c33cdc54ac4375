"""Cell 5: the run, live."""

from __future__ import annotations

import os
from typing import Any, Final

import gradio as gr

from tuner.errors import TunerError
from tuner.export import code
from tuner.records import Event, Run, Sentence
from tuner.runs import folder
from tuner.runs.follower import Picture
from tuner.texts import Lang, say
from tuner.ui import html, plots
from tuner.ui.live import Piece
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.plan import config_of, refuse
from tuner.workbench import documents_of

LOG_LINES: Final = 60


def build(page: Page) -> None:
    """The cell."""
    with page.cell("5", "train"):
        with gr.Row():
            start = page.words.make(
                gr.Button, {"value": "ui.train.start"}, variant="primary", elem_id="train-start"
            )
            stop = page.words.make(
                gr.Button, {"value": "ui.train.stop"}, variant="stop", elem_id="train-stop"
            )
        page.note("train")
        page.parts["run-status"] = gr.HTML(
            html.empty("ui.train.empty", page.words.lang), elem_id="run-status"
        )
        log_scale = page.words.make(
            gr.Checkbox,
            {"label": "ui.train.log_scale"},
            value=False,
            container=False,
            elem_id="log-scale",
            elem_classes="plain",
        )
        page.parts["run-loss"] = gr.Plot(show_label=False, visible=False, elem_id="run-loss")
        page.parts["run-details"] = gr.Plot(show_label=False, visible=False, elem_id="run-details")
        with page.words.make(gr.Accordion, {"label": "ui.train.log"}, open=False):
            page.parts["run-log"] = gr.Textbox(
                show_label=False, lines=14, max_lines=14, elem_classes="log", interactive=False
            )
        page.fold("shell", lambda nb: _code(page, nb))
    page.parts |= {"log-scale": log_scale, "train-start": start, "train-stop": stop}


def wire(page: Page) -> None:
    """What the cell's buttons do."""

    def started(notebook: Notebook) -> Notebook:
        try:
            config = config_of(page, notebook)
            model, data, report, plan = (
                notebook.model,
                notebook.data,
                notebook.report,
                notebook.plan,
            )
            if config is None or model is None or data is None or report is None or plan is None:
                return notebook.noted("train", Note("error", Sentence("ui.train.read_first")))
            run = page.bench.start(config, documents_of(model, data, report, plan))
        except Exception as error:
            return refuse(page, notebook, error)
        page.follower.refresh()
        return notebook.replace(run=run.id).noted("train", None)

    page.show(
        page.parts["train-start"].click(
            started,
            page.notebook,
            page.notebook,
            show_progress="hidden",
            concurrency_limit=4,
            api_name="train",
        )
    )

    def stopped(notebook: Notebook) -> Notebook:
        try:
            going = next((run for run in page.follower.runs() if run.active), None)
            if going is None:
                return notebook.noted("train", Note("error", Sentence("ui.train.nothing_to_stop")))
            page.bench.stop(going.id)
        except TunerError as error:
            return refuse(page, notebook, error)
        return notebook.noted("train", Note("busy", Sentence("ui.train.stopping")))

    page.show(
        page.parts["train-stop"].click(
            stopped,
            page.notebook,
            page.notebook,
            show_progress="hidden",
            queue=False,
            api_name="stop",
        )
    )


def pieces(picture: Picture | None, log_scale: bool, lang: Lang) -> dict[str, Piece]:
    """The run for the eye: its status, its curves, its log."""
    if picture is None:
        hidden = gr.update(value=None, visible=False)
        return {
            "status": Piece(f"none|{lang}", 1, lambda: [html.empty("ui.train.empty", lang)]),
            "loss": Piece("none", 1, lambda: [hidden]),
            "details": Piece("none", 1, lambda: [hidden]),
            "log": Piece("none", 1, lambda: [""]),
        }
    run, events = picture.run, picture.events
    some = bool(events)
    # The small curves are redrawn less often: drawing costs the training a share of the processor.
    count = len(events) if not run.active or len(events) < 4 else len(events) // 4

    def loss() -> list[Any]:
        return [gr.update(value=plots.loss(events, log_scale, lang, run.id), visible=some)]

    def details() -> list[Any]:
        return [gr.update(value=plots.details(events, lang, run.id), visible=some)]

    def log() -> list[Any]:
        return ["\n".join(folder.log_tail(run.folder).splitlines()[-LOG_LINES:])]

    return {
        "status": Piece(f"{run.id}|{picture.version}|{lang}", 1, lambda: [status(picture, lang)]),
        "loss": Piece(f"{run.id}|{len(events)}|{log_scale}|{lang}", 1, loss),
        "details": Piece(f"{run.id}|{count}|{lang}", 1, details),
        "log": Piece(f"{run.id}|{_size(run)}", 1, log),
    }


def status(picture: Picture, lang: Lang) -> str:
    """State, progress, elapsed and remaining time, the losses."""
    run, events = picture.run, picture.events
    last_train = next((e for e in reversed(events) if e.loss is not None), None)
    last_eval = next((e for e in reversed(events) if e.eval_loss is not None), None)
    share = run.step / run.max_steps if run.max_steps else 0.0
    pill = f'<span class="pill {run.state}">{html.esc(say(f"state.{run.state}", lang))}</span>'
    bar = f'<div class="progress" role="progressbar" aria-valuenow="{share:.0%}"><i style="width:{share:.1%}"></i></div>'
    best = run.best_eval_loss
    facts = html.facts(
        [
            (
                say("ui.train.step", lang),
                f"{run.step} / {run.max_steps or '–'}",
                _epoch(events, lang),
            ),
            (say("ui.train.elapsed", lang), html.duration(_elapsed(events), lang), ""),
            (
                say("ui.train.remaining", lang),
                html.duration(_remaining(run, events), lang),
                say("ui.train.about", lang) if run.active else "",
            ),
            (say("ui.train.loss", lang), _loss(last_train.loss if last_train else None), ""),
            (
                say("ui.train.eval_loss", lang),
                _loss(last_eval.eval_loss if last_eval else None),
                say("ui.train.best", lang, value=_loss(best)) if best is not None else "",
            ),
        ]
    )
    error = html.note(Note("error", run.error), lang) if run.error else ""
    return f'{pill} <span class="who">{html.esc(run.id)}</span>{bar}{facts}{error}'


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _epoch(events: tuple[Event, ...], lang: Lang) -> str:
    epoch = events[-1].epoch if events else None
    return "" if epoch is None else say("ui.train.epoch", lang, value=f"{epoch:.2f}")


def _elapsed(events: tuple[Event, ...]) -> float | None:
    return next((e.elapsed for e in reversed(events) if e.elapsed is not None), None)


def _remaining(run: Run, events: tuple[Event, ...]) -> float | None:
    """By the mean pace so far; unknown before the first step and after the end."""
    elapsed = _elapsed(events)
    if not run.active or elapsed is None or not run.step or not run.max_steps:
        return None
    return (run.max_steps - run.step) * elapsed / run.step


def _size(run: Run) -> int:
    try:
        return os.stat(run.folder / "log.txt").st_size
    except OSError:
        return 0


def _code(page: Page, notebook: Notebook) -> str:
    if notebook.run is None:
        return ""
    try:
        return code.train(page.bench.run_config(notebook.run))
    except TunerError:
        return ""
