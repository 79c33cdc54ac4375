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
        found = path.exists()
    except OSError as error:  # a loop of links, a name that is too long
        raise NotFoundError("file.missing", file=str(path)) from error
    if not found:
        raise NotFoundError("file.missing", file=str(path))
    if GLOB & set(str(path.absolute())):
        raise InputError("file.bad_name", file=str(path))
    if path.is_dir():
        return "folder"
    kind = path.suffix.lstrip(".").lower()
    if kind not in KINDS:
        raise InputError("file.unknown_kind", file=path.name, kinds=", ".join(KINDS))
    size = path.stat().st_size
    if size == 0:
        raise InputError("file.empty", file=path.name)
    if kind == "parquet":
        return "parquet"
    if kind == "json" and size > LARGEST_ARRAY:
        raise InputError("file.array_too_large", file=path.name, limit=LARGEST_ARRAY >> 30)
    if size <= HEAD:
        rows = _rows(path, kind)
        first = next(rows, {})
        for _ in rows:
            pass
    else:
        first = _first(path, kind)
    if not first:
        raise InputError("file.empty", file=path.name)
    formats.require(first, columns or {}, path.name)
    return f"{formats.shape(first, columns or {})} ({kind})"


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
            if b"\n" not in source.read(16 * HEAD):
                raise InputError("file.row_too_long", file=path.name, row=1, limit=16 * HEAD >> 20)
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
            yield row


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
