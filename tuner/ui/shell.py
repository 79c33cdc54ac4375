"""The page put together: strip, rail, hero, cells, the language switch and the one timer."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

import gradio as gr

from tuner import presets
from tuner.errors import BusyError, NotFoundError, TunerError
from tuner.knobs import FORM
from tuner.records import Run, Sentence
from tuner.runs import folder
from tuner.runs.follower import Follower
from tuner.texts import Lang, say
from tuner.ui import ask, data, html, lengths, model, plan, train
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.work import Tell
from tuner.ui.words import Words
from tuner.workbench import Workbench, restore

TICK_SECONDS: Final = 1.5
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
    lang = bench.settings.lang
    answers = DemoAnswers(bench)
    follower = Follower(bench.settings.runs, answers.on_end)
    words = Words(lang)
    with gr.Blocks(title=say("app.title", lang), analytics_enabled=False) as blocks:
        with words.make(gr.Sidebar, {"label": "ui.rail.title"}, open=False, width=300):
            words.make(gr.HTML, {"value": lambda lang: f"<h3>{html.esc(say('ui.rail.title', lang))}</h3>"})
            rail = gr.Radio(choices=[], show_label=False, container=False, elem_id="rail")
            rail_empty = gr.HTML(html.empty("ui.rail.empty", lang))
        with gr.Row(elem_id="strip"):
            strip = words.view(gr.HTML, lambda _, lang: _strip(bench, lang))
            switch = gr.Radio(
                [("中文", "zh"), ("English", "en")], value=lang, show_label=False, container=False,
                elem_id="lang", min_width=150, scale=0,
            )  # fmt: skip
        page = Page(bench, follower, words, switch, gr.State(Notebook()))
        with gr.Column(elem_id="hero"):
            words.make(gr.HTML, {"value": _hero})
            with gr.Row():
                try_now = words.make(
                    gr.Button, {"value": "ui.demo.try"}, variant="primary", size="lg", scale=0,
                    min_width=220, elem_id="try",
                )  # fmt: skip
            page.note("demo")
        model.build(page)
        data.build(page, with_files=_gradio_version() >= FILES_SINCE)
        lengths.build(page)
        plan.build(page)
        train.build(page)
        ask.build(page)
        seen = gr.State("")
        timer = gr.Timer(TICK_SECONDS)

        # All widgets are there: from here on they are wired.
        form = [*plan.knobs(page), page.parts["slider"]]
        for cell in (model, lengths, plan, train, ask):
            cell.wire(page)
        page.show(data.wire(page)).then(
            plan.fill, page.notebook, form, show_progress="hidden", queue=False, api_visibility="private"
        )
        _wire_demo(page, try_now, form)
        _wire_language(page, strip)
        live = [
            seen, page.parts["run-status"], page.parts["run-loss"], page.parts["run-details"],
            page.parts["run-log"], page.parts["demo-answers"], page.parts["checkpoint"], rail, rail_empty,
        ]  # fmt: skip

        def tick(notebook: Notebook, lang: Lang, log_scale: bool, seen: str) -> list[Any]:
            return look(page, answers, notebook.run, lang, log_scale, seen)

        gr.on(
            [timer.tick, page.parts["log-scale"].change, page.lang.change, page.notebook.change],
            tick, [page.notebook, page.lang, page.parts["log-scale"], seen], live,
            show_progress="hidden", queue=False, trigger_mode="always_last", api_visibility="private",
        )  # fmt: skip

        def picked(notebook: Notebook, ident: str) -> Notebook:
            return reopened(page, ident) if ident and ident != notebook.run else notebook

        page.show(
            rail.input(
                picked, [page.notebook, rail], page.notebook, show_progress="hidden", queue=False,
                api_name="open_run",
            )  # fmt: skip
        ).then(plan.fill, page.notebook, form, show_progress="hidden", queue=False, api_visibility="private")

        def opened() -> Notebook:
            follower.refresh()
            runs = follower.runs()
            for run in runs:
                answers.on_end(run) if folder.document(run.folder, "answers") is None else None
            chosen = next((run for run in runs if run.active), runs[0] if runs else None)
            return reopened(page, chosen.id) if chosen else Notebook()

        page.show(
            blocks.load(opened, None, page.notebook, show_progress="hidden", queue=False, api_visibility="private")
        ).then(
            lambda nb: [*plan.fill(nb), nb.model.ref if nb.model else gr.skip()],
            page.notebook, [*form, page.parts["model"]],
            show_progress="hidden", queue=False, api_visibility="private",
        )  # fmt: skip
    return blocks, follower


def look(
    page: Page, answers: DemoAnswers, ident: str | None, lang: Lang, log_scale: bool, seen: str
) -> list[Any]:
    """One look at the run and the rail: what has changed, and skips for what has not."""
    known = json.loads(seen) if seen else {}
    picture = page.follower.picture(ident) if ident else None
    shown = train.shown(page, ident, log_scale, lang, known.get("run", ""))
    answer, pending = answers.get(picture.run) if picture else (None, False)
    answer_token = f"{ident}|{answer is not None}|{pending}|{lang}"
    checkpoints = ask.checkpoint_choices(picture.run.folder if picture else None)
    checkpoint_token = f"{ident}|{len(checkpoints)}|{checkpoints[:1]}"
    rail_token = f"{page.follower.list_version}|{lang}|{ident}"
    tokens = {
        "run": shown.token if shown else known.get("run", ""),
        "answers": answer_token, "checkpoints": checkpoint_token, "rail": rail_token,
    }  # fmt: skip
    if tokens == known:
        return [gr.skip()] * 9
    out: list[Any] = [json.dumps(tokens)]
    out += [shown.status, shown.loss, shown.details, shown.log] if shown else [gr.skip()] * 4
    if answer_token == known.get("answers"):
        out.append(gr.skip())
    else:
        out.append(ask.demo_answers(answer, pending, lang))
    if checkpoint_token == known.get("checkpoints"):
        out.append(gr.skip())
    else:
        newest = checkpoints[0][1] if checkpoints else None
        out.append(gr.update(choices=checkpoints, value=newest))
    if rail_token == known.get("rail"):
        out += [gr.skip(), gr.skip()]
    else:
        choices = [(_run_line(run, lang), run.id) for run in page.follower.runs()[:100]]
        chosen = ident if any(run == ident for _, run in choices) else None
        out.append(gr.update(choices=choices, value=chosen))
        out.append("" if choices else html.empty("ui.rail.empty", lang))
    return out


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
        model=info, data=ref, report=report, plan=made, system=config.get("system"),
        values={k: v for k, v in advised.items() if k != "system"} | values,
        max_length=int(config.get("max_length") or advised.get("max_length") or 2048),
        strategy=str(config.get("truncation_strategy", "delete")), run=ident,
    )  # fmt: skip


def _wire_demo(page: Page, button: Any, form: list[Any]) -> None:
    def demo(notebook: Notebook, lang: Lang, name: str, author: str) -> Iterator[tuple[Notebook, str]]:
        def work(tell: Tell) -> Notebook:
            going = next((run for run in page.follower.runs() if run.active), None)
            if going is not None:
                raise BusyError("run.one_at_a_time", run=going.id)
            tell(Sentence("ui.demo.preparing"), None)
            prepared = page.bench.prepare_demo({"NAME": name, "AUTHOR": author}, None, tell)
            info, ref, report, made, config = prepared
            run = page.bench.start_demo(*prepared)
            page.follower.refresh()
            values = {knob: value for knob, value in dict(config).items() if knob in (*FORM, "system")}
            return Notebook(
                model=info, data=ref, report=report, plan=made, values=values,
                system=config.get("system"), max_length=int(config.get("max_length") or 2048),
                run=run.id, notes={"demo": Note("ok", Sentence("ui.demo.started"))},
            )  # fmt: skip

        yield from page.steps(notebook, "demo", lang, work)

    event = button.click(
        demo, [page.notebook, page.lang, page.parts["name"], page.parts["author"]],
        [page.notebook, page.parts["note-demo"]],
        show_progress="hidden", concurrency_limit=4, api_name="demo",
    )  # fmt: skip
    page.show(event).then(
        lambda nb: [*plan.fill(nb), presets.EMBEDDED_MODEL, ["embedded/identity"]],
        page.notebook, [*form, page.parts["model"], page.parts["train"]],
        show_progress="hidden", queue=False, api_visibility="private",
    )  # fmt: skip


def _wire_language(page: Page, strip: Any) -> None:
    words = page.words
    sides = [page.parts["answer-base"], page.parts["answer-tuned"]]

    def switched(notebook: Notebook, lang: Lang) -> list[Any]:
        return [*words.relabel(lang), *words.render(notebook, lang), *ask.empty_sides(lang)]

    page.lang.change(
        switched, [page.notebook, page.lang], [*words.widgets, *words.views, *sides],
        show_progress="hidden", queue=False, api_name="language",
        js="(nb, lang) => { document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'; return [nb, lang]; }",
    )  # fmt: skip


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
        say("ui.strip.memory", lang, free=f"{here.memory_available / gib:.1f}", all=f"{here.memory_total / gib:.1f}"),
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
