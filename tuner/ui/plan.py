"""Cell 4: the knobs, each with what is recommended and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from tuner.errors import TunerError
from tuner.export import code
from tuner.knobs import FORM, KNOBS, Knob
from tuner.plan.recommend import steps_of, warnings
from tuner.records import Advice, Sentence
from tuner.texts import Lang, say
from tuner.ui import html, lengths
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page
from tuner.ui.work import explain


def build(page: Page) -> None:
    """The cell."""
    with page.cell("4", "plan"):
        page.words.view(gr.HTML, _summary)
        page.note("plan")
        with gr.Row():
            take = page.words.make(
                gr.Button, {"value": "ui.plan.take"}, variant="primary", elem_id="plan-take"
            )
        for flag in (*FORM, "system"):
            with gr.Row(elem_classes="knob"):
                with gr.Column(scale=2, min_width=220):
                    page.parts[f"knob-{flag}"] = _widget(page, KNOBS[flag])
                with gr.Column(scale=3, min_width=260):
                    page.words.view(gr.HTML, _reason(flag))
        with page.words.make(gr.Accordion, {"label": "ui.plan.yaml"}, open=False):
            page.words.view(
                gr.Code,
                lambda nb, _: yaml_of(page, nb),
                language="yaml",
                interactive=False,
                show_label=False,
                wrap_lines=True,
                elem_id="plan-yaml",
            )
            page.words.view(
                gr.Code,
                lambda nb, _: command_of(page, nb),
                language="shell",
                interactive=False,
                show_label=False,
                wrap_lines=True,
            )
        page.fold("shell", _code)

    page.parts["plan-take"] = take


def knobs(page: Page) -> list[Any]:
    """The widgets of the form: the knobs, then the system prompt."""
    return [page.parts[f"knob-{flag}"] for flag in (*FORM, "system")]


def wire(page: Page) -> None:
    """What the cell's button and its boxes do."""
    everything = knobs(page)

    def taken(notebook: Notebook) -> tuple[Any, ...]:
        if notebook.plan is None:
            note = Note("error", Sentence("ui.plan.read_first"))
            return (notebook.noted("plan", note), *(gr.skip() for _ in everything), gr.skip())
        values = {advice.knob: advice.value for advice in notebook.plan.advice}
        changed = notebook.replace(values=values, max_length=values["max_length"]).noted(
            "plan", None
        )
        return (changed, *fill(changed))

    page.show(
        page.parts["plan-take"].click(
            taken,
            page.notebook,
            [page.notebook, *everything, page.parts["slider"]],
            show_progress="hidden",
            queue=False,
            api_name="take_plan",
        )
    )

    def edited(notebook: Notebook, *values: Any) -> Notebook:
        changed = dict(zip((*FORM, "system"), values, strict=True))
        length = changed["max_length"]
        # An emptied box is not a limit of zero: the last good one stays on the picture.
        kept = (
            int(length) if isinstance(length, int | float) and length >= 1 else notebook.max_length
        )
        return notebook.replace(values=changed, max_length=kept)

    page.show(
        gr.on(
            [widget.change for widget in everything],
            edited,
            [page.notebook, *everything],
            page.notebook,
            show_progress="hidden",
            queue=False,
            trigger_mode="always_last",
            api_visibility="private",
        )
    )


def fill(notebook: Notebook) -> list[Any]:
    """Updates for the knobs, the system prompt and the slider, from the notebook's values."""
    values = notebook.values
    updates = [gr.update(value=values[flag]) if flag in values else gr.skip() for flag in FORM]
    updates.append(gr.update(value=values.get("system") or ""))
    report = notebook.report
    top = max(256, notebook.max_length, report.lengths.max if report else 0)
    updates.append(gr.update(value=notebook.max_length, maximum=1 << (top - 1).bit_length()))
    return updates


def problem(page: Page, notebook: Notebook) -> Sentence | None:
    """What is wrong with the values in the form; None if nothing is."""
    try:
        config_of(page, notebook)
    except TunerError as error:
        return Sentence(error.key, error.params)
    return None


def config_of(page: Page, notebook: Notebook) -> Any:
    """The notebook's config; None before there is a plan. Raises ``InputError`` on a bad value."""
    if notebook.model is None or notebook.data is None or notebook.report is None:
        return None
    values = checked(notebook.values)
    config = page.bench.config(notebook.model, notebook.data, notebook.report, values)
    return (
        config
        if notebook.strategy == "delete"
        else config.replace(truncation_strategy=notebook.strategy)
    )


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values as the knobs' types. Raises ``InputError`` for the first that is none."""
    return {
        flag: KNOBS[flag].parse(value) if flag != "system" else value
        for flag, value in values.items()
        if not (flag == "system" and not value)
    }


def yaml_of(page: Page, notebook: Notebook) -> str:
    """The YAML, or nothing while a value is wrong (the cell says which)."""
    try:
        config = config_of(page, notebook)
    except TunerError:
        return ""
    return config.to_yaml() if config else ""


def command_of(page: Page, notebook: Notebook) -> str:
    """The ``swift sft`` command line."""
    try:
        config = config_of(page, notebook)
    except TunerError:
        return ""
    return code.train(config) if config else ""


def _widget(page: Page, knob: Knob) -> Any:
    said = {"label": lambda lang: knob.label[lang], "info": lambda lang: knob.help[lang]}
    settings = {"elem_id": f"knob-{knob.flag}"}
    if knob.kind == "choice":
        return page.words.make(
            gr.Dropdown, said, choices=list(knob.choices), value=knob.default, **settings
        )
    if knob.kind == "text":
        return page.words.make(gr.Textbox, said, lines=2, value="", **settings)
    value = knob.default
    if knob.flag == "gradient_accumulation_steps":
        value = 16
    if knob.flag == "max_length":
        value = 2048
    return page.words.make(gr.Number, said, value=value, step=None, **settings)


def _reason(flag: str) -> Any:
    def render(notebook: Notebook, lang: Lang) -> str:
        advice = _advice(notebook, flag)
        if advice is None:
            return ""
        shown = f"{advice.value:g}" if isinstance(advice.value, float) else str(advice.value or "–")
        mine = notebook.values.get(flag)
        differs = mine is not None and str(mine) != str(advice.value) and mine != advice.value
        off = ""
        if differs:
            off = f'<span class="off">{html.esc(say("ui.plan.differs", lang))}</span> '
        source = say("ui.plan.source", lang, source=advice.source)
        kind = " text" if KNOBS[flag].kind == "text" else ""
        return (
            f'<div class="advice{kind}"><b>{html.esc(shown)}</b><span>{off}'
            f"{html.esc(advice.why.say(lang))} "
            f'<span class="src">{html.esc(source)}</span></span></div>'
        )

    return render


def _advice(notebook: Notebook, flag: str) -> Advice | None:
    plan = notebook.plan
    return next((a for a in plan.advice if a.knob == flag), None) if plan else None


def _summary(notebook: Notebook, lang: Lang) -> str:
    found = lengths.of(notebook.report) if notebook.report else None
    if notebook.plan is None or found is None:
        return html.empty("ui.plan.empty", lang)
    try:
        values = checked(notebook.values)
    except TunerError as error:
        return html.note(Note("error", Sentence(error.key, error.params)), lang)
    left = found.kept(values["max_length"], notebook.strategy)
    steps = steps_of(values, left)
    batch = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    facts = html.facts(
        [
            (
                say("ui.plan.steps", lang),
                html.count(steps.steps),
                say("ui.plan.steps_small", lang, n=steps.steps_per_epoch),
            ),
            (say("ui.plan.batch", lang), html.count(batch), say("ui.plan.batch_small", lang)),
            (say("ui.plan.rows", lang), html.count(steps.train_rows), ""),
            (
                say("ui.plan.tokens", lang),
                html.count(steps.tokens),
                say("ui.plan.tokens_small", lang),
            ),
            (
                say("ui.plan.evaluations", lang),
                html.count(steps.evaluations),
                say("ui.plan.eval_small", lang, n=steps.eval_rows),
            ),
        ]
    )
    warned = "".join(
        f'<div class="note warn">{html.esc(w.say(lang))}</div>' for w in warnings(values, steps)
    )
    if (notebook.values.get("system") or None) != notebook.system:
        warned += f'<div class="note warn">{html.esc(say("ui.plan.system_changed", lang))}</div>'
    return facts + warned


def _code(notebook: Notebook) -> str:
    if notebook.model is None or notebook.data is None:
        return ""
    return code.plan(notebook.model, notebook.data, notebook.system)


def refuse(page: Page, notebook: Notebook, error: Exception) -> Notebook:
    """The notebook with the train cell saying why it does not start."""
    return notebook.noted("train", Note("error", explain(error, page.bench.settings.logs)))
