"""What the cells of one page share: the words, the workbench, the notebook, how to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from tuner.records import Sentence
from tuner.runs.follower import Follower
from tuner.texts import Lang
from tuner.ui import html
from tuner.ui.notebook import Cell, Note, Notebook
from tuner.ui.words import Words
from tuner.ui.work import Done, Tell, Told, explain, followed
from tuner.workbench import Workbench

#: A generator handler yields the notebook and its cell's word.
Steps = Iterator[tuple[Notebook, str]]


@dataclass
class Page:
    """One page under construction; its cells find here what they need of one another."""

    bench: Workbench
    follower: Follower
    words: Words
    lang: Any  #: the language switch
    notebook: Any  #: gr.State of a Notebook
    parts: dict[str, Any] = field(default_factory=dict)  #: widgets that other cells read or fill

    @contextmanager
    def cell(self, number: str, name: str) -> Iterator[None]:
        """A cell's frame and head."""
        with gr.Column(elem_classes="cell", elem_id=f"cell-{name}"):
            self.words.make(
                gr.HTML,
                {
                    "value": lambda lang: html.head(
                        number, f"ui.{name}.title", f"ui.{name}.question", lang
                    )
                },
            )
            yield

    def note(self, cell: Cell) -> Any:
        """The place where a cell speaks."""
        widget = self.words.view(gr.HTML, lambda nb, lang: html.note(nb.notes.get(cell), lang))
        self.parts[f"note-{cell}"] = widget
        return widget

    def fold(self, language: str, text: Callable[[Notebook], str]) -> None:
        """The cell's code, folded."""
        with self.words.make(gr.Accordion, {"label": "ui.code"}, open=False):
            self.words.view(
                gr.Code,
                lambda nb, _: text(nb),
                language=language,
                interactive=False,
                show_label=False,
                lines=3,
                wrap_lines=True,
            )

    def steps(
        self, notebook: Notebook, cell: Cell, lang: Lang, work: Callable[[Tell], Notebook]
    ) -> Steps:
        """Do ``work`` and show how it goes; an error becomes the cell's word."""
        start = notebook.noted(cell, Note("busy", Sentence("ui.working")))
        yield start, html.note(start.notes[cell], lang)
        try:
            for item in followed(work):
                if isinstance(item, Told):
                    said = Note("busy", item.sentence, item.share)
                    yield notebook.noted(cell, said), html.note(said, lang)
                elif isinstance(item, Done):
                    result: Notebook = item.value
                    yield result, html.note(result.notes.get(cell), lang)
        except Exception as error:
            said = Note("error", explain(error, self.bench.settings.logs))
            yield notebook.noted(cell, said), html.note(said, lang)

    def show(self, event: Any) -> Any:
        """After ``event``: everything that depends on the notebook, shown anew."""
        return event.then(
            self.words.render,
            [self.notebook, self.lang],
            self.words.views,
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
