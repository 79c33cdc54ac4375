"""The page without a browser: it builds, speaks both languages, and reopens a run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from tuner.settings import Settings
from tuner.texts import catalogue
from tuner.ui import shell
from tuner.ui.notebook import Notebook
from tuner.ui.words import Words
from tuner.workbench import Workbench


@pytest.fixture
def quiet_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gradio makes an event loop for each lock of its queue and never closes it."""
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def words(bench: Workbench, quiet_loops: None, monkeypatch: pytest.MonkeyPatch) -> Words:
    made = Words("en")
    monkeypatch.setattr(shell, "Words", lambda lang: made)
    shell.build(bench)
    return made


def test_every_word_on_the_page_changes_its_language(words: Words) -> None:
    same = {"Tuner", "model_type", "max_length", "split_dataset_ratio", "checkpoint", "seed"}
    for english, chinese in zip(words.relabel("en"), words.relabel("zh"), strict=True):
        for name, text in english.items():
            if name in ("label", "info", "placeholder", "value") and isinstance(text, str):
                assert chinese[name] != text or text in same, text


def test_no_chinese_is_shown_to_an_english_reader(words: Words) -> None:
    shown = [*words.relabel("en"), *words.render(Notebook(), "en")]
    assert not re.search(r"[\u4e00-\u9fff]", str(shown))


def test_a_chinese_reader_sees_no_english_sentence(words: Words) -> None:
    texts = [t for update in words.relabel("zh") for t in update.values() if isinstance(t, str)]
    for text in texts:
        plain = re.sub(r"<[^>]+>", " ", text)
        assert re.search(r"[\u4e00-\u9fff]", plain) or len(plain.split()) <= 2, text


def test_relabelling_never_touches_what_was_entered(words: Words) -> None:
    entered = {"textbox", "number", "dropdown", "slider", "checkbox"}
    for widget, update in zip(words.widgets, words.relabel("zh"), strict=True):
        if widget.get_block_name() in entered:
            assert "value" not in update


def test_a_first_visitor_is_greeted_in_the_browsers_language(home: Settings) -> None:
    bench: Any = SimpleNamespace(settings=home)
    request: Any = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert shell._first_language(bench, None, request) == "zh"
    assert shell._first_language(bench, "en", request) == "en"


def test_the_sentences_of_the_page_are_there() -> None:
    assert len([key for key in catalogue() if key.startswith("ui.")]) > 80


def test_gradios_queue_can_still_be_calmed(bench: Workbench, quiet_loops: None) -> None:
    with gr.Blocks() as blank:
        gr.HTML()
    assert blank.queue()._queue.sleep_when_free < shell.QUEUE_SECONDS
    blocks, _ = shell.build(bench)
    assert blocks._queue.sleep_when_free == shell.QUEUE_SECONDS
