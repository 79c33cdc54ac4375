"""TuningConfig: the settings of one run, in ms-swift's own flags.

Strings become types once, here, at the door. From then on a config travels
frozen, is edited by replacement, and turns into YAML (which plain
``swift sft config.yaml`` takes) and into an argument list.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tuner.errors import InputError, NotFoundError
from tuner.knobs import KNOBS, REFUSED

#: Flags that hold several values; one value alone is still a list.
LISTS: Final = frozenset({"dataset", "val_dataset", "target_modules", "callbacks", "report_to"})
#: What Python's argument parser takes for a flag, wherever it stands.
_FLAG: Final = re.compile(r"--.*|-(?!\d+$|\d*\.\d+$)[^ ]+", re.DOTALL)
#: Characters that JSON leaves as they are and YAML does not read back.
_NOT_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class TuningConfig:
    """Flags and values, in the order in which they are written."""

    items: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, /, **flags: Any) -> TuningConfig:
        """A config from flags; None leaves a flag out (ms-swift would read "None").

        Raises:
            InputError: a value that its knob does not allow, a refused flag.
        """
        return cls(tuple((flag, _checked(flag, v)) for flag, v in flags.items() if v is not None))

    @classmethod
    def from_yaml(cls, text: str, name: str = "config.yaml") -> TuningConfig:
        """The config that ``text`` holds; ``name`` is used in errors."""
        try:
            values = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-45 is no date
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise InputError("config.bad_yaml", file=name, line=line) from error
        if not isinstance(values, dict) or not values:
            raise InputError("config.not_mapping", file=name)
        return cls.of(**{str(key): value for key, value in values.items()})

    @classmethod
    def read(cls, path: Path) -> TuningConfig:
        """The config in a file. Raises ``NotFoundError`` or ``InputError``."""
        try:
            return cls.from_yaml(path.read_text(encoding="utf-8"), path.name)
        except FileNotFoundError as error:
            raise NotFoundError("file.missing", file=str(path)) from error
        except OSError as error:
            raise InputError(
                "file.unreadable", file=str(path), reason=error.strerror or ""
            ) from error
        except UnicodeDecodeError as error:
            raise InputError("file.not_utf8", file=str(path)) from error

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.items)

    def get(self, flag: str, default: Any = None) -> Any:
        """The value of ``flag``, else its ms-swift default, else ``default``."""
        for name, value in self.items:
            if name == flag:
                return value
        known = KNOBS[flag].default if flag in KNOBS else None
        return default if known is None else known

    def replace(self, /, **flags: Any) -> TuningConfig:
        """The same config with some flags changed, added, or (None) left out."""
        merged = dict(self.items) | flags
        return TuningConfig.of(**merged)

    def to_yaml(self) -> str:
        """YAML that ``swift sft FILE`` takes; floats in a form every YAML reader takes as such."""
        return "".join(f"{flag}: {_scalar(value)}\n" for flag, value in self.items)

    def to_argv(self) -> list[str]:
        """``--flag value`` pairs, one argument each."""
        argv: list[str] = []
        for flag, value in self.items:
            argv.append(f"--{flag}")
            argv.extend(_text(v) for v in (value if isinstance(value, list) else [value]))
        return argv

    def to_command(self) -> str:
        """The ``swift sft`` command line that does the same, one flag a line."""
        lines = ["swift sft"]
        for flag, value in self.items:
            values = value if isinstance(value, list) else [value]
            lines.append(f"--{flag} " + " ".join(shlex.quote(_text(v)) for v in values))
        return " \\\n    ".join(lines)


def _checked(flag: str, value: Any) -> Any:
    if flag in REFUSED:
        raise InputError("config.refused_flag", flag=flag)
    if not flag.isidentifier():
        raise InputError("config.bad_flag", flag=flag)
    if isinstance(value, tuple):
        value = list(value)
    if flag in LISTS and isinstance(value, str | int | float):
        value = [str(value)]
    if isinstance(value, list):
        if flag not in LISTS or not all(isinstance(v, str | int | float) for v in value):
            raise InputError("config.bad_value", flag=flag)
    elif not isinstance(value, str | int | float | bool):
        raise InputError("config.bad_value", flag=flag)
    elif flag in KNOBS:
        value = KNOBS[flag].parse(value)
    for part in value if isinstance(value, list) else [value]:
        # ms-swift's argument parser would take it for the next flag.
        if isinstance(part, str) and _FLAG.fullmatch(part):
            raise InputError("config.flag_as_value", flag=flag, value=part)
        if isinstance(part, str) and "\0" in part:
            raise InputError("config.bad_value", flag=flag)
    if flag == "system" and isinstance(value, str) and value.endswith(".txt"):
        # ms-swift would read that file and put its text into the prompt.
        raise InputError("config.system_is_file", value=value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value!r}" if isinstance(value, float) else str(value)


def _scalar(value: Any) -> str:
    """One value in YAML. JSON is YAML, but "1e-05" without a dot would be read as a text."""
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, float):
        text = repr(value)
        mantissa, e, exponent = text.partition("e")
        return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def load_mapping(path: Path) -> Mapping[str, Any]:
    """A YAML mapping that the project ships (presets). Raises ``ValueError`` if it is none."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path}: not a mapping")
    return values
