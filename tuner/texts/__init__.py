"""Every sentence that Python shows, Chinese and English side by side.

The sentences live in the YAML files beside this one, one file a room of the
house, each entry as ``key: {en: ..., zh: ...}``. This module knows how to find
and fill them; it does not know what they mean. Try it::

    python -c "from tuner.texts import say; print(say('app.title', 'zh'))"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import yaml

Lang = Literal["en", "zh"]
LANGS: Final[tuple[Lang, ...]] = get_args(Lang)

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def catalogue() -> Mapping[str, Mapping[Lang, str]]:
    """All sentences, by key. Raises ``ValueError`` when two files share a key."""
    merged: dict[str, Mapping[Lang, str]] = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) or {}
        for key, pair in entries.items():
            if key in merged:
                raise ValueError(f"{path.name}: the key {key!r} is defined twice")
            merged[key] = pair
    return merged


def say(key: str, lang: Lang, /, **params: Any) -> str:
    """The sentence ``key`` in ``lang`` with its parameters filled in.

    A parameter that can say itself in a language (it has a ``say`` method, as
    :class:`tuner.records.Sentence`) is said in the same language; integers are
    grouped by thousands. Raises ``KeyError`` for an unknown key.
    """
    filled = {name: _shown(value, lang) for name, value in params.items()}
    return catalogue()[key][lang].format(**filled)


def as_lang(value: object) -> Lang:
    """``value`` as a language, English when it is not one of ours."""
    text = str(value).lower()[:2]
    return text if text in LANGS else "en"


def _shown(value: Any, lang: Lang) -> Any:
    if hasattr(value, "say"):
        return value.say(lang)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value
