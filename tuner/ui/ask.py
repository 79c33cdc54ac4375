"""Cell 6: base and tuned model, asked the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from tuner import chat
from tuner.errors import TunerError
from tuner.export import code
from tuner.records import Sentence
from tuner.runs import folder
from tuner.runs.follower import Picture
from tuner.texts import Lang, say
from tuner.ui import html
from tuner.ui.live import Piece
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.work import explain


def build(page: Page) -> None:
    """The cell."""
    with page.cell("6", "try"):
        page.parts["demo-answers"] = gr.HTML(elem_id="demo-answers")
        with gr.Row(equal_height=True):
            prompt = page.words.make(
                gr.Textbox,
                {"label": "ui.try.prompt", "placeholder": "ui.try.hint"},
                lines=2,
                scale=3,
                elem_id="prompt",
            )
            checkpoint = page.words.make(
                gr.Dropdown,
                {"label": "ui.try.checkpoint"},
                choices=[],
                value=None,
                scale=2,
                elem_id="checkpoint",
            )
        with gr.Row():
            ask = page.words.make(
                gr.Button, {"value": "ui.try.ask"}, variant="primary", elem_id="ask"
            )
            stop = page.words.make(gr.Button, {"value": "ui.try.stop"}, elem_id="ask-stop")
        page.note("try")
        with gr.Row():
            base = gr.HTML(_side("base", "", page.words.lang), elem_id="answer-base")
            tuned = gr.HTML(_side("tuned", "", page.words.lang), elem_id="answer-tuned")
        page.fold("python", lambda nb: _code(page, nb))
    page.parts |= {
        "checkpoint": checkpoint,
        "answer-base": base,
        "answer-tuned": tuned,
        "prompt": prompt,
        "ask": ask,
        "ask-stop": stop,
    }


def wire(page: Page) -> None:
    """What the cell's buttons do."""
    prompt, checkpoint = page.parts["prompt"], page.parts["checkpoint"]

    def answered(
        notebook: Notebook, lang: Lang, prompt: str, checkpoint: str | None
    ) -> Iterator[tuple[Notebook, str, Any, Any]]:
        def view(note: Note | None, said: chat.Answers | None) -> tuple[Notebook, str, Any, Any]:
            sides: tuple[Any, Any] = (gr.skip(), gr.skip())
            if said is not None:
                sides = (_side("base", said.base, lang), _side("tuned", said.tuned, lang))
            return notebook.noted("try", note), html.note(note, lang), *sides

        try:
            if notebook.run is None or not checkpoint:
                yield view(Note("error", Sentence("ui.try.no_checkpoint")), None)
                return
            yield view(Note("busy", Sentence("ui.try.thinking")), chat.Answers())
            place = folder.find(page.bench.settings.runs, notebook.run)
            path = place / checkpoint
            known = {Path(found) for found in folder.checkpoints(place)}
            if path not in known:
                yield view(Note("error", Sentence("ui.try.no_checkpoint")), None)
                return
            config = page.bench.run_config(notebook.run)
            for said in chat.stream(page.bench.pool, config, str(path), prompt or ""):
                yield view(
                    Note("busy", Sentence("ui.try.loading" if said.loading else "ui.try.thinking")),
                    said,
                )
            yield view(None, said)
        except Exception as error:
            yield view(Note("error", explain(error, page.bench.settings.logs)), None)

    sides = [page.parts["answer-base"], page.parts["answer-tuned"]]
    outputs = [page.notebook, page.parts["note-try"], *sides]
    gr.on(
        [page.parts["ask"].click, prompt.submit],
        answered,
        [page.notebook, page.lang, prompt, checkpoint],
        outputs,
        show_progress="hidden",
        concurrency_limit=4,
        api_name="ask",
    )
    page.parts["ask-stop"].click(
        lambda: page.bench.pool.worker("chat").cancel(),
        None,
        None,
        queue=False,
        show_progress="hidden",
        api_name="stop_answer",
    )


def pieces(
    picture: Picture | None, answers: dict[str, Any] | None, pending: bool, lang: Lang
) -> dict[str, Piece]:
    """The demo's answers, and the checkpoints to choose from."""
    ident = picture.run.id if picture else None
    choices = _checkpoints(picture.run.folder) if picture else []

    def checkpoints() -> list[Any]:
        return [gr.update(choices=choices, value=choices[0][1] if choices else None)]

    return {
        "answers": Piece(
            f"{ident}|{answers is not None}|{pending}|{lang}",
            1,
            lambda: [_demo_answers(answers, pending, lang)],
        ),
        "checkpoints": Piece(f"{ident}|{choices}", 1, checkpoints),
    }


def _checkpoints(place: Path) -> list[tuple[str, str]]:
    """Complete checkpoints of a run, newest first: their step, and their path inside the run."""
    paths = [Path(found) for found in reversed(folder.checkpoints(place))]
    return [(path.name, str(path.relative_to(place))) for path in paths]


def _demo_answers(answers: dict[str, Any] | None, pending: bool, lang: Lang) -> str:
    """The demo's questions with both answers; a word while they are on their way."""
    if answers is None:
        return html.note(Note("busy", Sentence("ui.try.demo_pending")), lang) if pending else ""
    rows = zip(answers["prompts"], answers["base"], answers["tuned"], strict=True)
    columns = [say(f"ui.try.{name}", lang) for name in ("question_column", "base", "tuned")]
    return html.table(columns, list(rows))


def _side(which: str, text: str, lang: Lang) -> str:
    who = html.esc(say(f"ui.try.{which}", lang))
    return f'<div class="who">{who}</div><div class="answer {which}">{html.esc(text)}</div>'


def empty_sides(lang: Lang) -> tuple[str, str]:
    """Both answers, empty."""
    return _side("base", "", lang), _side("tuned", "", lang)


def _code(page: Page, notebook: Notebook) -> str:
    if notebook.run is None:
        return ""
    try:
        checkpoint = page.bench.latest_checkpoint(notebook.run)
        config = page.bench.run_config(notebook.run)
    except TunerError:
        return ""
    return code.answers(config, checkpoint, ["Who are you?", "你是谁？"])
