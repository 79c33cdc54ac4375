"""What a row's columns mean to ms-swift: the name of the format, and what it cannot make out.

The names are those of ms-swift 4.6's ``AutoPreprocessor`` and its two
preprocessors (``swift/dataset/preprocessor/core.py``; a test compares them).
Where several columns could be the question, ms-swift takes none of them and
says nothing: that is asked about here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tuner.errors import InputError

CONVERSATIONS: Final = ("messages", "conversations", "conversation")
QUERY: Final = ("query", "prompt", "input", "instruction", "question", "problem")
RESPONSE: Final = (
    "response", "answer", "output", "targets", "target", "answer_key", "answers", "solution",
    "text", "completion", "content",
)  # fmt: skip
SYSTEM: Final = ("system", "system_prompt")
#: What a column may be mapped to.
MEANINGS: Final = ("messages", "query", "response", "system", "history", "tools", "channel")
#: How tools are told to a model, by ms-swift's names (``agent_template_map``; a test compares them).
AGENT_TEMPLATES: Final = (
    "hermes",
    "react_en",
    "react_zh",
    "qwen_en",
    "qwen_zh",
    "qwen_en_parallel",
    "qwen_zh_parallel",
    "qwen3_coder",
    "qwen3_5",
    "chatglm4",
    "glm4",
    "glm4_5",
    "glm4_7",
    "glm5_1",
    "llama3",
    "llama4",
    "mistral",
    "deepseek_v3_1",
    "deepseek_v4",
    "deepseek_v41",
    "gemma4",
    "hunyuan_hermes",
    "hy_v3",
    "hy_v3_preview",
    "kimi_k25",
    "kimi_k3",
    "ling3",
    "minicpm5",
    "minimax_m2",
    "minimax_m3",
    "react_grpo",
    "seed_oss",
    "spark2_5",
    "toolbench",
    "xing4_0",
    "youtu",
)


def shape(row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """The name of a row's format by its columns, as ms-swift decides."""
    row = {columns.get(key, key).lower(): value for key, value in row.items()}
    for name in CONVERSATIONS:
        if name in row:
            turns = row.get(name)
            first = turns[0] if isinstance(turns, list) and turns else {}
            tools = " + tools" if row.get("tools") else ""
            sharegpt = isinstance(first, dict) and not {"role", "content"} & set(first)
            return ("ShareGPT" if sharegpt and first else "messages") + tools
    if {"instruction", "input"} <= set(row):
        return "Alpaca"
    if not _named(row, QUERY) and _named(row, ("text", "content")):
        return "text"
    return "query/response/history" if "history" in row else "query/response"


def require(names: Iterable[str], columns: Mapping[str, str], file: str) -> None:
    """Raise where ms-swift would find no answer, or no question among several.

    Raises:
        InputError: the columns are unknown or ambiguous; a mapping for a column that is not there.
    """
    own = list(names)
    for name in columns:
        if name not in own:
            raise InputError("data.no_column", file=file, column=name, columns=", ".join(own))
    row = {columns.get(name, name).lower(): name for name in own}
    if any(name in row for name in CONVERSATIONS) or {"instruction", "input"} <= set(row):
        return
    for meaning, known in (("response", RESPONSE), ("query", QUERY)):
        found = _named(row, known)
        if meaning not in row and len(found) > 1:
            raise InputError(
                "data.ambiguous_columns", file=file, columns=", ".join(row[f] for f in found),
                meaning=meaning,
            )  # fmt: skip
    if not _named(row, RESPONSE):
        raise InputError("data.unknown_columns", file=file, columns=", ".join(own))


def mapping(text: str | None) -> dict[str, str]:
    """A column mapping from its JSON form.

    Raises:
        InputError: not a JSON object of names, or a meaning that ms-swift does not know.
    """
    if not text or not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(value in MEANINGS for value in found.values()):
        raise InputError("data.bad_mapping", value=text, known=", ".join(MEANINGS))
    return {str(key): str(value) for key, value in found.items()}


def _named(row: Iterable[str], known: Iterable[str]) -> list[str]:
    names = set(row)
    return [name for name in known if name in names]
