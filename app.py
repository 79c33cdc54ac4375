"""Tuner's page: ``python app.py [--host H] [--port P] [--lang zh|en]``.

Reads the settings, builds the page, launches it. No logic lives here.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys

# Gradio asks for nothing outside, sends nothing, and keeps no history.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from tuner.errors import InputError, TunerError
from tuner.settings import Settings
from tuner.texts import LANGS, say


def main(argv: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 7860)")
    parser.add_argument("--lang", choices=LANGS, help="the page's first language")
    options = parser.parse_args(argv)
    try:
        settings = Settings.load(host=options.host, port=options.port, lang=options.lang)
    except TunerError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        _check(settings)
    except TunerError as error:
        print(error.say(settings.lang), file=sys.stderr)
        return 2
    _serve(settings)
    return 0


def _check(settings: Settings) -> None:
    """Refuse what cannot go well: an open door without a login, a port that is taken."""
    if settings.needs_login and settings.password is None:
        raise InputError("app.needs_login", host=settings.host)
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            key = "app.port_taken" if error.errno in (98, 48) else "app.bad_host"
            raise InputError(
                key, host=settings.host, port=str(settings.port), other=str(settings.port + 1)
            ) from error


def _serve(settings: Settings) -> None:
    from tuner.ui import shell, theme
    from tuner.workbench import Workbench

    settings.logs.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=settings.logs / "app.log", level=logging.WARNING)
    bench = Workbench(settings)
    blocks, follower = shell.build(bench)
    follower.start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    auth = ("tuner", settings.password) if settings.needs_login and settings.password else None
    try:
        blocks.launch(
            server_name=settings.host, server_port=settings.port, theme=theme.theme(), css=shell.CSS,
            auth=auth, quiet=True, share=False, ssr_mode=False, show_error=False,
            footer_links=[], prevent_thread_lock=True, i18n=None,
        )  # fmt: skip
        print(
            say("app.opened", settings.lang, url=f"http://{settings.host}:{settings.port}"),
            flush=True,
        )
        blocks.block_thread()
    except KeyboardInterrupt:
        pass
    finally:
        follower.close()
        bench.close()
        print(say("app.closed", settings.lang), flush=True)


if __name__ == "__main__":
    sys.exit(main())
