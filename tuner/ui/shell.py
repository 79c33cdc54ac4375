"""The page put together: strip, rail, hero, cells, the language switch and the one timer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

import gradio as gr

from tuner.errors import BusyError, NotFoundError, TunerError
from tuner.knobs import FORM
from tuner.records import Run, Sentence
from tuner.runs import folder
from tuner.runs.follower import Follower
from tuner.texts import LANGS, Lang, as_lang, say
from tuner.ui import ask, data, drag, html, lengths, mask, model, plan, quality, theme, train, zoom
from tuner.ui.live import Piece, changed
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.quiet import quiet
from tuner.ui.words import Words
from tuner.ui.work import Tell
from tuner.workbench import Workbench, restore

#: The page's style, and that of what only some cells show.
CSS: Final = theme.CSS + mask.CSS + quality.CSS
TICK_SECONDS: Final = 2.0
QUEUE_SECONDS: Final = 0.05
#: For events that are the page's own affair: no spinner, no queue, no place in the API.
SILENT: Final[dict[str, Any]] = {
    "show_progress": "hidden", "queue": False, "api_visibility": "private",
}  # fmt: skip
#: Handlers of one kind that may run at once, for several visitors.
CONCURRENT: Final = 8
#: The rail lists this many runs; older ones are found from the terminal.
MOST_RUNS: Final = 100
#: Below this version Gradio's file components have known holes (CVE-2026-49119 among them).
FILES_SINCE: Final = (6, 16)

_log = logging.getLogger("tuner.ui")


class DemoAnswers:
    """Asks the demo's questions once its run has finished, in a thread, once a run."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._asking: set[str] = set()
        self._lock = threading.Lock()

    def on_end(self, run: Run) -> None:
        """To be called whenever a run has ended; only a finished demo is asked."""
        with self._lock:
            if not run.demo or run.state != "finished" or run.id in self._asking:
                return
            self._asking.add(run.id)
        threading.Thread(target=self._ask, args=(run.id,), daemon=True).start()

    def get(self, run: Run) -> tuple[dict[str, Any] | None, bool]:
        """The answers, if they are there; whether they are on their way."""
        if not run.demo:
            return None, False
        answers = folder.document(run.folder, "answers")
        return answers, answers is None and run.id in self._asking

    def _ask(self, ident: str) -> None:
        try:
            self._bench.demo_answers(ident)
        except TunerError as error:
            _log.error("demo answers of %s: %s", ident, error)
        finally:
            with self._lock:
                self._asking.discard(ident)


def build(bench: Workbench) -> tuple[Any, Follower]:
    """The Blocks and the follower that feeds it. Nothing is launched."""
    quiet()
    lang = bench.settings.lang
    answers = DemoAnswers(bench)
    follower = Follower(bench.settings.runs, answers.on_end)
    with gr.Blocks(title=say("app.title", lang), analytics_enabled=False) as blocks:
        page = _frame(bench, follower, Words(lang))
        model.build(page)
        data.build(page, with_files=_gradio_version() >= FILES_SINCE)
        for cell in (lengths, plan, train, ask):
            cell.build(page)
        # All widgets are there: from here on they are wired.
        for cell in (model, lengths, plan, train, ask):
            cell.wire(page)
        page.show(data.wire(page)).then(plan.fill, page.notebook, _form(page), **SILENT)
        _wire_demo(page)
        _wire_language(page)
        _wire_live(page, answers)
        _wire_opening(page, blocks, answers)
        for js in (zoom.JS, drag.JS):
            blocks.load(None, js=js, **SILENT)
    blocks.queue(default_concurrency_limit=CONCURRENT)
    _calm(blocks)
    return blocks, follower


def _frame(bench: Workbench, follower: Follower, words: Words) -> Page:
    """Everything around the cells: the rail of runs, the strip on top, the hero."""
    with words.make(gr.Sidebar, {"label": "ui.rail.title"}, open=False, width=300):
        words.make(
            gr.HTML, {"value": lambda lang: f"<h3>{html.esc(say('ui.rail.title', lang))}</h3>"}
        )
        rail = gr.Radio(choices=[], show_label=False, container=False, elem_id="rail")
        rail_empty = gr.HTML(html.empty("ui.rail.empty", words.lang))
    with gr.Row(elem_id="strip"):
        words.view(gr.HTML, lambda _, lang: _strip(bench, lang))
        switch = gr.Radio(
            [("中文", "zh"), ("English", "en")],
            value=words.lang,
            show_label=False,
            container=False,
            elem_id="lang",
            min_width=150,
            scale=0,
        )
    page = Page(bench, follower, words, switch, gr.State(Notebook()))
    with gr.Column(elem_id="hero"):
        words.make(gr.HTML, {"value": _hero})
        with gr.Row():
            button = words.make(
                gr.Button,
                {"value": "ui.demo.try"},
                variant="primary",
                size="lg",
                scale=0,
                min_width=220,
                elem_id="try",
            )
        page.note("demo")
    page.parts |= {"rail": rail, "rail-empty": rail_empty, "try": button}
    return page


def _form(page: Page) -> list[Any]:
    """The plan's boxes and the slider, as :func:`tuner.ui.plan.fill` fills them."""
    return [*plan.knobs(page), page.parts["slider"]]


def _chosen(page: Page) -> list[Any]:
    """All boxes that :func:`_choices` fills."""
    names = ("model", "train", "validation", "ratio", "name", "author")
    return [*_form(page), *(page.parts[name] for name in names)]


def _wire_live(page: Page, answers: DemoAnswers) -> None:
    """The one timer: what the follower saw comes to the page."""
    seen = gr.State("")
    timer = gr.Timer(TICK_SECONDS)
    names = (
        "run-status",
        "run-loss",
        "run-details",
        "run-log",
        "demo-answers",
        "checkpoint",
        "rail",
    )
    live = [seen, *(page.parts[name] for name in names), page.parts["rail-empty"]]
    log_scale = page.parts["log-scale"]

    def tick(notebook: Notebook, lang: Lang, log_scale: bool, seen: str) -> list[Any]:
        return look(page, answers, notebook.run, lang, log_scale, seen)

    gr.on(
        [timer.tick, log_scale.change, page.lang.change, page.notebook.change],
        tick,
        [page.notebook, page.lang, log_scale, seen],
        live,
        trigger_mode="always_last",
        **SILENT,
    )


def _wire_opening(page: Page, blocks: Any, answers: DemoAnswers) -> None:
    """What a visitor finds: the run that goes (else the newest), in the language chosen last."""
    rail, chosen = page.parts["rail"], _chosen(page)

    def picked(notebook: Notebook, ident: str) -> Notebook:
        return reopened(page, ident) if ident and ident != notebook.run else notebook

    event = rail.input(
        picked,
        [page.notebook, rail],
        page.notebook,
        show_progress="hidden",
        queue=False,
        api_name="open_run",
    )
    page.show(event).then(_choices, page.notebook, chosen, **SILENT)

    kept_lang = gr.BrowserState(None, storage_key="tuner-lang", secret="tuner")  # noqa: S106 - no secret: a language
    page.lang.input(lambda lang: lang, page.lang, kept_lang, **SILENT)

    def opened(kept: str | None, request: gr.Request) -> tuple[Notebook, Lang]:
        page.follower.refresh()
        runs = page.follower.runs()
        for run in runs:
            if folder.document(run.folder, "answers") is None:
                answers.on_end(run)
        shown = next((run for run in runs if run.active), runs[0] if runs else None)
        notebook = reopened(page, shown.id) if shown else Notebook()
        return notebook, _first_language(page.bench, kept, request)

    event = blocks.load(opened, kept_lang, [page.notebook, page.lang], **SILENT)
    page.show(event).then(_choices, page.notebook, chosen, **SILENT)


def _calm(blocks: Any) -> None:
    """Let Gradio's queue look for work 20 times a second instead of 1,000 times.

    An idle page took 6.5 % of a core; with Gradio's own value for Windows it
    takes 0.9 %. There is no setting for it: ``tests/ui/test_shell.py`` fails
    when Gradio renames the attribute.
    """
    blocks._queue.sleep_when_free = QUEUE_SECONDS  # noqa: SLF001


def _choices(notebook: Notebook) -> list[Any]:
    """What was chosen in the cells, from the notebook; nothing is touched that it does not know."""
    choices: list[Any] = [gr.skip()] * 6
    if notebook.model and notebook.data:
        data = notebook.data
        choices = [
            notebook.model.ref,
            list(data.chosen or data.train),
            ", ".join(data.chosen_validation),
            data.split_ratio,
            data.values.get("NAME", gr.skip()),
            data.values.get("AUTHOR", gr.skip()),
        ]
    return [*plan.fill(notebook), *choices]


def look(
    page: Page, answers: DemoAnswers, ident: str | None, lang: Lang, log_scale: bool, seen: str
) -> list[Any]:
    """One look at the run and the rail: what has changed, and skips for what has not."""
    picture = page.follower.picture(ident) if ident else None
    answer, pending = answers.get(picture.run) if picture else (None, False)
    rail = Piece(
        f"{page.follower.list_version}|{lang}|{ident}", 2, lambda: _rail(page, ident, lang)
    )
    parts = train.pieces(picture, log_scale, lang) | ask.pieces(picture, answer, pending, lang)
    return changed(parts | {"rail": rail}, seen)


def _rail(page: Page, ident: str | None, lang: Lang) -> list[Any]:
    choices = [(_run_line(run, lang), run.id) for run in page.follower.runs()[:MOST_RUNS]]
    chosen = ident if any(run == ident for _, run in choices) else None
    empty = "" if choices else html.empty("ui.rail.empty", lang)
    return [gr.update(choices=choices, value=chosen), empty]


def reopened(page: Page, ident: str) -> Notebook:
    """The notebook as the run's folder tells it."""
    try:
        place = folder.find(page.bench.settings.runs, ident)
    except NotFoundError:
        return Notebook()
    records = restore(place)
    if records is None:
        return Notebook(run=ident)
    info, ref, report, made = records
    config = dict(page.bench.run_config(ident))
    values = {knob: config[knob] for knob in (*FORM, "system") if knob in config}
    advised = {advice.knob: advice.value for advice in made.advice}
    return Notebook(
        model=info,
        data=ref,
        report=report,
        plan=made,
        system=config.get("system"),
        values={k: v for k, v in advised.items() if k != "system"} | values,
        max_length=int(config.get("max_length") or advised.get("max_length") or 2048),
        strategy=str(config.get("truncation_strategy", "delete")),
        run=ident,
    )


def _wire_demo(page: Page) -> None:
    def demo(
        notebook: Notebook, lang: Lang, name: str, author: str
    ) -> Iterator[tuple[Notebook, str]]:
        def work(tell: Tell) -> Notebook:
            going = next((run for run in page.follower.runs() if run.active), None)
            if going is not None:
                raise BusyError("run.one_at_a_time", run=going.id)
            tell(Sentence("ui.demo.preparing"), None)
            prepared = page.bench.prepare_demo({"NAME": name, "AUTHOR": author}, None, tell)
            info, ref, report, made, config = prepared
            run = page.bench.start_demo(*prepared)
            page.follower.refresh()
            values = {
                knob: value for knob, value in dict(config).items() if knob in (*FORM, "system")
            }
            return Notebook(
                model=info,
                data=ref,
                report=report,
                plan=made,
                values=values,
                system=config.get("system"),
                max_length=int(config.get("max_length") or 2048),
                run=run.id,
                notes={"demo": Note("ok", Sentence("ui.demo.started"))},
            )

        yield from page.steps(notebook, "demo", lang, work)

    event = page.parts["try"].click(
        demo,
        [page.notebook, page.lang, page.parts["name"], page.parts["author"]],
        [page.notebook, page.parts["note-demo"]],
        show_progress="hidden",
        concurrency_limit=4,
        api_name="demo",
    )
    page.show(event).then(_choices, page.notebook, _chosen(page), **SILENT)


def _wire_language(page: Page) -> None:
    words = page.words
    sides = [page.parts["answer-base"], page.parts["answer-tuned"]]

    def switched(notebook: Notebook, lang: Lang) -> list[Any]:
        return [*words.relabel(lang), *words.render(notebook, lang), *ask.empty_sides(lang)]

    page.lang.change(
        switched,
        [page.notebook, page.lang],
        [*words.widgets, *words.views, *sides],
        show_progress="hidden",
        queue=False,
        api_name="language",
        js="(nb, lang) => { document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'; return [nb, lang]; }",
    )


def _first_language(bench: Workbench, kept: str | None, request: gr.Request) -> Lang:
    """What this visitor chose last, else what the app was started with, else what the browser asks for."""
    if kept in LANGS:
        return as_lang(kept)
    if bench.settings.lang_chosen:
        return bench.settings.lang
    return as_lang(request.headers.get("accept-language", bench.settings.lang))


def _hero(lang: Lang) -> str:
    return (
        f'<div class="hero"><h1>{html.esc(say("ui.hero.title", lang))}</h1>'
        f"<p>{html.esc(say('ui.hero.text', lang))}</p></div>"
    )


def _strip(bench: Workbench, lang: Lang) -> str:
    here = bench.machine()
    gib = 1 << 30
    gpus = ", ".join(f"{g.name} {g.memory_total / gib:.0f} GB" for g in here.gpus)
    parts = (
        gpus or say("ui.strip.no_gpu", lang),
        say("ui.strip.cores", lang, n=here.cpu_count),
        say(
            "ui.strip.memory",
            lang,
            free=f"{here.memory_available / gib:.1f}",
            all=f"{here.memory_total / gib:.1f}",
        ),
        say("ui.strip.disk", lang, free=f"{here.disk_free / gib:.0f}"),
    )
    text = " · ".join(parts)
    return f'<div class="machine" title="{html.esc(text)}">{html.esc(text)}</div>'


def _run_line(run: Run, lang: Lang) -> str:
    state = say(f"state.{run.state}", lang)
    best = "" if run.best_eval_loss is None else f" · eval {run.best_eval_loss:.3f}"
    name = say("ui.rail.demo", lang) if run.demo else run.model.rstrip("/").rpartition("/")[2]
    return f"{run.id[4:13]} {name} · {state}{best}"


def _gradio_version() -> tuple[int, int]:
    major, minor, *_ = gr.__version__.split(".")
    return int(major), int(minor)
