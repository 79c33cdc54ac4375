"""Where things live, and what this deployment allows.

Everything is derived from the environment once, at the door, and handed on:
no other module reads environment variables of ours. Try it::

    TUNER_HOME=/tmp/t python -c "from tuner.settings import Settings; print(Settings.load().runs)"
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_data_path

from tuner.errors import InputError
from tuner.texts import Lang, as_lang

#: The repository's own folder of presets, beside the package.
PRESETS: Final = Path(__file__).resolve().parent.parent / "presets"

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Settings:
    """One deployment. ``home`` holds everything that is written."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 7860
    lang: Lang = "en"
    lang_chosen: bool = False  #: whoever started us said so; else each visitor's browser decides
    password: str | None = None

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None, **overrides: object) -> Settings:
        """Settings from the environment; ``overrides`` (not None) win.

        ``TUNER_HOME`` (default: the user's data folder), ``HOST``, ``PORT``,
        ``LANG_UI``, ``TUNER_PASSWORD_FILE``.

        Raises:
            InputError: a port that is no port, a password file that cannot be read.
        """
        env = os.environ if env is None else env
        home = env.get("TUNER_HOME") or str(user_data_path("tuner", appauthor=False))
        given = {name: value for name, value in overrides.items() if value is not None}
        host = str(given.get("host") or env.get("HOST") or "127.0.0.1")
        port_text = str(given.get("port", env.get("PORT") or 7860))
        if not (port_text.isascii() and port_text.isdigit()) or not 0 < int(port_text) < 65536:
            raise InputError("app.bad_port", port=port_text)
        chosen = given.get("lang") or env.get("LANG_UI")
        lang = as_lang(chosen or env.get("LANG") or "en")
        return cls(
            home=Path(home).expanduser().resolve(),
            host=host,
            port=int(port_text),
            lang=lang,
            lang_chosen=bool(chosen),
            password=_password(env.get("TUNER_PASSWORD_FILE")),
        )

    @property
    def needs_login(self) -> bool:
        """Anyone on the network can reach us, so a login is demanded."""
        return self.host not in LOOPBACK

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.home / "runs"

    @property
    def models(self) -> Path:
        """Models that Tuner made itself (the embedded one)."""
        return self.home / "models"

    @property
    def datasets(self) -> Path:
        """Embedded datasets with their placeholders filled in, and uploads."""
        return self.home / "datasets"

    @property
    def lengths(self) -> Path:
        """Token lengths, one file a look."""
        return self.home / "lengths"

    @property
    def logs(self) -> Path:
        """What the app and its children have to say for themselves."""
        return self.home / "logs"


def _password(path: str | None) -> str | None:
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("app.bad_password_file", path=path) from error
    if not text:
        raise InputError("app.bad_password_file", path=path)
    return text
