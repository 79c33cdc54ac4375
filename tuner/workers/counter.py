"""A lean process that counts the tokens of plain rows, one piece of a file after the other.

Started as ``python -m tuner.workers.counter`` by the child that knows the
template; it loads an encoder and the shapes, no torch. A plain row is a JSON
object whose ``messages`` hold a role and a text each. What is not plain is
never guessed at: in a file as it came (``strict``) a row that could change how
the whole file is read ends the count, every other row that is special is left
for ms-swift's own code, with :data:`SLOW` as its length.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from tuner.workers.encoders import Encoder, load
from tuner.workers.shapes import Hazards, Shape, from_json

#: The length of a row that is left for ms-swift's own code.
SLOW: Final = -1
#: Texts of a piece that are left rather than loading another encoder for them.
LEFT: Final = 500
#: A row longer than this (bytes) is no conversation: it has a million tokens, more than any model
#: takes, and encoding it needs a gigabyte.
LONGEST_ROW: Final = 4 << 20
#: Text values that pyarrow takes for times, if a whole piece of a column looks like that.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d")
#: A name spelt with an escape: it may be one that stands there twice.
_ESCAPED_KEY: Final = re.compile(rb'"[^"\\]*\\u[0-9a-fA-F]{4}[^"\\]*"\s*:')
#: Columns that change what ms-swift makes of a row. Others are dropped by it.
_MEANT: Final = re.compile(
    r"(rejected|positive|negative|teacher|__[@#]).*|conversations?|messages|system(_prompt)?|tools|images?|videos?|audios?"
    r"|objects|label|channel|margin|query|response|instruction|input|output|prompt|question|answer|solution|history|loss.*"
    r"|chat_template_kwargs|add_eos|ref_audios|audio_codes|questions|kinds|options|target_probs|state|question_ids|criteria"
    r"|omnijev.*|text|content|completion|target",
    re.IGNORECASE,
)
_TEXT_OR_NONE: Final = (str, type(None))


class Deviates(Exception):
    """A row that could change how the whole file is read. ``row`` counts from 0 in its piece."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row, self.why = row, why


@dataclass
class Counted:
    """What one piece of a file holds. Arrays have one value a row."""

    length: NDArray[np.int32]
    trained: NDArray[np.int32]
    offset: NDArray[np.int64]
    columns: dict[str, str]  #: the top-level keys met, and the type of each one's values
    slow: list[tuple[int, tuple[str, ...]]]  #: rows left over, and their roles where unknown
    channels: dict[str, int]  #: rows of each value of ``channel``


@dataclass
class Counting:
    """How to count: with these shapes and this encoder."""

    shapes: dict[tuple[str, ...], Shape]
    hazards: Hazards
    encoder: Encoder
    strict: bool
    _known: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def piece(self, data: bytes, start: int) -> Counted:
        """Count the rows of ``data``, which begins at byte ``start`` of its file.

        Raises:
            Deviates: a row that is not plain, in a strict count.
        """
        length: list[int] = []
        trained: list[int] = []
        offset: list[int] = []
        slow: list[tuple[int, tuple[str, ...]]] = []
        texts: list[str] = []
        owners: list[int] = []
        counts_in_loss: list[bool] = []
        columns: dict[str, str] = {}
        channels: dict[str, int] = {}
        times = True
        at = start
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines):
            offset.append(at)
            at += len(line) + 1
            row = self._row(number, line, columns)
            if (channel := row.get("channel")) is not None:
                channels[str(channel)] = channels.get(str(channel), 0) + 1
            roles, contents = turns(row)
            if times and not all(map(_TIME.match, _said(row))):
                times = False
            shape = self.shapes.get(roles)
            if (
                shape is None
                or not shape.takes(contents)
                or any(self.hazards(text) for text in contents)
            ):
                slow.append((number, roles if shape is None else ()))
                length.append(SLOW)
                trained.append(0)
                continue
            length.append(shape.fixed)
            trained.append(shape.fixed_trained)
            for piece in shape.pieces:
                texts.append(piece.text(contents))
                owners.append(number)
                counts_in_loss.append(piece.trained)
        if self.strict and lines and (times or columns.get("system") == "time"):
            raise Deviates(0, "times")
        lengths = np.array(length, np.int64)
        trains = np.array(trained, np.int64)
        if texts:
            counts = np.array(self.encoder.counts(texts, LEFT), np.int64)
            owner = np.array(owners)
            left = np.unique(owner[counts < 0])
            counts[counts < 0] = 0
            lengths += np.bincount(owner, counts, len(lengths)).astype(np.int64)
            counts[~np.array(counts_in_loss)] = 0
            trains += np.bincount(owner, counts, len(lengths)).astype(np.int64)
            lengths[left], trains[left] = SLOW, 0
            slow = sorted([*slow, *((int(number), ()) for number in left)])
        return Counted(
            lengths.astype(np.int32), trains.astype(np.int32), np.array(offset, np.int64),
            columns, slow, channels,
        )  # fmt: skip

    def _row(self, number: int, line: bytes, columns: dict[str, str]) -> dict[str, Any]:
        """The row of a line. Raises ``Deviates`` where a strict count must end."""
        if self.strict and len(line) > LONGEST_ROW:
            raise Deviates(number, "long")
        try:
            row = orjson.loads(line)
        except ValueError as error:
            raise Deviates(number, "json" if line.strip() else "blank") from error
        if not isinstance(row, dict):
            raise Deviates(number, "object")
        if self.strict and (why := self._deviation(row, line, columns)) is not None:
            raise Deviates(number, why)
        return row

    def _deviation(self, row: dict[str, Any], line: bytes, columns: dict[str, str]) -> str | None:
        """Why this row could change how the file is read; None when it cannot."""
        keys = tuple(row)
        if keys not in self._known:
            self._known[keys] = all(_allowed(key) for key in keys)
        if not self._known[keys]:
            return "columns"
        if b"\\u" in line and _ESCAPED_KEY.search(line):
            return "escapes"
        for key, value in row.items():
            if _named(line, key) != 1:
                return "twice"
            if key == "messages":
                continue
            if (kind := _kind(value, columns.get(key))) is None:
                return "types"
            if kind:
                columns[key] = kind
        messages = row.get("messages")
        if messages is None:
            return None  # pyarrow fills it with null; ms-swift loses the row
        if not isinstance(messages, list):
            return "messages"
        if messages:
            columns["messages"] = "list"
        for message in messages:
            if (
                not isinstance(message, dict)
                or message.keys() != {"role", "content"}
                or not isinstance(message["role"], _TEXT_OR_NONE)
                or not isinstance(message["content"], _TEXT_OR_NONE)
            ):
                return "messages"
        if any(_named(line, key, len(messages)) != len(messages) for key in ("role", "content")):
            return "twice"
        return None


def _named(line: bytes, key: str, expected: int = 1) -> int:
    """How often a key stands in a row. Twice in one object is an error to pyarrow; here the last wins."""
    quoted = b'"%b"' % key.encode()
    if (found := line.count(quoted)) == expected:
        return found
    # It also stands as a value, or in another spelling: only what a colon follows is a key.
    spellings = {quoted, json.dumps(key).encode()}
    return sum(len(re.findall(re.escape(name) + rb"\s*:", line)) for name in spellings)


def _kind(value: Any, before: str | None) -> str | None:
    """The type of a column after this value; "" for a null, None where the types do not agree."""
    if value is None:
        return ""
    if isinstance(value, str):
        time = _TIME.match(value) is not None and before in (None, "time")
        kind = "time" if time else "str"
        return kind if before in (None, "time", "str") else None
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return "int" if before in (None, "int") else None
    return None


def _allowed(key: str) -> bool:
    return key in {"messages", "system", "channel"} or not _MEANT.fullmatch(key)


def _said(row: Mapping[str, Any]) -> list[str]:
    """The contents of a row's messages, whatever their roles."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return []
    return [
        message["content"]
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), str)
    ]


def turns(row: Mapping[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """Roles and contents of a row that may be plain; no roles for one that is not."""
    messages = row.get("messages")
    if not messages or not isinstance(messages, list):
        return (), []
    if not all(isinstance(message, dict) for message in messages):
        return (), []
    roles: list[str] = []
    contents: list[str] = []
    if (system := row.get("system")) is not None and messages[0].get("role") != "system":
        if not isinstance(system, str):
            return (), []
        roles.append("system")
        contents.append(system)
    for message in messages:
        if len(message) != 2:
            return (), []
        role, content = message.get("role"), message.get("content")
        if not isinstance(content, str) or not isinstance(role, str):
            return (), []
        roles.append(role)
        contents.append(content)
    if any(key not in _PLAIN_KEYS for key in row if _MEANT.fullmatch(key)):
        return (), []
    return tuple(roles), contents


_PLAIN_KEYS: Final = frozenset({"messages", "system", "channel"})


def serve(spec: Mapping[str, Any], requests: Iterable[str], out: BinaryIO) -> None:
    """Count each requested piece and answer: a JSON line, then the three arrays' bytes."""
    counting = Counting(
        {tuple(shape["roles"]): from_json(shape) for shape in spec["shapes"]},
        Hazards(spec["hazards"]), load(spec["encoder"]), spec["strict"],
    )  # fmt: skip
    with Path(spec["path"]).open("rb") as source:
        for request in requests:
            start, end, shapes = json.loads(request)
            counting.shapes |= {tuple(shape["roles"]): from_json(shape) for shape in shapes}
            source.seek(start)
            data = source.read(end - start)
            if len(data) < end - start:
                _send(out, {"row": 0, "why": "changed"}, ())
                continue
            try:
                counted = counting.piece(data, start)
            except Deviates as deviation:
                _send(out, {"row": deviation.row, "why": deviation.why}, ())
                continue
            header = {
                "rows": len(counted.length),
                "columns": counted.columns,
                "slow": counted.slow,
                "channels": counted.channels,
            }
            _send(out, header, (counted.length, counted.trained, counted.offset))


def _send(out: BinaryIO, header: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> None:
    out.write(json.dumps(header).encode() + b"\n")
    out.writelines(array.tobytes() for array in arrays)
    out.flush()


if __name__ == "__main__":
    serve(json.loads(sys.stdin.readline()), sys.stdin, sys.stdout.buffer)
