"""Cell 1: which model."""

from __future__ import annotations

import gradio as gr

from tuner import presets
from tuner.export import code
from tuner.records import ModelInfo, Sentence
from tuner.texts import Lang, say
from tuner.ui import html
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page, Steps
from tuner.ui.work import Tell


def build(page: Page) -> None:
    """The cell."""
    with page.cell("1", "model"):
        with gr.Row():
            ref = page.words.make(
                gr.Dropdown,
                {"label": "ui.model.ref", "info": "ui.model.ref_info", "choices": _choices},
                value=presets.EMBEDDED_MODEL,
                allow_custom_value=True,
                scale=4,
                elem_id="model-ref",
            )
            look = page.words.make(
                gr.Button,
                {"value": "ui.model.look"},
                variant="primary",
                scale=1,
                elem_classes="act",
                elem_id="model-look",
            )
        page.note("model")
        page.words.view(gr.HTML, _card)
        with (
            page.words.make(gr.Accordion, {"label": "ui.model.template_fold"}, open=False),
            gr.Row(),
        ):
            model_type = page.words.make(
                gr.Textbox, {"label": "ui.model.type", "placeholder": "ui.model.automatic"}
            )
            template = page.words.make(
                gr.Dropdown,
                {"label": "ui.model.template", "info": "ui.model.template_info"},
                choices=[],
                value=None,
                allow_custom_value=True,
            )
        page.fold("python", lambda nb: code.model(nb.model) if nb.model else "")
    page.parts |= {"model": ref, "model_type": model_type, "template": template, "model-look": look}


def wire(page: Page) -> None:
    """What the cell's button does."""
    ref, model_type, template = (page.parts[n] for n in ("model", "model_type", "template"))

    def inspect(notebook: Notebook, lang: Lang, ref: str, model_type: str, template: str) -> Steps:
        # Should this fail, the page must not go on showing the model before it.
        start = notebook.replace(model=None, report=None, plan=None)
        yield from page.steps(
            start,
            "model",
            lang,
            lambda tell: looked(page, notebook, ref, model_type, template, tell),
        )

    event = page.parts["model-look"].click(
        inspect,
        [page.notebook, page.lang, ref, model_type, template],
        [page.notebook, page.parts["note-model"]],
        show_progress="hidden",
        concurrency_limit=4,
        api_name="inspect_model",
    )
    page.show(event).then(
        lambda nb: gr.update(choices=list(nb.model.candidates) if nb.model else []),
        page.notebook,
        template,
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )


def looked(
    page: Page,
    notebook: Notebook,
    ref: str,
    model_type: str | None,
    template: str | None,
    tell: Tell,
) -> Notebook:
    """The notebook with this model; what was measured with another one is put away."""
    info = page.bench.inspect_model(ref or "", model_type or None, template or None, tell)
    if notebook.model is None or (info.path, info.template) != (
        notebook.model.path,
        notebook.model.template,
    ):
        notebook = notebook.replace(report=None, plan=None)
    done = Note(
        "ok", Sentence(f"ui.model.check_{info.template_check}", {"template": info.template})
    )
    return notebook.replace(model=info).noted("model", done)


def _choices(lang: Lang) -> list[tuple[str, str]]:
    first = (say("ui.model.embedded", lang), presets.EMBEDDED_MODEL)
    rest = [(f"{p.id} · {html.billions(p.parameters)}", p.id) for p in presets.models()]
    return [first, *rest]


def _card(notebook: Notebook, lang: Lang) -> str:
    info = notebook.model
    if info is None:
        return html.empty("ui.model.empty", lang)
    return html.facts(
        [
            (say("ui.model.parameters", lang), html.billions(info.parameters), _source(info, lang)),
            (
                say("ui.model.context", lang),
                html.count(info.context_length),
                say("ui.tokens", lang),
            ),
            (say("ui.model.template", lang), info.template or "–", info.model_type or ""),
            (say("ui.model.licence", lang), info.licence or say("ui.unknown", lang), ""),
            (say("ui.model.architecture", lang), info.architecture or "–", ""),
        ]
    )


def _source(info: ModelInfo, lang: Lang) -> str:
    source = info.parameters_source or ""
    return say(source, lang) if source.startswith("model.") else source
