"""Places in a text that somebody meant to fill in: ``{{name}}``, ``[INSERT …]``, ``TODO:``.

What stands in a block of code is left alone: templates are at home there.
"""

from __future__ import annotations

import re
from typing import Final

_HINT: Final = re.compile(r"\{\{|[\[【<（(]|T(?:ODO|BD)|FIXME|待|orem ipsum|OREM IPSUM")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_PLACEHOLDER: Final = re.compile(
    r"""
    # {{name}}, and not a brace of LaTeX
    (?<![0-9A-Za-z\\^_{}$]) \{\{ \s* [^\W\d_][\w.\- ]{1,40} \}\} (?!\})
    # [INSERT a name], [Your Name], [Company Name], and no link of Markdown
    | \[ \s* (?:(?i:insert|enter|fill\ in|your|placeholder:?) \s+ [^\]\n]{1,60}
        | (?:First|Last|Full|Company|Customer|Client|Recipient|Sender|Product)\ Name
        | (?:INSERT|PLACEHOLDER|TODO|TBD) ) \s* \] (?!\()
    # <your name>
    | < \s* (?i:your|insert|enter|fill\ in) [ _-] [^<>\n]{1,40} >
    # 【请填写公司名称】 <你的名字> [您的姓名]
    | [\[【<] \s* (?: (?:请|在此处?|此处|这里)? (?:填写|填入|插入) [^\]】>\n]{1,30}
        | (?:你|您)的 [^\]】>\n]{1,20} ) [\]】>] (?!\()
    | [(（【\[] \s* 待(?:补充|填写|完善|定) \s* [)）】\]]
    # TODO: (not in a comment of a program), and a line of nothing else
    | (?:^|[.。！!?？]\s) [ ]{0,3} (?:[-*]\ )? (?P<note>TODO|TBD|FIXME) (?= \s* (?:[:：]|\(\w+\)) )
    | ^ \s* (?:TODO|TBD|FIXME|待补充|待填写) [ \t.。]* $
    | (?i:lorem\ ipsum\ dolor)
    """,
    re.VERBOSE | re.MULTILINE,
)


def placeholder(text: str) -> int | None:
    """Where the first thing that was left to fill in stands; None where nothing was."""
    if not _HINT.search(text):
        return None
    if "`" in text:
        text = _CODE.sub(lambda match: " " * len(match[0]), text)
    found = _PLACEHOLDER.search(text)
    return found.start(found.lastgroup or 0) if found else None
