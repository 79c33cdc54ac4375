"""Small pieces of HTML. Whatever a user or a file supplied is escaped here, and only here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from tuner.texts import Lang, say
from tuner.ui.notebook import Note


def esc(value: object) -> str:
    """Text as text, whatever it holds."""
    return html.escape(str(value), quote=True)


def head(number: str, title: str, question: str, lang: Lang) -> str:
    """A cell's head: its number, its title, the question that it answers."""
    return (
        f'<div class="cell-head"><span class="n">[{esc(number)}]</span>'
        f"<h2>{esc(say(title, lang))}</h2><p>{esc(say(question, lang))}</p></div>"
    )


def note(said: Note | None, lang: Lang) -> str:
    """A cell's last word; nothing if it has none."""
    if said is None:
        return ""
    bar = ""
    if said.kind == "busy":
        width = 100 if said.share is None else round(100 * said.share)
        bar = f'<div class="bar"><i style="width:{width}%"></i></div>'
    role = "alert" if said.kind == "error" else "status"
    return f'<div class="note {said.kind}" role="{role}">{esc(said.sentence.say(lang))}{bar}</div>'


def empty(key: str, lang: Lang) -> str:
    """What will come here."""
    return f'<div class="empty">{esc(say(key, lang))}</div>'


def facts(pairs: Iterable[tuple[str, object, str]]) -> str:
    """Named values: label, value, small print."""
    items = "".join(
        f"<div><dt>{esc(label)}</dt><dd>{esc(value)}"
        + (f"<small>{esc(small)}</small>" if small else "")
        + "</dd></div>"
        for label, value, small in pairs
    )
    return f'<dl class="facts">{items}</dl>'


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: frozenset[int] = frozenset()
) -> str:
    """A table; the columns in ``numbers`` are aligned right."""

    def cell(tag: str, i: int, value: object) -> str:
        css = ' class="num"' if i in numbers else ""
        return f"<{tag}{css}>{esc(value)}</{tag}>"

    top = "".join(cell("th", i, name) for i, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(cell("td", i, value) for i, value in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="t"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def conversation(messages: Iterable[Mapping[str, str]]) -> str:
    """A conversation as chat bubbles."""
    bubbles = ""
    for message in messages:
        role = message["role"]
        css = role if role in ("user", "assistant", "system") else "tool"
        text = message["content"]
        prefix = "" if css in ("user", "assistant") else f"{role}: "
        bubbles += f'<div class="bubble {css}">{esc(prefix + text)}</div>'
    return f'<div class="chat">{bubbles}</div>'


def count(value: float | None) -> str:
    """A number as people write it; a dash when it is unknown."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def billions(value: int | None) -> str:
    """A parameter count in the field's own units."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} B" if value >= 10**9 else f"{value / 1e6:.0f} M"


def duration(seconds: float | None, lang: Lang) -> str:
    """Seconds in words."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return say("ui.seconds", lang, n=whole)
    if whole < 3600:
        return say("ui.minutes", lang, m=whole // 60, s=whole % 60)
    return say("ui.hours", lang, h=whole // 3600, m=whole % 3600 // 60)
