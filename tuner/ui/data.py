"""Cell 2: which rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from tuner import presets
from tuner.data import formats
from tuner.export import code
from tuner.records import DatasetReport, Sentence
from tuner.texts import Lang, say
from tuner.ui import html, ledger, quality
from tuner.ui.model import looked
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page, Steps
from tuner.ui.work import Tell
from tuner.workbench import DEFAULT_NAMES, DEMO_DATASET, estimate_in_words


def build(page: Page, with_files: bool) -> None:
    """The cell.

    ``with_files`` is off where Gradio's file components have known holes (below 6.16).
    """
    with page.cell("2", "data"):
        with gr.Row():
            train = page.words.make(
                gr.Dropdown,
                {"label": "ui.data.train", "info": "ui.data.train_info", "choices": _choices},
                value=[DEMO_DATASET],
                multiselect=True,
                allow_custom_value=True,
                scale=4,
                elem_id="data-train",
            )
            read = page.words.make(
                gr.Button,
                {"value": "ui.data.read"},
                variant="primary",
                scale=1,
                elem_classes="act",
                elem_id="data-read",
            )
        with gr.Row():
            validation = page.words.make(
                gr.Textbox,
                {"label": "ui.data.validation", "placeholder": "ui.data.validation_hint"},
                scale=3,
            )
            ratio = page.words.make(
                gr.Slider,
                {"label": "ui.data.split", "info": "ui.data.split_info"},
                minimum=0,
                maximum=0.5,
                step=0.01,
                value=0,
                scale=2,
            )
        with gr.Row():
            name = page.words.make(
                gr.Textbox, {"label": "ui.data.name"}, value=DEFAULT_NAMES["NAME"], elem_id="name"
            )
            author = page.words.make(
                gr.Textbox,
                {"label": "ui.data.author"},
                value=DEFAULT_NAMES["AUTHOR"],
                elem_id="author",
            )
            if with_files:
                page.parts["upload"] = page.words.make(
                    gr.UploadButton,
                    {"label": "ui.data.upload"},
                    elem_classes="act",
                    file_types=[".jsonl", ".json", ".csv", ".parquet", ".txt"],
                )
        with page.words.make(gr.Accordion, {"label": "ui.columns.title"}, open=False), gr.Row():
            for meaning in ("query", "response", "system"):
                page.parts[f"column-{meaning}"] = page.words.make(
                    gr.Textbox,
                    {"label": f"ui.columns.{meaning}", "placeholder": "ui.columns.hint"},
                    elem_id=f"column-{meaning}",
                )
            page.parts["agent_template"] = page.words.make(
                gr.Dropdown,
                {"label": "ui.columns.agent_template", "info": "ui.columns.agent_info"},
                choices=["", *formats.AGENT_TEMPLATES],
                value="",
                allow_custom_value=True,
                elem_id="agent-template",
            )
        page.note("data")
        page.words.view(gr.HTML, _card)
        quality.build(page, with_files)
        page.fold("python", lambda nb: code.data(nb.data) if nb.data else "")
    page.parts |= {
        "train": train,
        "validation": validation,
        "ratio": ratio,
        "name": name,
        "author": author,
        "data-read": read,
    }


def wire(page: Page) -> Any:
    """What the cell's buttons do; returns the event after which rows, lengths and plan are known."""
    train = page.parts["train"]
    page.show(quality.wire(page))
    if (upload := page.parts.get("upload")) is not None:

        def uploaded(file: str, chosen: list[str]) -> list[str]:
            kept = page.bench.settings.datasets / "uploads" / Path(file).name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, kept)
            return [
                *[c for c in chosen or () if not c.startswith(presets.EMBEDDED_PREFIX)],
                str(kept),
            ]

        upload.upload(uploaded, [upload, train], train, api_name="upload")

    def inspect(
        notebook: Notebook,
        lang: Lang,
        ref: str,
        model_type: str,
        template: str,
        train: list[str],
        validation: str,
        ratio: float,
        name: str,
        author: str,
        system: str,
        query: str,
        response: str,
        system_column: str,
        agent_template: str,
    ) -> Steps:
        def work(tell: Tell) -> Notebook:
            known = notebook
            if known.model is None or known.model.ref != ref:
                known = looked(page, known, ref, model_type, template, tell)
            named = {"query": query, "response": response, "system": system_column}
            columns = {
                column: meaning for meaning, box in named.items() if (column := (box or "").strip())
            }
            given = {"NAME": name, "AUTHOR": author}
            asked = Asked(train, validation, ratio, given, columns, agent_template or None, system)
            return measured(page, known, asked, tell)

        yield from page.steps(notebook, "data", lang, work)

    return page.parts["data-read"].click(
        inspect,
        [
            page.notebook,
            page.lang,
            page.parts["model"],
            page.parts["model_type"],
            page.parts["template"],
            train,
            page.parts["validation"],
            page.parts["ratio"],
            page.parts["name"],
            page.parts["author"],
            page.parts["knob-system"],
            page.parts["column-query"],
            page.parts["column-response"],
            page.parts["column-system"],
            page.parts["agent_template"],
        ],
        [page.notebook, page.parts["note-data"]],
        show_progress="hidden",
        concurrency_limit=4,
        api_name="inspect_data",
    )


@dataclass(frozen=True)
class Asked:
    """What the cell's boxes hold."""

    train: list[str]
    validation: str = ""
    ratio: float = 0.0
    values: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    agent_template: str | None = None
    system: str | None = None


def measured(page: Page, notebook: Notebook, asked: Asked, tell: Tell) -> Notebook:
    """The notebook with these rows read and measured, and the plan that they ask for."""
    model = notebook.model
    assert model is not None
    data, shape = page.bench.resolve_data(
        asked.train or [], (asked.validation or "").split(","), asked.ratio or 0.0, asked.values,
        asked.columns, asked.agent_template,
    )  # fmt: skip
    # The first look at a model takes the prompt that the plan will advise, so that lengths and
    # plan agree; from then on the box says it, and an empty box means none.
    used = asked.system or (model.default_system if notebook.plan is None else None)

    def on_rows(said: Mapping[str, Any]) -> None:
        done, total = said.get("done", 0), said.get("total", 0)
        share = done / total if total else None
        if said.get("estimate"):
            guessed.append(estimate_in_words(said["estimate"]))
        word = Sentence("ui.data.reading", {"done": done, "total": total})
        if guessed:
            word = Sentence("ui.data.reading_on", {"estimate": guessed[0], "reading": word})
        tell(word, share)

    guessed: list[Sentence] = []
    report = page.bench.inspect_data(
        model, data, shape, used, progress=on_rows, max_length=notebook.max_length
    )
    plan = page.bench.recommend(model, report)
    values = {advice.knob: advice.value for advice in plan.advice}
    values["system"] = used or ""
    done = Note("ok", Sentence("ui.data.done", {"rows": report.valid, "read": report.read}))
    changed = notebook.replace(
        data=data, report=report, findings=None, cleaned=(), max_length=values["max_length"]
    )
    if report.valid <= quality.WITHOUT_ASKING:
        changed = quality.checked(page, changed, tell)
    return (
        changed.replace(
            plan=plan,
            system=used,
            values=values,
            max_length=values["max_length"],
            strategy="delete",
        )
        .noted("data", done)
        .noted("plan", None)
        .noted("train", None)
    )


def _choices(lang: Lang) -> list[tuple[str, str]]:
    own = [
        (f"{d.title[lang]} · {say('ui.data.embedded', lang)}", d.ref)
        for d in presets.embedded().values()
    ]
    hub = [(f"{d.title[lang]} · {d.id}", d.id) for d in presets.datasets()]
    return own + hub


def _share(report: DatasetReport) -> str:
    """Of all tokens, those that count in the loss."""
    tokens = report.lengths.mean * report.valid
    return f"{report.trained_tokens / tokens:.1%}" if tokens else "–"


def _card(notebook: Notebook, lang: Lang) -> str:
    report = notebook.report
    if report is None:
        return html.empty("ui.data.empty", lang)
    shape = say("ui.data.from_hub", lang) if report.format == "hub" else report.format
    facts = html.facts(
        [
            (say("ui.data.format", lang), shape, ""),
            (say("ui.data.rows_read", lang), html.count(report.read), ""),
            (say("ui.data.rows_valid", lang), html.count(report.valid), ""),
            (say("ui.data.rows_lost", lang), html.count(report.problem_count), ""),
            (say("ui.data.rows_eval", lang), html.count(report.eval_rows), ""),
            (say("ui.data.trained", lang), _share(report), ""),
        ]
    )
    problems = ledger.lost_rows(report, lang)
    warning = ""
    if report.untrained:
        first = ", ".join(str(row) for row in report.untrained_rows)
        text = say("ui.data.untrained", lang, rows=report.untrained, first=first)
        warning = f'<div class="note warn">{html.esc(text)}</div>'
    if any(problem.reason.key == "reason.no_agent_template" for problem in report.problems):
        text = say("ui.data.no_agent_template", lang)
        warning += f'<div class="note warn" role="alert">{html.esc(text)}</div>'
    if len(report.channels) > 1:
        channels = ", ".join(f"{name} {count:,}" for name, count in report.channels.items())
        text = say("ui.data.channels", lang, channels=channels)
        warning += f'<p class="small">{html.esc(text)}</p>'
    shown = "".join(html.conversation(conversation) for conversation in report.preview)
    title = html.esc(say("ui.data.first", lang))
    return f'{facts}{warning}{problems}<div class="who" style="margin-top:16px">{title}</div><div class="preview" tabindex="0">{shown}</div>'
