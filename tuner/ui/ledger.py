"""The ledger as a table, and the rows that were lost, each with its reason and its text."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.data.lengths import Lengths
from tuner.records import DatasetReport, LedgerLine, RowProblem
from tuner.texts import Lang, say
from tuner.ui import html

#: Lost rows that the page shows; the report has more, the folder all.
SHOWN: int = 50


def table(lines: Sequence[LedgerLine], lang: Lang) -> str:
    """Stages from the file to the split, each with what it lost."""
    rows = []
    for line in lines:
        if line.strategy is not None or (line.stage in ("chosen", "encoded") and not line.lost):
            continue
        lost = html.count(-line.lost) if line.lost else ""
        rows.append((say(f"ui.ledger.{line.stage}", lang), html.count(line.rows), lost))
    columns = [say(f"ui.ledger.{name}", lang) for name in ("stage", "rows", "lost")]
    return html.table(columns, rows, frozenset({1, 2}))


def strategies(
    lines: Sequence[LedgerLine], lengths: Lengths, max_length: int, chosen: str, lang: Lang
) -> str:
    """What ``max_length`` leaves with each truncation strategy, down to optimizer steps."""
    steps = {line.strategy: line.rows for line in lines if line.stage == "steps"}
    rows = []
    for strategy in ("delete", "right", "left"):
        kept = lengths.kept(max_length, strategy)
        share = kept.tokens_lost / kept.tokens if kept.tokens else 0
        mark = "● " if strategy == chosen else ""
        rows.append(
            (
                mark + say(f"ui.lengths.{strategy}", lang),
                html.count(kept.train_rows),
                html.count(kept.over if strategy == "delete" else 0),
                html.count(lengths.answers_cut(max_length, strategy)),
                f"{html.count(kept.tokens_lost)} ({share:.1%})",
                html.count(steps.get(strategy)),
            )
        )
    names = ("strategy", "kept", "dropped", "cut", "tokens_lost", "steps")
    columns = [say(f"ui.lengths.{name}", lang) for name in names]
    return html.table(columns, rows, frozenset({1, 2, 3, 4, 5}))


def lost_rows(report: DatasetReport, lang: Lang) -> str:
    """Each lost row opens to its text."""
    if not report.problem_count:
        return ""
    shown = report.problems[:SHOWN]
    title = say("ui.ledger.lost_rows", lang, rows=report.problem_count, shown=len(shown))
    return (
        f'<h3 class="who">{html.esc(title)}</h3><div class="lost">'
        + "".join(_lost(problem, lang) for problem in shown)
        + "</div>"
    )


def _lost(problem: RowProblem, lang: Lang) -> str:
    where = say("ui.ledger.row", lang, row=problem.row)
    return (
        f"<details><summary><b>{html.esc(where)}</b> {html.esc(problem.reason.say(lang))}</summary>"
        f"<pre>{html.esc(problem.text)}</pre></details>"
    )
