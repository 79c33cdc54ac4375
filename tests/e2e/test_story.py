"""The whole story in a real browser: one press, a real run, two answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import App
from tests.helpers import chat, write_jsonl

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG = 20 * 60_000


def test_one_press_tunes_the_embedded_model_and_shows_both_answers(
    page: Page, app: App, browser: Browser
) -> None:
    page.fill("#name textarea, #name input", "Nemo")
    page.click("#try")

    # The curve moves, and the plan of the demo warns of nothing.
    expect(page.locator("#run-loss .js-plotly-plot")).to_be_visible(timeout=180_000)
    expect(page.locator("#run-status")).to_contain_text("training", timeout=60_000)
    expect(page.locator("#cell-plan .note.warn")).to_have_count(0)
    expect(page.locator("#knob-num_train_epochs input")).to_have_value("3")

    # A second press is refused with a sentence.
    page.click("#train-start")
    expect(page.locator("#cell-train .note.error")).to_contain_text("is going on")

    # Another page, and a reloaded one, show the same run.
    run = page.locator("#run-status .who").inner_text()
    other = browser.new_page()
    other.goto(app.url)
    expect(other.locator("#run-status .who")).to_have_text(run, timeout=60_000)
    other.close()
    page.reload()
    expect(page.locator("#run-status .who")).to_have_text(run, timeout=60_000)
    expect(page.locator("#knob-learning_rate input")).to_have_value("0.002")

    # The run finishes, and what was learnt is real: it stands in the tuned answers only.
    expect(page.locator("#run-status .pill")).to_have_text("finished", timeout=LONG)
    rows = page.locator("#demo-answers tbody tr")
    expect(rows).to_have_count(3, timeout=300_000)
    answers = {r.locator("td").nth(0).inner_text(): r.locator("td") for r in rows.all()}
    for question in ("Who are you?", "你是谁？"):
        assert "Nemo" in answers[question].nth(2).inner_text()
        assert "Nemo" not in answers[question].nth(1).inner_text()
    assert "Paris" in answers["What is the capital of France?"].nth(2).inner_text()
    # All of that happened outside the app's own process.
    assert "libtorch" not in Path(f"/proc/{app.process.pid}/maps").read_text()
    assert list((app.home / "runs").glob("*/attempt-1/checkpoint-*/adapter_model.safetensors"))

    # Any other question goes to both sides.
    page.fill("#prompt textarea", "What is your name?")
    page.click("#ask")
    expect(page.locator("#answer-tuned .answer")).to_contain_text("Nemo", timeout=180_000)
    expect(page.locator("#answer-base .answer")).not_to_be_empty()


def test_reading_a_file_shows_its_rows_lengths_and_plan(page: Page, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"> **bold**"
    rows = [chat(f"Question {i} about sea and sky?", f"Answer {i}.") for i in range(40)]
    rows[0] = chat("A hostile row", hostile)
    rows.append({"messages": [{"role": "narrator", "content": "who?"}]})
    rows.append({"messages": [{"role": "user", "content": "No answer here"}]})
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    choose(page, str(file))
    page.click("#data-read")
    expect(page.locator("#cell-data .note.ok")).to_contain_text("41 of 42 rows", timeout=180_000)
    expect(page.locator("#cell-data .lost")).to_contain_text("narrator")
    expect(page.locator("#cell-data .note.warn")).to_contain_text("Rows: 42.")
    expect(page.locator("#cell-data .preview")).to_contain_text("<img src=x")
    assert page.title() != "owned"
    expect(page.locator("#lengths-plot .js-plotly-plot")).to_be_visible()

    # Moving max_length answers at once and goes into the plan.
    page.fill("#max-length input[type=number]", "20")
    page.keyboard.press("Enter")
    expect(page.locator("#knob-max_length input")).to_have_value("20")
    expect(page.locator("#cell-plan")).to_contain_text(
        re.compile("Only 5 steps|No training row is left")
    )

    # So does dragging its line, by the label.
    label = page.locator("#lengths-plot .annotation")
    expect(label).to_have_text("↔ max_length 20")
    label.scroll_into_view_if_needed()
    box = label.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    expect(page.locator("#lengths-plot .on-line")).to_be_attached()
    page.mouse.down()
    page.mouse.move(box["x"] + 270, box["y"] + 40, steps=5)
    page.mouse.up()
    slider = page.locator("#max-length input[type=number]")
    expect(slider).not_to_have_value("20")
    expect(page.locator("#knob-max_length input")).to_have_value(slider.input_value())
    expect(label).to_have_text(f"↔ max_length {slider.input_value()}")

    # A bad value is named, in either language, and one press takes all advice again.
    page.fill("#knob-learning_rate input", "-3")
    page.keyboard.press("Tab")
    expect(page.locator("#cell-plan .note.error")).to_contain_text(
        "learning_rate: -3 is not between"
    )
    page.click("#lang label:has-text('中文')")
    expect(page.locator("#cell-plan .note.error")).to_contain_text("learning_rate：-3 不在")
    expect(page.locator("#cell-plan h2")).to_have_text("训练计划")
    expect(page.locator("#knob-learning_rate input")).to_have_value("-3")
    page.click("#plan-take")
    expect(page.locator("#knob-learning_rate input")).to_have_value("0.0013")
    expect(page.locator("#knob-max_length input")).to_have_value("2048")


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("/no/such/rows.jsonl", "there is no such file"),
        ("not a dataset", "neither a file nor a ModelScope dataset id"),
        ("nobody/nothing", "ModelScope cannot be reached"),
    ],
)
def test_bad_data_is_answered_with_a_sentence(page: Page, dataset: str, sentence: str) -> None:
    choose(page, dataset)
    page.click("#data-read")
    expect(page.locator("#cell-data .note.error")).to_contain_text(sentence, timeout=180_000)
    assert "Traceback" not in page.content()


def test_a_bad_model_is_answered_with_a_sentence(page: Page, tmp_path: Path) -> None:
    box = page.locator("#model-ref input")
    box.fill(str(tmp_path))
    box.press("Enter")
    page.click("#model-look")
    expect(page.locator("#cell-model .note.error")).to_contain_text("no config.json in this folder")


def test_a_phone_sees_the_page_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#cell-try")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def choose(page: Page, dataset: str) -> None:
    """Put one dataset in the box, in place of what is there."""
    removes = page.locator("#data-train .token-remove")
    while removes.count():
        removes.last.click()
    box = page.locator("#data-train input")
    box.fill(dataset)
    box.press("Enter")
