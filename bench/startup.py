"""How soon the page is there, how large it is, how much memory it takes: Tuner beside swift web-ui.

Bounds: first page within 1.5 times a bare ``import gradio`` and a sixth of
swift web-ui's time; resident memory of the app's process a third of it; bytes
of the HTML at ``/`` an eighth of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
ROUNDS: Final = 3


def measure() -> dict[str, Any]:
    """Three rounds, each: bare import, Tuner, swift web-ui. Medians and ratios."""
    imports: list[float] = []
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as home:
        _app(home)  # compiles byte code once, as an installation does
        for _ in range(ROUNDS):
            start = time.monotonic()
            subprocess.run([sys.executable, "-c", "import gradio"], check=True)
            imports.append(time.monotonic() - start)
            ours.append(_app(home))
            theirs.append(_web_ui())
    bare = statistics.median(imports)
    us = {key: statistics.median(r[key] for r in ours) for key in ours[0]}
    them = {key: statistics.median(r[key] for r in theirs) for key in theirs[0]}
    ratios = {
        "first_page_to_import_gradio": us["seconds"] / bare,
        "first_page_to_web_ui": us["seconds"] / them["seconds"],
        "memory_to_web_ui": us["rss"] / them["rss"],
        "html_to_web_ui": us["bytes"] / them["bytes"],
    }
    bounds = {
        "first_page_to_import_gradio": 1.5, "first_page_to_web_ui": 1 / 6,
        "memory_to_web_ui": 1 / 3, "html_to_web_ui": 1 / 8,
    }  # fmt: skip
    mb = 1 << 20
    return {
        "import_gradio_seconds": round(bare, 2),
        "tuner": {k: round(v, 2) for k, v in us.items()},
        "web_ui": {k: round(v, 2) for k, v in them.items()},
        "ratios": {k: round(v, 4) for k, v in ratios.items()},
        "kept": {k: ratios[k] <= bound for k, bound in bounds.items()},
        "lines": [
            (
                f"first page: {us['seconds']:.1f} s, bare import gradio {bare:.1f} s"
                f" (ratio {ratios['first_page_to_import_gradio']:.2f}, bound 1.5)"
            ),
            (
                f"first page: swift web-ui {them['seconds']:.1f} s"
                f" (ratio 1/{1 / ratios['first_page_to_web_ui']:.1f}, bound 1/6)"
            ),
            (
                f"memory of the app: {us['rss'] / mb:.0f} MB, with a warm child"
                f" {us['rss_with_children'] / mb:.0f} MB; swift web-ui {them['rss'] / mb:.0f} MB"
                f" (ratio 1/{1 / ratios['memory_to_web_ui']:.1f}, bound 1/3)"
            ),
            (
                f"HTML at /: {us['bytes'] / 1e3:.0f} kB; swift web-ui {them['bytes'] / 1e6:.1f} MB"
                f" (ratio 1/{1 / ratios['html_to_web_ui']:.0f}, bound 1/8)"
            ),
        ],
    }


def _app(home: str) -> dict[str, float]:
    port = _free_port()
    env = dict(os.environ) | {"TUNER_HOME": home, "LANG_UI": "en"}
    command = [sys.executable, "app.py", "--port", str(port)]
    with _server(command, port, env) as found:
        # The memory of a child that is warm for reading data, for the quote.
        code = (
            "import sys, psutil; from pathlib import Path; from tuner.workers.pool import Pool; "
            "p = Pool(Path(sys.argv[1])); p.call('data', 'warm'); print(p.rss()); p.close()"
        )
        child = subprocess.run(
            [sys.executable, "-c", code, home], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return found | {"rss_with_children": found["rss"] + int(child.stdout)}


def _web_ui() -> dict[str, float]:
    port = _free_port()
    swift = Path(sys.executable).with_name("swift")
    command = [str(swift), "web-ui", "--server_port", str(port), "--lang", "en"]
    with _server(command, port, dict(os.environ)) as found:
        return found


@contextlib.contextmanager
def _server(command: list[str], port: int, env: dict[str, str]) -> Iterator[dict[str, float]]:
    """Start a server, wait for its first page; seconds, bytes of the page, resident memory."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        page = _first_page(port, process)
        seconds = time.monotonic() - start
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        # The launcher of `swift` waits for a child that is the server: the larger one counts.
        rss = max(p.memory_info().rss for p in tree)
        yield {"seconds": seconds, "bytes": len(page), "rss": rss}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _first_page(port: int, process: subprocess.Popen[bytes]) -> bytes:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server left with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise TimeoutError("no page within 180 s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
