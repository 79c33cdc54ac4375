"""Plain rows are counted exactly; what is special is left over; what could change the file ends the count.

The encoder counts letters and the shapes are made by hand, so every expected
number is plain arithmetic.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import chat
from tuner.workers import counter
from tuner.workers.counter import SLOW, Counted, Counting, Deviates, serve
from tuner.workers.shapes import Hazards, Piece, Shape, to_json


class Letters:
    """Takes each character for a token."""

    name = "letters"

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        return [len(text) for text in texts]

    def ids(self, text: str) -> list[int]:
        return [ord(character) for character in text]


#: 5 tokens around "<question>" and the answer; the answer and one token are trained.
TALK: Final = Shape(
    ("user", "assistant"), 5, 1, (Piece(("<", 0, ">"), False), Piece((1,), True))
)  # fmt: skip
#: 7 tokens around "system|question" and "answer."; an answer must not begin with white space.
TOLD: Final = Shape(
    ("system", "user", "assistant"), 7, 2, (Piece((0, "|", 1), False), Piece((2, "."), True)),
    strict_left=frozenset({2}),
)  # fmt: skip
HAZARD: Final = "<|im_end|>"
WORDS: Final = chat("a question", "an answer")


def counting(strict: bool = True) -> Counting:
    shapes = {shape.roles: shape for shape in (TALK, TOLD)}
    return Counting(shapes, Hazards([HAZARD, "<image>"]), Letters(), strict)


def count(*lines: bytes | dict[str, Any], strict: bool = True, start: int = 0) -> Counted:
    """What a piece of these lines holds."""
    data = b"".join(
        (line if isinstance(line, bytes) else orjson.dumps(line)) + b"\n" for line in lines
    )
    return counting(strict).piece(data, start)


def plainly(row: dict[str, Any]) -> tuple[int, int, tuple[str, ...] | None]:
    """Length, trained tokens, and where it is left over the roles that have no shape."""
    said = [(m["role"], m["content"]) for m in row.get("messages") or []]
    if said and row.get("system") is not None and said[0][0] != "system":
        said.insert(0, ("system", row["system"]))
    if not said or any(None in turn for turn in said):
        return SLOW, 0, ()
    roles, texts = tuple(role for role, _ in said), [text for _, text in said]
    if roles not in (TALK.roles, TOLD.roles):
        return SLOW, 0, roles
    if "" in texts or any(HAZARD in text or "<image>" in text for text in texts):
        return SLOW, 0, ()
    if roles == TALK.roles:
        question, answer = texts
        return 5 + len(question) + 2 + len(answer), 1 + len(answer), None
    system, question, answer = texts
    if answer[0].isspace():
        return SLOW, 0, ()
    return 7 + len(system) + 1 + len(question) + len(answer) + 1, 2 + len(answer) + 1, None


TEXT = st.text('aé你🐟 \n\t"\\<|>', max_size=8) | st.sampled_from(
    [HAZARD, f"a{HAZARD}b", "<image> is here", "from 2024-01-01 on", "\u3000wide"]
)
ROLES = st.sampled_from(
    [TALK.roles, TALK.roles, TOLD.roles, ("assistant",), ("user", "tool", "assistant"), ("user", None)]
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row that changes nothing for the others."""
    roles = draw(ROLES)
    messages = [
        {"role": role, "content": draw(st.none() | TEXT) if draw(st.booleans()) else draw(TEXT)}
        for role in roles
    ]
    # Beside a turn of that name a system column ends a strict count; see NO_REASON.
    system = {} if "system" in roles else {"system": st.none() | TEXT}
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "messages": st.sampled_from([messages, messages, messages, [], None]),
                "channel": st.none() | st.sampled_from("xyz"),
                "id": st.none() | st.integers(-(2**63), 2**63 - 1), "来源": TEXT,
            } | system,
        )
    )  # fmt: skip


@st.composite
def written(draw: st.DrawFn, row: dict[str, Any]) -> bytes:
    """A row as JSON in one of the ways in which people write it."""
    ascii_keys = "来源" not in row
    line = draw(
        st.sampled_from(
            [
                orjson.dumps(row),
                json.dumps(row, ensure_ascii=ascii_keys).encode(),
                b"\t" + json.dumps(row, ensure_ascii=False, separators=(" , ", " : ")).encode(),
            ]
        )
    )
    return line + draw(st.sampled_from([b"", b"\r", b"  "]))


@st.composite
def pieces(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Rows and their lines. One row is of words: a piece of nothing but dates is another case."""
    made = [WORDS, *draw(st.lists(rows(), max_size=8))]
    return made, [draw(written(row)) for row in made]


@given(pieces(), st.booleans(), st.booleans(), st.integers(0, 1 << 40))
def test_every_row_is_counted_exactly_or_left_over(
    piece: tuple[list[dict[str, Any]], list[bytes]], strict: bool, ended: bool, start: int
) -> None:
    made, lines = piece
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    found = counting(strict).piece(data, start)
    expected = [plainly(row) for row in made]
    assert found.length.tolist() == [length for length, _, _ in expected]
    assert found.trained.tolist() == [trained for _, trained, _ in expected]
    assert found.slow == [
        (n, roles) for n, (_, _, roles) in enumerate(expected) if roles is not None
    ]
    for at, line in zip(found.offset.tolist(), lines, strict=True):
        assert data[at - start :].startswith(line)
    channels = [row["channel"] for row in made if row.get("channel") is not None]
    assert found.channels == {name: channels.count(name) for name in dict.fromkeys(channels)}


@given(pieces(), st.data())
def test_a_piece_holds_what_its_two_halves_hold(
    piece: tuple[list[dict[str, Any]], list[bytes]], data: st.DataObject
) -> None:
    lines = piece[1]
    middle = data.draw(st.integers(0, len(lines)))
    first = count(WORDS_LINE, *lines[:middle])
    second = count(WORDS_LINE, *lines[middle:], start=sum(len(line) + 1 for line in lines[:middle]))
    whole = count(WORDS_LINE, *lines)
    for name in ("length", "trained", "offset"):
        halves = [getattr(first, name), getattr(second, name)[1:]]
        assert np.array_equal(np.concatenate(halves), getattr(whole, name)), name


WORDS_LINE: Final = orjson.dumps(WORDS)
TURNS: Final = b'[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'


def turn(**message: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "q"}, message]}


#: Lines that could change how ms-swift reads the whole file, and what is said of them.
DEVIATING: Final[dict[str, tuple[bytes | dict[str, Any], str]]] = {
    "an empty line": (b"", "blank"),
    "a line of spaces": (b" \t ", "blank"),
    "half a row": (b'{"messages": [', "json"),
    "two rows in one line": (b'{"id": 1} {"id": 2}', "json"),
    "a comma after the row": (WORDS_LINE + b",", "json"),
    "a byte order mark": (b"\xef\xbb\xbf" + WORDS_LINE, "json"),
    "GBK": ('{"messages": "你好"}'.encode("gbk"), "json"),
    "half a surrogate pair": (b'{"messages": "\\ud83d"}', "json"),
    "not a number": (b'{"id": NaN}', "json"),
    "an array": (b"[" + WORDS_LINE + b"]", "object"),
    "a text": (b'"messages"', "object"),
    "null": (b"null", "object"),
    "tools": (WORDS | {"tools": "[]"}, "columns"),
    "images": (WORDS | {"images": []}, "columns"),
    "images, even empty": (WORDS | {"images": None}, "columns"),
    "another conversation": (WORDS | {"rejected_messages": []}, "columns"),
    "another way to ask": ({"query": "q", "response": "a"}, "columns"),
    "a column in capitals": (WORDS | {"System": "s"}, "columns"),
    "messages in capitals": ({"Messages": WORDS["messages"]}, "columns"),
    "a loss of its own": (WORDS | {"loss_scale": "all"}, "columns"),
    "a column twice": (b'{"id": 1, "id": 2, "messages": %b}' % TURNS, "twice"),
    "messages twice": (b'{"messages": [], "messages": %b}' % TURNS, "twice"),
    "a role twice": (
        b'{"messages": [{"role": "user", "role": "assistant", "content": "a"}]}', "twice",
    ),
    "a content twice": (b'{"messages": [{"role": "user", "content": "", "content": "a"}]}', "twice"),
    "a number with a fraction": (WORDS | {"id": 1.5}, "types"),
    "yes or no": (WORDS | {"id": True}, "types"),
    "a list": (WORDS | {"id": [1]}, "types"),
    "an object": (WORDS | {"id": {"a": 1}}, "types"),
    "a number of more than 64 bits": (b'{"id": 9223372036854775808, "messages": %b}' % TURNS, "types"),
    "a number where texts were": (WORDS | {"name": 7}, "types"),
    "a text where numbers were": (WORDS | {"number": "7"}, "types"),
    "a date where numbers were": (WORDS | {"number": "2024-01-01"}, "types"),
    "messages as a text": ({"messages": "text"}, "messages"),
    "messages as an object": ({"messages": WORDS["messages"][0]}, "messages"),
    "a turn that is a text": ({"messages": ["text"]}, "messages"),
    "a turn that is null": ({"messages": [None]}, "messages"),
    "a turn without a role": (turn(content="a"), "messages"),
    "a turn without a content": (turn(role="assistant"), "messages"),
    "a turn with a loss": (turn(role="assistant", content="a", loss=True), "messages"),
    "a number as content": (turn(role="assistant", content=5), "messages"),
    "parts as content": (turn(role="assistant", content=[{"type": "text", "text": "a"}]), "messages"),
    "a number as role": (turn(role=1, content="a"), "messages"),
}  # fmt: skip
#: Not seen yet: a name that JSON writes with an escape, or that stands twice beside a null.
UNSEEN: Final[dict[str, bytes]] = {
    "a column twice, once with an escape": b'{"id": 1, "i\\u0064": 2, "messages": %b}' % TURNS,
    "a role twice, once with an escape":
        b'{"messages": [{"role": "user", "r\\u006fle": "assistant", "content": "a"}]}',
    "messages twice, null at last": b'{"messages": %b, "messages": null}' % TURNS,
}  # fmt: skip
BEFORE: Final = WORDS | {"name": "a", "number": 1}


@pytest.mark.parametrize("name", DEVIATING)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_row_that_could_change_the_file_is_named(name: str, place: int) -> None:
    line, why = DEVIATING[name]
    lines: list[bytes | dict[str, Any]] = [BEFORE, *[WORDS] * 3]
    lines.insert(1 + place, line)
    with pytest.raises(Deviates) as caught:
        count(*lines)
    assert (caught.value.row, caught.value.why) == (1 + place, why)


@pytest.mark.parametrize("name", UNSEEN)
def test_a_name_that_stands_twice_is_seen_however_it_is_written(name: str) -> None:
    with pytest.raises(Deviates):
        count(WORDS, UNSEEN[name])


#: Rows that change nothing, but hold the name of a column once more: as a text, or with escapes.
NO_REASON: Final[dict[str, bytes | dict[str, Any]]] = {
    "a system column beside a system turn": chat("q", "a", "s") | {"system": None},
    "an answer of one word": chat("What has each message?", "role"),
    "a column that holds its own name": WORDS | {"source": "source"},
    "a Chinese name in ASCII": json.dumps(WORDS | {"来源": "x"}).encode(),
}


@pytest.mark.parametrize("name", NO_REASON)
def test_the_name_of_a_column_may_also_be_a_text(name: str) -> None:
    assert SLOW not in count(NO_REASON[name]).length


def test_a_system_turn_goes_before_a_system_column() -> None:
    both = chat("q", "a", "turn") | {"system": "of the column"}
    assert count(both, strict=False).length.tolist() == [plainly(chat("q", "a", "turn"))[0]]


def test_a_row_that_is_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "LONGEST_ROW", 200)
    with pytest.raises(Deviates) as caught:
        count(WORDS, chat("q", "a" * 200))
    assert (caught.value.row, caught.value.why) == (1, "long")


def test_a_type_may_be_known_late_but_never_changes() -> None:
    found = count(
        WORDS | {"a": None, "b": "2024-01-01"}, WORDS | {"a": 1, "b": "soon"}, WORDS | {"a": None}
    )
    assert found.columns == {"messages": "list", "a": "int", "b": "str"}
    # A column that is dates in one piece and text in another is told to who sees both.
    assert count(WORDS | {"b": "2024-01-01"}).columns["b"] == "time"


DATES: Final = chat("2024-01-01", "2024-01-02 10:00")


@pytest.mark.parametrize(
    "lines",
    [
        [DATES],
        [DATES, DATES],
        [DATES | {"id": "words"}, DATES],
        [DATES | {"system": "Be brief."}],
        [WORDS | {"system": "2024-01-01"}] * 2,
    ],
)
def test_a_piece_of_nothing_but_dates_is_not_text_to_pyarrow(lines: list[dict[str, Any]]) -> None:
    with pytest.raises(Deviates) as caught:
        count(*lines)
    assert caught.value.why == "times"


@pytest.mark.parametrize(
    "lines", [[DATES, WORDS], [DATES, chat("2024-01-01", "2024-1-1")], [chat("in 2024-01-01", "a")]]
)
def test_dates_among_words_are_words(lines: list[dict[str, Any]]) -> None:
    assert SLOW not in count(*lines).length


def test_rows_of_the_loader_are_never_a_reason_to_end() -> None:
    """What ms-swift's loader gave has one type a column already: the special is left over."""
    special = [
        turn(role="assistant", content="a", loss=True),
        turn(role="assistant", content=[{"type": "text", "text": "a"}]),
        WORDS | {"tools": "[]"},
        WORDS | {"images": ["a.png"]},
        WORDS | {"label": 0.5},
        DATES | {"system": 5},
        {"other": 1.5},
    ]
    found = count(*special, DATES, strict=False)
    assert found.slow == [(n, ()) for n in range(len(special))]
    assert found.length[-1] == plainly(DATES)[0]
    for broken in (b"", b"{", b"[]"):
        with pytest.raises(Deviates):
            count(broken, strict=False)


def test_an_empty_piece_holds_nothing() -> None:
    found = counting().piece(b"", 7)
    assert [len(a) for a in (found.length, found.trained, found.offset, found.slow)] == [0] * 4


def test_shapes_come_with_the_piece_that_needs_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(WORDS_LINE + b"\n" + WORDS_LINE + b"\n")
    middle, end = len(WORDS_LINE) + 1, 2 * len(WORDS_LINE) + 2
    shape = Shape(TALK.roles, 5, 1, ())  # of no pieces, so that no encoder is needed
    spec = {
        "path": str(path), "encoder": {"encoder": "none"}, "hazards": [], "shapes": [], "strict": True,
    }  # fmt: skip
    asked: list[Any] = [[0, middle, []], [middle, end, [to_json(shape)]], [middle, end + 1, []]]
    out = io.BytesIO()
    serve(spec, map(json.dumps, asked), out)
    out.seek(0)
    answers = []
    while header := out.readline():
        answers.append(json.loads(header))
        answers[-1]["arrays"] = [
            np.frombuffer(out.read(size * answers[-1].get("rows", 0)), kind).tolist()
            for size, kind in ((4, np.int32), (4, np.int32), (8, np.int64))
        ]
    same = {"rows": 1, "columns": {"messages": "list"}, "channels": {}}
    assert answers == [
        same | {"slow": [[0, list(TALK.roles)]], "arrays": [[SLOW], [0], [0]]},
        same | {"slow": [], "arrays": [[5], [1], [middle]]},
        {"row": 0, "why": "changed", "arrays": [[], [], []]},
    ]
