"""The README's pictures, taken from the real app: ``python docs/pictures.py``.

Opens the app on the home that ``TUNER_HOME`` names, which must hold a finished
demo run (``python -m tuner demo``), and takes three pictures in each language:
``page_*`` from the top to the lengths, ``row_*`` one row as the model gets it,
``run_*`` the run and its answers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import expect, sync_playwright

from tests.e2e.conftest import chromium, start
from tuner.settings import Settings
from tuner.texts import Lang, say

OUT = Path(__file__).parent / "pictures"
WIDTH = 1200
LABELS: Final[dict[Lang, str]] = {"en": "English", "zh": "中文"}


def main() -> None:
    """Take all pictures."""
    app = start(Settings.load().home)
    try:
        with sync_playwright() as playwright:
            browser = chromium(playwright)
            page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
            page.goto(app.url)
            for lang, label in LABELS.items():
                page.click(f"#lang label:has-text('{label}')")
                expect(page.locator("#demo-answers tbody tr")).to_have_count(3)
                expect(page.locator("#run-details .js-plotly-plot")).to_be_visible()
                expect(page.locator("#run-loss")).to_contain_text(say("ui.plot.eval", lang))
                expect(page.locator("#lengths-plot")).to_contain_text(say("ui.plot.rows", lang))
                page.wait_for_timeout(1000)  # the plots fade in
                take(page, "#strip", "#lengths-plot", OUT / f"page_{lang}.png")
                page.click("#look")
                expect(page.locator(".mask")).to_be_visible(timeout=120_000)
                take(page, "#look-row", "#look-out", OUT / f"row_{lang}.png")
                take(page, "#cell-train", "#demo-answers", OUT / f"run_{lang}.png")
            browser.close()
    finally:
        app.stop()


def take(page: Any, first: str, last: str, target: Path) -> None:
    """The page from the top of one element to the bottom of another."""
    top = page.locator(first).bounding_box()
    bottom = page.locator(last).bounding_box()
    scrolled = page.evaluate("window.scrollY")
    y = top["y"] + scrolled - 16
    height = bottom["y"] + scrolled + bottom["height"] + 16 - y
    clip = {"x": 0, "y": y, "width": WIDTH, "height": height}
    page.screenshot(path=target, full_page=True, clip=clip)


if __name__ == "__main__":
    main()
