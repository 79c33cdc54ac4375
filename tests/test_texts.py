"""Both languages say everything, with the same facts, and nothing is said that is not written."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tuner import errors, texts
from tuner.records import Sentence
from tuner.texts import LANGS, catalogue, say

#: Calls whose first argument is a key of the catalogue.
SPEAKERS = {"Sentence", "say"} | {
    name for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.TunerError)
}  # fmt: skip


def sources() -> list[Path]:
    return [*sorted((ROOT / "tuner").rglob("*.py")), *ROOT.glob("app.py")]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def name_of(call: ast.Call) -> str:
    """The plain name that is called; a method (``error.say(lang)``) speaks no key."""
    return call.func.id if isinstance(call.func, ast.Name) else ""


def spoken() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call that names a key: where it is, the call, the key."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and name_of(node) in SPEAKERS:
                first = node.args[0]
                keys = [first] if not isinstance(first, ast.IfExp) else [first.body, first.orelse]
                for key in keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node, key.value


def given(call: ast.Call) -> set[str] | None:
    """The parameters that a call hands over; None where the source does not say."""
    if name_of(call) == "Sentence":
        if len(call.args) == 1 and not call.keywords:
            return set()
        values = call.args[1] if len(call.args) > 1 else None
        if not isinstance(values, ast.Dict):
            return None
        keys = [key.value if isinstance(key, ast.Constant) else None for key in values.keys]
        return None if None in keys else set(map(str, keys))
    names = [keyword.arg for keyword in call.keywords]
    return None if None in names else set(map(str, names))


def test_every_sentence_exists_in_both_languages() -> None:
    assert len(catalogue()) > 100
    for key, pair in catalogue().items():
        assert set(pair) == set(LANGS), key
        for lang in LANGS:
            assert isinstance(pair[lang], str), (key, lang)
            assert pair[lang].strip(), (key, lang)


def test_both_languages_of_a_sentence_carry_the_same_facts() -> None:
    for key, pair in catalogue().items():
        assert placeholders(pair["en"]) == placeholders(pair["zh"]), key


def test_an_english_sentence_holds_no_chinese() -> None:
    for key, pair in catalogue().items():
        assert not re.search(r"[\u3400-\u9fff]", pair["en"]), key


def literals() -> Iterator[tuple[Path, str]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def test_every_key_that_the_source_speaks_is_in_the_catalogue() -> None:
    calls = list(spoken())
    assert len(calls) > 80
    assert [(place, key) for place, _, key in calls if key not in catalogue()] == []


def test_every_key_that_the_page_names_is_in_the_catalogue() -> None:
    named = {
        text
        for _, text in literals()
        if re.fullmatch(r"ui(\.[a-z0-9_]+)*\.[a-z0-9_]*[a-z0-9]", text)
    }
    assert sorted(named - set(catalogue())) == []


def test_every_sentence_gets_the_facts_that_it_needs() -> None:
    checked = 0
    for place, call, key in spoken():
        facts = given(call)
        if facts is None or key not in catalogue():
            continue
        checked += 1
        missing = placeholders(catalogue()[key]["en"]) - facts
        assert not missing, (place, key, missing)
    assert checked > 60


def test_every_sentence_in_the_catalogue_is_spoken_somewhere() -> None:
    whole = {text for _, text in literals()}
    # f"state.{run.state}" speaks whatever begins with "state.".
    beginnings = tuple(text for text in whole if re.fullmatch(r"[a-z_]+\.([a-z_]+[._])*", text))
    assert [key for key in catalogue() if key not in whole and not key.startswith(beginnings)] == []


def test_a_sentence_inside_a_sentence_is_said_in_the_same_language() -> None:
    inner = Sentence("model.parameters_counted")
    for lang in LANGS:
        assert inner.say(lang) in say("run.failed_because", lang, reason=inner)


def test_whole_numbers_are_grouped_and_true_is_not_a_number() -> None:
    assert "1,234,567" in say("cli.rows", "en", done=1_234_567, total=True)
    assert "True" in say("cli.rows", "en", done=1, total=True)


def test_an_unknown_key_is_an_error_and_not_silence() -> None:
    with pytest.raises(KeyError):
        say("no.such.key", "en")


@pytest.mark.parametrize(
    ("asked", "lang"),
    [
        ("zh_CN.UTF-8", "zh"),
        ("ZH", "zh"),
        ("en_GB", "en"),
        ("C", "en"),
        ("", "en"),
        (None, "en"),
        ("fr", "en"),
    ],
)
def test_a_language_that_we_do_not_speak_becomes_english(asked: object, lang: str) -> None:
    assert texts.as_lang(asked) == lang


def test_an_error_speaks_both_languages_and_is_a_standard_error_too() -> None:
    error = errors.NotFoundError("file.missing", file="rows.jsonl")
    assert isinstance(error, LookupError)
    assert str(error) == error.say("en")
    assert "rows.jsonl" in error.say("zh")
    assert error.say("zh") != error.say("en")
