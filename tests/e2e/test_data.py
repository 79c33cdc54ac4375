"""The data cells in a real browser: what was lost, what should be looked at, one row, a clean copy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App
from tests.e2e.test_story import choose
from tests.helpers import chat, write_jsonl

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MINUTES = 180_000


def test_a_dirty_file_shows_what_is_wrong_and_becomes_a_clean_copy(
    page: Page, app: App, tmp_path: Path
) -> None:
    rows = [chat(f"How far is planet {i} from its sun?", f"Planet {i} is {i} light minutes away.") for i in range(60)]  # fmt: skip
    rows += [rows[3], chat("Say nothing", ""), chat("Long one", "word " * 300)]
    rows.append({"messages": [{"role": "user", "content": "q"}, {"role": "robot", "content": "<b>x"}]})  # fmt: skip
    file = write_jsonl(tmp_path / "dirty.jsonl", rows)
    before = file.read_bytes()
    choose(page, str(file))
    page.click("#data-read")
    expect(page.locator("#cell-data .note.ok")).to_contain_text("63 of 64 rows", timeout=MINUTES)

    # A lost row opens to its text, and its text stays text.
    lost = page.locator("#cell-data .lost details")
    expect(lost).to_have_count(1)
    lost.locator("summary").click()
    expect(lost.locator("pre")).to_contain_text("<b>x")
    expect(page.locator("#cell-data .finding")).not_to_have_count(0)
    expect(page.locator("#cell-data")).to_contain_text("repeat another row word for word")

    # The ledger adds up, and moving max_length changes what it says at once.
    page.fill("#max-length input[type=number]", "128")
    page.keyboard.press("Enter")
    expect(page.locator("#lengths-table")).to_contain_text(
        re.compile(r"delete: drop them\s*62\s*1\s*0")
    )

    # The long row as the model gets it: dropped now; its answer cut when the end is cut.
    page.fill("#look-row input", "63")
    page.click("#look")
    expect(page.locator(".mask")).to_be_visible(timeout=MINUTES)
    expect(page.locator(".mask.dropped")).to_be_visible()
    page.locator("#cell-lengths label:has-text('right: cut their end')").click()
    expect(page.locator(".mask-cut")).to_be_visible(timeout=60_000)
    expect(page.locator(".mask-tokens .tk.special").first).to_have_text("<|im_start|>")

    # A cleaned copy lies beside the list of what was taken out; the file is as it was.
    page.click("#cell-data button:has-text('Check quality, and make a cleaned copy')")
    page.click("#clean")
    expect(page.locator("#cell-data .note.ok")).to_contain_text("rows kept", timeout=MINUTES)
    (clean,) = (app.home / "datasets" / "cleaned").glob("dirty.jsonl")
    kept = [json.loads(line) for line in clean.read_text().splitlines()]
    assert kept == [row for i, row in enumerate(rows) if i not in (60, 61, 63)]
    removed = [json.loads(line) for line in clean.with_name("dirty.removed.jsonl").open()]
    assert {row["row"] for row in removed} == {61, 62, 64}
    assert file.read_bytes() == before


def test_columns_that_nobody_knows_are_asked_about(page: Page, tmp_path: Path) -> None:
    rows = [{"q": f"What is {i} plus one?", "a": f"It is {i + 1}."} for i in range(30)]
    choose(page, str(write_jsonl(tmp_path / "own.jsonl", rows)))
    page.click("#data-read")
    expect(page.locator("#cell-data .note.error")).to_contain_text("which column holds the answer")
    page.click("#cell-data button:has-text('Columns and tools')")
    page.fill("#column-query textarea, #column-query input", "q")
    page.fill("#column-response textarea, #column-response input", "a")
    page.click("#data-read")
    expect(page.locator("#cell-data .note.ok")).to_contain_text("30 of 30 rows", timeout=MINUTES)
    page.click("#cell-plan button:has-text('Code that does the same')")
    expect(page.locator("#cell-plan .cm-content")).to_contain_text(
        '{"q": "query", "a": "response"}'
    )
