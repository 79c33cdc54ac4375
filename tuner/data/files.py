"""A first look at a local data file: is it there, is it text, is it rows?

It reads, it never repairs. What it finds wrong names the file and the line.
ms-swift's own errors for the same faults come minutes later and name neither.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tuner.data import formats
from tuner.errors import InputError, NotFoundError

KINDS: Final = ("jsonl", "json", "csv", "txt", "parquet")
csv.field_size_limit(2**31 - 1)  # Python's own limit, 128 KiB a cell, is none of ms-swift's
#: ms-swift's loader takes these for a pattern, and reads other files or none.
GLOB: Final = frozenset("*?[]")
#: A first look reads this much (bytes) of a file; what is smaller is read whole.
HEAD: Final = 1 << 20
#: A JSON array is held in memory whole, by ms-swift too. JSON Lines have no such limit.
LARGEST_ARRAY: Final = 1 << 30


def check(path: Path, columns: Mapping[str, str] | None = None) -> str:
    """The format of the rows in ``path``, in words of the field, from its beginning.

    ``columns`` says what columns mean where their names do not.

    Raises:
        NotFoundError: it is not there.
        InputError: a name that ms-swift takes for a pattern, empty, not UTF-8, not JSON at some line of its beginning, a JSON
            array too large to be held in memory, of an unknown kind, or of columns
            that do not say which holds the answer.
    """
    try:
        return _checked(path, columns or {})
    except PermissionError as error:
        reason = error.strerror or ""
        raise InputError("file.unreadable", file=path.name, reason=reason) from error


def _checked(path: Path, columns: Mapping[str, str]) -> str:
    if not _is_there(path):
        raise NotFoundError("file.missing", file=str(path))
    if GLOB & set(str(path.absolute())):
        raise InputError("file.bad_name", file=str(path))
    if path.is_dir():
        return "folder"
    kind = path.suffix.lstrip(".").lower()
    if kind not in KINDS:
        raise InputError("file.unknown_kind", file=path.name, kinds=", ".join(KINDS))
    if path.stat().st_size == 0:
        raise InputError("file.empty", file=path.name)
    if kind == "parquet":
        return "parquet"
    first = _first_row(path, kind)
    if not first:
        raise InputError("file.empty", file=path.name)
    formats.require(first, columns, path.name)
    return f"{formats.shape(first, columns)} ({kind})"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise
    except OSError:  # a loop of links, a name that is too long
        return False


def _first_row(path: Path, kind: str) -> Mapping[str, Any]:
    """The first row; of a small file all others are looked at too."""
    size = path.stat().st_size
    if kind == "json" and size > LARGEST_ARRAY:
        raise InputError("file.array_too_large", file=path.name, limit=LARGEST_ARRAY >> 30)
    if size > HEAD:
        return _first(path, kind)
    rows = _rows(path, kind)
    first = next(rows, {})
    for _ in rows:
        pass
    return first


def check_all(path: Path) -> None:
    """Read every row. Raises ``InputError`` that names the first line which cannot be read."""
    kind = path.suffix.lstrip(".").lower()
    if kind in KINDS and kind != "parquet":
        for _ in _rows(path, kind):
            pass


def _first(path: Path, kind: str) -> Mapping[str, Any]:
    """The first row of a file that is too large to be read for a look."""
    if kind == "json":
        return {"messages": []} if _begins(path, b"[") else _not_array(path)
    if kind == "jsonl":
        with path.open("rb") as source:
            if b"\n" not in source.read(4 * HEAD):
                raise InputError("file.row_too_long", file=path.name, row=1, limit=4 * HEAD >> 20)
        return next(_json_lines(path), {})
    with path.open("rb") as source:
        head = source.read(HEAD)
    text = head[: head.rfind(b"\n") + 1].decode("utf-8-sig", errors="replace")
    return next(_text_rows(text, kind), {})


def _begins(path: Path, with_: bytes) -> bool:
    with path.open("rb") as source:
        return source.read(64).lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(with_)


def _not_array(path: Path) -> Mapping[str, Any]:
    raise InputError("file.not_array", file=path.name)


def _rows(path: Path, kind: str) -> Iterator[Mapping[str, Any]]:
    if kind == "jsonl":
        yield from _json_lines(path)
        return
    text = _text(path)
    yield from _json_array(path, text) if kind == "json" else _text_rows(text, kind)


def _text_rows(text: str, kind: str) -> Iterator[Mapping[str, Any]]:
    if kind == "csv":
        yield from csv.DictReader(io.StringIO(text, newline=""))
    else:
        yield from ({"text": line} for line in text.splitlines() if line)


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as source:
        for number, raw in enumerate(source, start=1):
            try:
                line = raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError("file.not_utf8_line", file=path.name, row=number) from error
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError("file.bad_json_line", file=path.name, row=number) from error
            if not isinstance(row, dict):
                raise InputError("file.not_object", file=path.name, row=number)
            if "\\u" in line and not _is_text(row):
                raise InputError("file.lone_surrogate", file=path.name, row=number)
            yield row


def _is_text(row: Mapping[str, Any]) -> bool:
    """Whether UTF-8 can hold what the escapes say: a half of a pair alone is no character."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _json_array(path: Path, text: str) -> Iterator[Mapping[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":  # one object a line
            raise InputError("file.not_array", file=path.name) from error
        line = getattr(error, "lineno", 1)
        raise InputError("file.bad_json_line", file=path.name, row=line) from error
    if not isinstance(rows, list):
        raise InputError("file.not_array", file=path.name)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError("file.not_object", file=path.name, row=number)
        yield row


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError("file.not_utf8_line", file=path.name, row=line) from error
