"""Widgets that speak the reader's language, and change it at once.

Gradio's own I18n cannot be switched from Python and does not reach what
handlers return, so each widget whose words are ours is made through
:class:`Words`, which remembers how to say them, and each output that Python
computes is a view: a function from the notebook and the language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from tuner.texts import Lang, say
from tuner.ui.notebook import Notebook

#: The key of a sentence, or a function from the language to a property's value.
Said = str | Callable[[Lang], Any]
View = Callable[[Notebook, Lang], Any]


@dataclass
class Words:
    """All widgets with words of ours, and all views, of one page."""

    lang: Lang
    _widgets: list[tuple[Any, Mapping[str, Said]]] = field(default_factory=list)
    _views: list[tuple[Any, View]] = field(default_factory=list)

    def make(self, kind: Callable[..., Any], said: Mapping[str, Said], /, **settings: Any) -> Any:
        """A widget of ``kind``; ``said`` gives the properties that are words."""
        widget = kind(**_properties(said, self.lang), **settings)
        self._widgets.append((widget, said))
        return widget

    def view(self, kind: Callable[..., Any], render: View, /, **settings: Any) -> Any:
        """A widget whose value is rendered from the notebook."""
        first = render(Notebook(), self.lang)
        value = first.get("value") if isinstance(first, dict) else first
        widget = kind(value=value, **settings)
        self._views.append((widget, render))
        return widget

    @property
    def widgets(self) -> list[Any]:
        """Every widget whose words are ours."""
        return [widget for widget, _ in self._widgets]

    @property
    def views(self) -> list[Any]:
        """Every widget that is rendered from the notebook."""
        return [widget for widget, _ in self._views]

    def relabel(self, lang: Lang) -> list[Any]:
        """Updates for :attr:`widgets`. Values that people entered stay."""
        return [gr.update(**_properties(said, lang)) for _, said in self._widgets]

    def render(self, notebook: Notebook, lang: Lang) -> list[Any]:
        """Values for :attr:`views`."""
        return [render(notebook, lang) for _, render in self._views]


def _properties(said: Mapping[str, Said], lang: Lang) -> dict[str, Any]:
    return {name: how(lang) if callable(how) else say(how, lang) for name, how in said.items()}
