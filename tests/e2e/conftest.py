"""A real app, a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.helpers import ROOT
from tuner.hub import embedded
from tuner.settings import Settings
from tuner.workers.pool import Pool

#: Where `make` keeps the embedded model; read before the tests' own environment begins.
MADE = Settings.load()


@dataclass
class App:
    """The app in a process of its own."""

    url: str
    home: Path
    process: subprocess.Popen[str]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def start(home: Path, lang: str = "en") -> App:
    """Start the app on a free port and wait for its first page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = dict(os.environ) | {"TUNER_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--lang", lang],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(process.stdout.read() if process.stdout else "no output")
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return App(url, home, process)
        except (urllib.error.URLError, OSError):
            select_nothing(0.2)
    raise TimeoutError("the app did not open within 120 s")


def select_nothing(seconds: float) -> None:
    """Wait for the app's port: nothing tells when a port opens."""
    import select

    select.select([], [], [], seconds)


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The embedded model, made now if `make` has not made it."""
    pool = Pool(MADE.logs)
    try:
        return embedded.ensure(MADE, pool)
    finally:
        pool.close()


@pytest.fixture(scope="session")
def app_home(embedded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has the embedded model and nothing else."""
    home = tmp_path_factory.mktemp("app-home")
    (home / "models").mkdir()
    (home / "models" / embedded.NAME).symlink_to(embedded_model)
    return home


@pytest.fixture(scope="session")
def app(app_home: Path) -> Iterator[App]:
    """One app for all browser tests."""
    started = start(app_home)
    yield started
    started.stop()


def chromium(playwright: Playwright) -> Browser:
    """Headless Chromium: the machine's own if there is one, else Playwright's."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    # No sandbox (tests may run as root) and no requests of the browser's own.
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
    return playwright.chromium.launch(executable_path=found, args=arguments)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = chromium(playwright)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, app: App) -> Iterator[Page]:
    """A fresh page on the app. What it asks of any other host is an error, and so is a page error."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    strangers: list[str] = []
    failures: list[str] = []
    opened.on(
        "request",
        lambda r: (
            None if r.url.startswith((app.url, "data:", "blob:")) else strangers.append(r.url)
        ),
    )
    opened.on("pageerror", lambda e: failures.append(str(e)))
    opened.set_default_timeout(60_000)
    opened.goto(app.url)
    opened.wait_for_selector("#try")
    if any((app.home / "runs").glob("*/status.json")):
        # An opened page fills its boxes from the newest run: what is typed before that is lost.
        expect(opened.locator("#name textarea, #name input")).to_have_value("Nemo")
    yield opened
    context.close()
    assert strangers == [], "the page asked another host"
    assert failures == [], "the page's own script failed"
