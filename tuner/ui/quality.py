"""What a person should look at in the rows, and the button that writes a cleaned copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from tuner.data import cleaning
from tuner.records import DataFinding, Sentence
from tuner.texts import Lang, say
from tuner.ui import html
from tuner.ui.notebook import Note, Notebook
from tuner.ui.page import Page, Steps
from tuner.ui.work import Tell

#: Rows up to which quality is looked at without being asked: a few seconds of work.
WITHOUT_ASKING: int = 20_000


def build(page: Page, with_files: bool) -> None:
    """Findings, and the controls of a cleaned copy; part of the data cell."""
    page.words.view(gr.HTML, shown)
    with page.words.make(gr.Accordion, {"label": "ui.quality.clean_title"}, open=False):
        drop = page.words.make(
            gr.CheckboxGroup,
            {"label": "ui.quality.drop", "choices": _reasons},
            value=list(cleaning.DEFAULT_DROP),
        )
        with gr.Row():
            check = page.words.make(gr.Button, {"value": "ui.quality.check"}, elem_classes="act")
            clean = page.words.make(
                gr.Button, {"value": "ui.quality.clean"}, elem_classes="act", elem_id="clean"
            )
        if with_files:
            page.parts["cleaned"] = gr.Files(
                visible=False, show_label=False, interactive=False, elem_id="cleaned"
            )
    page.parts |= {"drop": drop, "quality": check, "clean": clean}


def wire(page: Page) -> Any:
    """What the buttons do; returns the event after which findings are known."""

    def checking(notebook: Notebook, lang: Lang) -> Steps:
        yield from page.steps(notebook, "data", lang, lambda tell: checked(page, notebook, tell))

    def cleaning_(notebook: Notebook, lang: Lang, drop: list[str]) -> Steps:
        def work(tell: Tell) -> Notebook:
            return _cleaned(page, checked(page, notebook, tell), drop, tell)

        yield from page.steps(notebook, "data", lang, work)

    outputs = [page.notebook, page.parts["note-data"]]
    looked = page.parts["quality"].click(
        checking, [page.notebook, page.lang], outputs, show_progress="hidden",
        concurrency_limit=2, api_name="check_quality",
    )  # fmt: skip
    made = page.parts["clean"].click(
        cleaning_, [page.notebook, page.lang, page.parts["drop"]], outputs, show_progress="hidden",
        concurrency_limit=2, api_name="clean_data",
    )  # fmt: skip
    if (files := page.parts.get("cleaned")) is not None:
        made.then(
            lambda nb: gr.update(value=list(nb.cleaned) or None, visible=bool(nb.cleaned)),
            page.notebook, files, show_progress="hidden", queue=False, api_visibility="private",
        )  # fmt: skip
    page.show(made)
    return looked


def checked(page: Page, notebook: Notebook, tell: Tell) -> Notebook:
    """The notebook with its findings."""
    if notebook.report is None or notebook.findings is not None:
        return notebook if notebook.report else notebook.noted("data", _first())

    def on_rows(said: Mapping[str, Any]) -> None:
        done, total = said.get("done", 0), said.get("total", 0)
        share = done / total if total else None
        tell(Sentence("ui.quality.checking", {"done": done, "total": total}), share)

    found = tuple(page.bench.findings(notebook.report, on_rows))
    word = Sentence("ui.quality.found", {"count": len(found)})
    return notebook.replace(findings=found).noted("data", Note("ok", word))


def _cleaned(page: Page, notebook: Notebook, drop: Sequence[str], tell: Tell) -> Notebook:
    report = notebook.report
    if report is None:
        return notebook
    folder = page.bench.settings.datasets / "cleaned"
    folder.mkdir(parents=True, exist_ok=True)

    def on_rows(said: Mapping[str, Any]) -> None:
        done, total = said.get("done", 0), said.get("total", 0)
        tell(Sentence("ui.quality.cleaning", {"done": done, "total": total}), None)

    out = _free(folder, notebook.data.train[0] if notebook.data else "data")
    made = page.bench.clean(report, out, list(drop), notebook.max_length, on_rows)
    word = Sentence(
        "ui.quality.cleaned",
        {"kept": made["kept"], "removed": made["removed"], "file": made["out"]},
    )
    files = (made["out"], made["removed_list"])
    return notebook.replace(cleaned=files).noted("data", Note("ok", word))


def _free(folder: Path, name: str) -> Path:
    """A file name that nothing has yet."""
    stem = Path(name.rpartition("#")[0] or name).stem
    places = (folder / f"{stem}{n}.jsonl" for n in ["", *(f"-{i}" for i in range(2, 10_000))])
    return next(place for place in places if not place.exists())


def _first() -> Note:
    return Note("error", Sentence("ui.quality.read_first"))


def shown(notebook: Notebook, lang: Lang) -> str:
    """The findings as cards: what was seen, what to do, rows to look at."""
    if notebook.report is None:
        return ""
    title = f'<h3 class="who">{html.esc(say("ui.quality.title", lang))}</h3>'
    if notebook.findings is None:
        return title + html.empty("ui.quality.unknown", lang)
    if not notebook.findings:
        return title + html.empty("ui.quality.none", lang)
    order = {"serious": 0, "warning": 1, "note": 2}
    ranked = sorted(notebook.findings, key=lambda finding: order[finding.severity])
    return title + "".join(_card(finding, lang) for finding in ranked)


def _card(finding: DataFinding, lang: Lang) -> str:
    severity = say(f"ui.quality.{finding.severity}", lang)
    examples = "".join(
        "<li><b>"
        + html.esc(say("ui.quality.where", lang, data=Path(e.data).name, row=e.row))
        + f"</b> {html.esc(e.text)}</li>"
        for e in finding.examples
    )
    more = (
        f"<details><summary>{html.esc(say('ui.quality.examples', lang))}</summary><ul>{examples}</ul></details>"
        if examples
        else ""
    )
    return (
        f'<div class="finding {finding.severity}"><span class="tag">{html.esc(severity)}</span> '
        f"<b>{html.esc(finding.what.say(lang))}</b><p>{html.esc(finding.advice.say(lang))}</p>{more}</div>"
    )


def _reasons(lang: Lang) -> list[tuple[str, str]]:
    return [(say(f"ui.quality.reason.{name}", lang), name) for name in cleaning.REASONS]


CSS = """
.finding { border: 1px solid var(--border-color-primary); border-left-width: 4px; border-radius: 8px; padding: 8px 12px; margin: 8px 0; }
.finding.serious { border-left-color: #d9534f; }
.finding.warning { border-left-color: #d98a1f; }
.finding.note { border-left-color: #4f57d9; }
.finding p { margin: 4px 0 0; color: var(--body-text-color-subdued); }
.finding .tag { font-size: 12px; padding: 1px 8px; border-radius: 10px; border: 1px solid var(--border-color-primary); }
.finding summary, .lost summary { cursor: pointer; font-size: 13px; overflow-wrap: anywhere; }
.finding ul { margin: 6px 0 0; padding-left: 18px; font-size: 13px; overflow-wrap: anywhere; }
.lost { max-height: 320px; overflow-y: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 4px 12px; }
.lost details { padding: 4px 0; border-bottom: 1px solid var(--border-color-primary); }
.lost details:last-child { border-bottom: 0; }
.lost pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; margin: 4px 0; }
.t td.num { white-space: nowrap; }
@media (max-width: 640px) { .t td:first-child:not(.num) { min-width: 6.5em; } }
.gap { height: 12px; }
.tall { max-height: 420px; overflow-y: auto; }
p.small { font-size: 13px; color: var(--body-text-color-subdued); margin: 8px 0 0; }
h3.who { font-size: 14px; margin: 16px 0 4px; }
"""
