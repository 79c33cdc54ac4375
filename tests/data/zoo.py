"""A zoo of small datasets, clean and dirty: what people really hand to ms-swift.

Each kind writes its files the same way every time. :data:`ZOO` has them by
name; ``ZOO[name].write(folder)`` gives an :class:`Entry`: what ``--dataset``
takes, the flags that go with it, and one line of what is odd about it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]
#: Writes its files into a folder and returns what ``--dataset`` takes.
Write = Callable[[Path], Sequence[Path | str]]

#: Tokens at which some rows of every kind are cut or dropped, with the tests' tiny model.
MAX_LENGTH: Final = 96
#: What the JSON loader takes of a file at once (bytes); types are inferred anew in each piece.
CHUNK: Final = 10 << 20


@dataclass(frozen=True)
class Entry:
    """One dataset on disk, as ``swift sft`` is told of it."""

    name: str
    odd: str
    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    agent_template: str | None = None
    system: str | None = None
    max_length: int = MAX_LENGTH


@dataclass(frozen=True)
class Kind:
    """How one dataset of the zoo is made."""

    name: str
    odd: str
    make: Write
    validation: Write | None
    large: bool  #: 10 MB and more
    flags: Mapping[str, Any]

    def write(self, folder: Path) -> Entry:
        """Its files, in ``folder``, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        train = tuple(str(name) for name in self.make(folder))
        checks = tuple(str(name) for name in self.validation(folder)) if self.validation else ()
        return Entry(self.name, self.odd, train, checks, **self.flags)


ZOO: dict[str, Kind] = {}


def kind(
    odd: str, validation: Write | None = None, large: bool = False, **flags: Any
) -> Callable[[Write], Write]:
    """Put what a function writes into the zoo, under the function's name."""

    def put(make: Write) -> Write:
        called = getattr(make, "__name__", "")
        assert called not in ZOO
        ZOO[called] = Kind(called, odd, make, validation, large, flags)
        return make

    return put


# Pieces that the kinds are made of.


def asked(n: int) -> str:
    """The ``n``-th question, in one of two languages."""
    return f"第 {n} 个问题：海有多深？" if n % 3 == 2 else f"Question {n}: how deep is the sea?"


def answered(n: int) -> str:
    """The ``n``-th answer, a few words to a few sentences; every ninth is over :data:`MAX_LENGTH`."""
    words = ("deep", "blue", "海", "Paris", "five", "tide,", "it's", "fish.")
    count = 60 + n if n % 9 == 8 else n % 7 + 1
    return " ".join(words[(n + i) % len(words)] for i in range(count))


def user(content: Any, **more: Any) -> Row:
    """A user's message."""
    return {"role": "user", "content": content} | more


def assistant(content: Any, **more: Any) -> Row:
    """An assistant's message."""
    return {"role": "assistant", "content": content} | more


def system(content: Any) -> Row:
    """A system prompt as a message."""
    return {"role": "system", "content": content}


def chat(n: int, **more: Any) -> Row:
    """The ``n``-th row of one turn."""
    return {"messages": [user(asked(n)), assistant(answered(n))]} | more


def chats(count: int) -> list[Row]:
    """Clean rows of one turn."""
    return [chat(n) for n in range(count)]


def among(rows: list[Row], bad: Sequence[Any]) -> list[Row]:
    """The rows with a bad one after every second."""
    waiting = list(bad)
    mixed: list[Row] = []
    for n, row in enumerate(rows):
        mixed.append(row)
        if n % 2 and waiting:
            mixed.append(waiting.pop(0))
    assert not waiting
    return mixed


def dumped(row: Any) -> str:
    """A row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False)


def text(path: Path, content: str | bytes) -> list[Path]:
    """A file with exactly this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [path]


def jsonl(folder: Path, rows: Iterable[Row], name: str = "rows.jsonl") -> list[Path]:
    """One object a line."""
    return text(folder / name, "".join(dumped(row) + "\n" for row in rows))


def table(folder: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Path]:
    """A CSV file, quoted where it must be."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text(folder / "rows.csv", sink.getvalue())


def in_two_chunks(folder: Path, first: Sequence[Row], second: Sequence[Row]) -> list[Path]:
    """Rows that the JSON loader takes in two pieces: ``first`` ends with a long unknown column."""
    long = {**first[-1], "pad": "x" * (CHUNK // 4)}
    return jsonl(folder, [*first, long, long, long, long, *second])


# Clean rows in every format that ms-swift knows.


@kind("nothing")
def clean(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(30))


@kind("two to six turns; some end with a question, some begin with an answer")
def multi_turn(folder: Path) -> Sequence[Path]:
    rows: list[Row] = []
    for n in range(24):
        turns = [(user, assistant)[i % 2](f"{i} tide") for i in range(2 + n % 5)]
        rows.append({"messages": turns[1:] if n % 8 == 7 else turns})
    rows.append({"messages": [user("a"), user("b"), assistant("asked twice")]})
    rows.append({"messages": [user("a"), assistant("said"), assistant("twice")]})
    return jsonl(folder, rows)


@kind("some rows have a system message, one an empty one, one a system message in the middle")
def system_messages(folder: Path) -> Sequence[Path]:
    rows = chats(20)
    for n in (1, 4, 7):
        rows[n]["messages"].insert(0, system(f"Be brief, {n}."))
    rows[10]["messages"].insert(0, system(""))
    rows[13]["messages"].insert(1, system("too late"))
    rows[16]["messages"].insert(0, system("alone"))
    rows[16]["messages"] = rows[16]["messages"][:1]
    return jsonl(folder, rows)


@kind("a system column that is null in some rows, and empty in one")
def system_column(folder: Path) -> Sequence[Path]:
    return jsonl(folder, [chat(n, system=(f"Be {n}.", None, "")[n % 3]) for n in range(20)])


@kind("a system column beside a system message", system="You are the sea.")
def system_twice(folder: Path) -> Sequence[Path]:
    rows = [chat(n, system_prompt=f"column {n}") for n in range(16)]
    for n in range(0, 16, 2):
        rows[n]["messages"].insert(0, system(f"message {n}"))
    return jsonl(folder, rows)


@kind("ShareGPT: conversations of from and value, a system column, names of other roles")
def sharegpt(folder: Path) -> Sequence[Path]:
    rows: list[Row] = []
    for n in range(20):
        turns = [("human", asked(n)), ("gpt", answered(n)), ("user", "and?"), ("assistant", "no")]
        said = [{"from": who, "value": what} for who, what in turns[: 2 + n % 3]]
        rows.append({"conversations": said, "system": f"S{n}" if n % 4 == 0 else None})
    rows.append({"conversations": [{"from": "system", "value": "sys"}, *rows[0]["conversations"]]})
    rows.append({"conversations": [{"from": "bing", "value": "hi"}, {"from": "gpt", "value": "x"}]})
    return jsonl(folder, rows)


@kind("ShareGPT with function_call and observation, and tools as a JSON string")
def sharegpt_tools(folder: Path) -> Sequence[Path]:
    rows = [
        {
            "conversations": [
                {"from": "human", "value": asked(n)},
                {"from": "function_call", "value": dumped({"name": "dive", "arguments": {"m": n}})},
                {"from": "observation", "value": dumped({"depth": n})},
                {"from": "gpt", "value": answered(n)},
            ],
            "tools": dumped([tool("dive", m="integer")]),
        }
        for n in range(14)
    ]
    return jsonl(folder, rows)


@kind("turns as objects with user and assistant instead of role and content")
def turns_as_objects(folder: Path) -> Sequence[Path]:
    rows: list[Row] = [
        {"conversation": [{"human": asked(n), "assistant": answered(n)}] * (1 + n % 2)}
        for n in range(14)
    ]
    return jsonl(folder, rows)


@kind("query, response and history: as lists, as text, empty, null")
def history(folder: Path) -> Sequence[Path]:
    rows: list[Row] = []
    for n in range(20):
        pasts: list[Any] = [[], None, [["q1", "a1"]], [["q1", "a1"], [f"q{n}", f"a{n}"]]]
        rows.append({"query": asked(n), "response": answered(n), "history": pasts[n % 4]})
    return jsonl(folder, rows)


@kind("history as text that Python would read")
def history_text(folder: Path) -> Sequence[Path]:
    rows: list[Row] = [
        {"query": asked(n), "response": answered(n), "history": repr([["q1", f"a{n}"]] * (n % 3))}
        for n in range(15)
    ]
    rows[4]["history"] = "not a list"
    return jsonl(folder, rows)


@kind("an Alpaca JSON array; empty inputs, one null output, one empty row")
def alpaca(folder: Path) -> Sequence[Path]:
    rows: list[Row] = [
        {"instruction": asked(n), "input": ("", f"input {n}", None)[n % 3], "output": answered(n)}
        for n in range(20)
    ]
    rows[3]["output"] = None
    rows[7] |= {"instruction": "", "input": ""}
    rows[9] |= {"instruction": None, "input": None}
    return text(folder / "rows.json", json.dumps(rows, ensure_ascii=False, indent=1))


@kind("question and answer, with a level that is not used")
def question_answer(folder: Path) -> Sequence[Path]:
    return jsonl(
        folder, ({"question": asked(n), "answer": answered(n), "level": n} for n in range(20))
    )


@kind("prompt and completion, in upper case")
def prompt_completion(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"PROMPT": asked(n), "Completion": answered(n)} for n in range(20)))


@kind("both response and answer, so that neither name wins")
def two_responses(folder: Path) -> Sequence[Path]:
    return jsonl(
        folder, ({"query": asked(n), "output": answered(n), "answer": "other"} for n in range(20))
    )


@kind("solution, which ms-swift also keeps as a column")
def solution(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"problem": asked(n), "solution": answered(n)} for n in range(20)))


@kind("responses in a list, of which the first counts; an empty list among them")
def response_list(folder: Path) -> Sequence[Path]:
    rows: list[Row] = [{"query": asked(n), "response": [answered(n), "second"]} for n in range(14)]
    rows[6]["response"] = []
    return jsonl(folder, rows)


@kind("columns that nobody knows")
def unknown_columns(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"q": asked(n), "a": answered(n)} for n in range(20)))


@kind("columns that nobody knows, named by a flag", columns={"q": "query", "a": "response"})
def named_columns(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"q": asked(n), "a": answered(n)} for n in range(20)))


@kind("a flag for columns that are not there", columns={"nope": "query", "dialog": "messages"})
def named_nothing(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(16))


@kind("a plain text file; blank lines and a last line without an end")
def plain_text(folder: Path) -> Sequence[Path]:
    lines = [answered(n) if n % 5 else "" for n in range(20)]
    return text(folder / "rows.txt", "\n".join(lines))


@kind("rows of text alone")
def text_rows(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"text": answered(n)} for n in range(20)))


@kind("one assistant message a row")
def assistant_only(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"messages": [assistant(answered(n))]} for n in range(20)))


@kind("parquet")
def parquet(folder: Path) -> Sequence[Path]:
    from datasets import Dataset

    rows = among(chats(20), [{"messages": []}, {"messages": None}])
    path = folder / "rows.parquet"
    Dataset.from_list(rows).to_parquet(str(path))
    return [path]


@kind("one object a line, in a file called .json")
def lines_in_json(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(16), "rows.json")


@kind("a JSON array in a file called .jsonl")
def array_in_jsonl(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", json.dumps(chats(16), indent=1))


@kind("a JSON array that begins with an empty line")
def array_after_newline(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.json", "\n" + json.dumps(chats(16)))


@kind("one object that holds columns of lists")
def object_of_columns(folder: Path) -> Sequence[Path]:
    columns = {"query": [asked(n) for n in range(16)], "response": [answered(n) for n in range(16)]}
    return text(folder / "rows.json", json.dumps(columns))


@kind("objects over several lines, one after the other")
def objects_over_lines(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "\n".join(json.dumps(row, indent=1) for row in chats(16)))


@kind("messages as a JSON string, one of them no JSON")
def messages_as_text(folder: Path) -> Sequence[Path]:
    rows = [{"messages": dumped(chat(n)["messages"])} for n in range(16)]
    rows[5]["messages"] = repr(chat(5)["messages"])
    rows[6]["messages"] = "hello"
    rows[7]["messages"] = ""
    return jsonl(folder, rows)


# Several files.


@kind("a folder of two files")
def folder_of_files(folder: Path) -> Sequence[Path]:
    inner = folder / "poems"
    inner.mkdir(exist_ok=True)
    jsonl(inner, chats(15), "a.jsonl")
    jsonl(inner, [chat(n) for n in range(15, 30)], "b.jsonl")
    return [inner]


@kind("a folder with train.jsonl and test.jsonl")
def folder_with_test(folder: Path) -> Sequence[Path]:
    inner = folder / "sea"
    inner.mkdir(exist_ok=True)
    jsonl(inner, chats(15), "train.jsonl")
    jsonl(inner, [chat(n) for n in range(15, 30)], "test.jsonl")
    return [inner]


@kind("a folder of two files with different columns")
def folder_of_formats(folder: Path) -> Sequence[Path]:
    inner = folder / "mixed"
    inner.mkdir(exist_ok=True)
    jsonl(inner, chats(15), "a.jsonl")
    jsonl(inner, ({"query": asked(n), "response": answered(n)} for n in range(15)), "b.jsonl")
    return [inner]


@kind("a part of one file and more than all of another")
def sampled(folder: Path) -> Sequence[str]:
    (one,) = jsonl(folder, chats(30), "one.jsonl")
    (two,) = jsonl(folder, among([chat(n) for n in range(30, 50)], [{"messages": []}]), "two.jsonl")
    return [f"{one}#13", f"{two}#45"]


@kind("two files of different formats")
def two_formats(folder: Path) -> Sequence[Path]:
    pairs = ({"query": asked(n), "response": answered(n)} for n in range(15))
    return [*jsonl(folder, chats(20), "one.jsonl"), *jsonl(folder, pairs, "two.jsonl")]


def _checks(folder: Path) -> Sequence[Path]:
    return jsonl(
        folder, among([chat(n) for n in range(40, 60)], [{"messages": []}]), "checks.jsonl"
    )


@kind("a validation file with a bad row and long ones", validation=_checks)
def own_validation(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(30))


def _some_checks(folder: Path) -> Sequence[str]:
    return [f"{_checks(folder)[0]}#9"]


@kind("a part of a validation file", validation=_some_checks)
def validation_sampled(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(20))


@kind("a folder called like a dataset that ms-swift has code for")
def folder_with_known_name(folder: Path) -> Sequence[Path]:
    inner = folder / "self-cognition"
    inner.mkdir(exist_ok=True)
    rows = ({"query": asked(n), "response": "I am {{NAME}}.", "tag": "en"} for n in range(15))
    jsonl(inner, rows, "a.jsonl")
    return [inner]


@kind("a file whose name holds spaces, #2, brackets, a comma, Chinese")
def odd_name(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(14), " rows #2 (copy), {1}: 海.jsonl")


@kind("a file whose name holds square brackets")
def name_with_brackets(folder: Path) -> Sequence[Path]:
    return jsonl(folder, chats(14), "rows[1].jsonl")


@kind("a file whose name holds a star, beside one that it matches")
def name_with_star(folder: Path) -> Sequence[Path]:
    jsonl(folder, [chat(n) for n in range(14, 28)], "rows-2.jsonl")
    return jsonl(folder, chats(14), "rows*.jsonl")


# Rows that are wrong.


@kind("roles that ms-swift does not know, misses, or spells otherwise")
def bad_roles(folder: Path) -> Sequence[Path]:
    bad = [
        {"messages": [user("q"), {"role": "robot", "content": "a"}]},
        {"messages": [{"content": "who says this?"}, assistant("a")]},
        {"messages": [{"role": None, "content": "q"}, assistant("a")]},
        {"messages": [{"role": "User", "content": "q"}, {"role": "Assistant", "content": "a"}]},
        {"messages": [{"role": "human", "content": "q"}, {"role": "gpt", "content": "a"}]},
        {"messages": [{"role": "", "content": "q"}, assistant("a")]},
        {"messages": [system("alone")]},
        {"messages": [user("no answer")]},
        {"messages": [{"role": "developer", "content": "be brief"}, user("q"), assistant("a")]},
    ]
    return jsonl(folder, among(chats(20), bad))


@kind("empty answers and questions, null contents, no messages")
def empties(folder: Path) -> Sequence[Path]:
    bad: list[Row] = [
        {"messages": [user("q"), assistant("")]},
        {"messages": [user(""), assistant("a")]},
        {"messages": [user("q"), assistant(None)]},
        {"messages": [user(None), assistant("a")]},
        {"messages": []},
        {"messages": None},
        {"messages": [user("q"), {"role": "assistant"}]},
        {"messages": [user("   "), assistant(" \n ")]},
        {"messages": [None, assistant("a")]},
        {},
    ]
    return jsonl(folder, among(chats(24), bad))


@kind("rows without messages, with other columns")
def missing_fields(folder: Path) -> Sequence[Path]:
    bad: list[Row] = [{"other": "columns"}, {"text": "some"}, {"id": 4}, {}]
    return jsonl(folder, among(chats(20), bad))


@kind("no row that can be trained on")
def only_bad(folder: Path) -> Sequence[Path]:
    return jsonl(folder, [{"messages": [user("q"), {"role": "robot", "content": "a"}]}] * 10)


@kind("no row with a word to learn")
def only_questions(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"messages": [user(asked(n))]} for n in range(12)))


@kind("messages among query and response")
def mixed_formats(folder: Path) -> Sequence[Path]:
    pairs: list[Row] = [{"query": asked(n), "response": answered(n)} for n in range(8)]
    return jsonl(folder, among(chats(20), pairs))


@kind("most rows are longer than max_length, some than the model's context")
def over_long(folder: Path) -> Sequence[Path]:
    rows = [
        {"messages": [user(asked(n)), assistant("long tail " * (n * n * 3))]} for n in range(20)
    ]
    rows += [{"messages": [user("long question " * 60), assistant(f"short {n}")]} for n in range(5)]
    rows += [{"messages": [system("long rule " * 60), user("q"), assistant("a")]}]
    return jsonl(folder, rows)


@kind("every row is longer than max_length")
def all_over_long(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"messages": [user("q" * 300), assistant(f"a {n}")]} for n in range(12)))


@kind("two rows, one of them too long")
def few(folder: Path) -> Sequence[Path]:
    return jsonl(folder, [chat(0), chat(8)])


@kind("rows lost and kept beyond the first thousand, of which none is kept")
def first_thousand_lost(folder: Path) -> Sequence[Path]:
    bad = {"messages": [user("q"), {"role": "robot", "content": "a"}]}
    return jsonl(folder, [bad] * 1000 + chats(20))


# Lines that are wrong.


@kind("one line is cut off")
def broken_line(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(20)]
    lines[7] = lines[7][:40]
    return text(folder / "rows.jsonl", "\n".join(lines) + "\n")


@kind("the last line is cut off, as after a full disk")
def broken_end(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "".join(dumped(row) + "\n" for row in chats(20))[:-9])


@kind("a comma after each object")
def commas_after_lines(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "".join(dumped(row) + ",\n" for row in chats(14)))


@kind("two objects on one line")
def two_on_a_line(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(20)]
    return text(folder / "rows.jsonl", " ".join(lines[:2]) + "\n" + "\n".join(lines[2:]))


@kind("blank lines, lines of spaces, no end of the last line")
def blank_lines(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(20)]
    lines[3:3] = ["", "  ", "\t", ""]
    return text(folder / "rows.jsonl", "\n\n" + "\n".join(lines))


@kind("lines end with CR LF")
def crlf(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "".join(dumped(row) + "\r\n" for row in chats(20)))


@kind("lines end with CR alone")
def cr(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "".join(dumped(row) + "\r" for row in chats(12)))


@kind("other line ends that Unicode knows, raw inside texts")
def unicode_line_ends(folder: Path) -> Sequence[Path]:
    ends = ("\u2028", "\u2029", "\u0085", "\x7f")
    rows = [{"messages": [user(asked(n)), assistant(f"a{ends[n % 4]}b")]} for n in range(16)]
    return jsonl(folder, rows)


@kind("a byte order mark before the first row")
def bom(folder: Path) -> Sequence[Path]:
    return text(
        folder / "rows.jsonl",
        b"\xef\xbb\xbf" + "".join(dumped(r) + "\n" for r in chats(20)).encode(),
    )


@kind("a byte order mark before a JSON array")
def bom_array(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.json", b"\xef\xbb\xbf" + json.dumps(chats(20)).encode())


@kind("Chinese in GB 18030")
def gb18030(folder: Path) -> Sequence[Path]:
    return text(
        folder / "rows.jsonl", "".join(dumped(r) + "\n" for r in chats(20)).encode("gb18030")
    )


@kind("UTF-16")
def utf16(folder: Path) -> Sequence[Path]:
    return text(
        folder / "rows.jsonl", "".join(dumped(r) + "\n" for r in chats(20)).encode("utf-16")
    )


@kind("one byte that is not UTF-8")
def bad_byte(folder: Path) -> Sequence[Path]:
    content = "".join(dumped(row) + "\n" for row in chats(20)).encode()
    return text(folder / "rows.jsonl", content.replace(b"Question 3", b"Question \xff", 1))


@kind("a list and a number among the objects")
def not_objects(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(14)]
    lines[4:4] = ["[1, 2]", "3"]
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("nulls among the objects")
def null_lines(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(14)]
    lines[4:4] = ["null"]
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("NaN, which JSON does not know")
def nan_column(folder: Path) -> Sequence[Path]:
    return jsonl(folder, (chat(n, score=float("nan") if n == 5 else n / 2) for n in range(14)))


@kind("an empty file")
def empty_file(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "")


@kind("a file of blank lines")
def only_blank_lines(folder: Path) -> Sequence[Path]:
    return text(folder / "rows.jsonl", "\n" * 20)


# Keys and types that are wrong.


@kind("messages twice in some objects")
def duplicate_keys(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(20)]
    for n in (3, 8):
        lines[n] = '{"messages": [], ' + lines[n][1:]
    lines[12] = lines[12][:-1] + ', "messages": []}'
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("content twice in some messages")
def duplicate_contents(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(20)]
    for n in (3, 8):
        lines[n] = lines[n].replace('"content":', '"content": "the first of two", "content":', 1)
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("response twice in some objects, once null the second time")
def duplicate_responses(folder: Path) -> Sequence[Path]:
    lines = [dumped({"query": asked(n), "response": answered(n)}) for n in range(20)]
    lines[3] = lines[3][:-1] + ', "response": "a second one"}'
    lines[8] = lines[8][:-1] + ', "response": null}'
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("id, source and meta beside the messages")
def extra_columns(folder: Path) -> Sequence[Path]:
    rows = (
        chat(n, id=n, source="sea", meta={"lang": "en", "score": n / 2, "tags": ["a"]})
        for n in range(20)
    )
    return jsonl(folder, rows)


@kind("columns that ms-swift keeps for other tasks: label, margin, dataset, objects, images")
def other_tasks(folder: Path) -> Sequence[Path]:
    rows = (chat(n, label=n % 2, margin=0.5, dataset="mine", images=[]) for n in range(16))
    return jsonl(folder, rows)


@kind("rejected answers, one of them equal to the chosen one")
def rejected(folder: Path) -> Sequence[Path]:
    rows = [chat(n, rejected_response="no") for n in range(16)]
    rows[5]["rejected_response"] = answered(5)
    rows[6]["rejected_response"] = None
    return jsonl(folder, rows)


@kind("keys that only late rows have")
def late_keys(folder: Path) -> Sequence[Path]:
    rows = chats(40)
    for row in rows[35:]:
        row["channel"] = "late"
        row["system"] = "late too"
        row["messages"][1]["loss"] = True
    return jsonl(folder, rows)


@kind("a column that only rows beyond the first 10 MB have", large=True)
def late_chunk_key(folder: Path) -> Sequence[Path]:
    return in_two_chunks(
        folder, chats(10), [chat(n, pad="", channel="late") for n in range(10, 20)]
    )


@kind("a column that rows beyond the first 10 MB miss", large=True)
def late_chunk_without(folder: Path) -> Sequence[Path]:
    return in_two_chunks(folder, [chat(n, system="S") for n in range(10)], chats(10))


@kind("a column that is null in the first 10 MB and text after them", large=True)
def late_chunk_null(folder: Path) -> Sequence[Path]:
    first = [chat(n, system=None) for n in range(10)]
    return in_two_chunks(folder, first, [chat(n, pad="", system="late") for n in range(10, 20)])


@kind("loss on messages beyond the first 10 MB only", large=True)
def late_chunk_loss(folder: Path) -> Sequence[Path]:
    second = [
        {"messages": [user(asked(n)), assistant(answered(n), loss=False)]} for n in range(10, 20)
    ]
    return in_two_chunks(folder, chats(10), second)


@kind("loss on some messages of the first 10 MB, none after them", large=True)
def early_chunk_loss(folder: Path) -> Sequence[Path]:
    first = [
        {"messages": [user(asked(n)), assistant(answered(n), **({"loss": False} if n % 2 else {}))]}
        for n in range(10)
    ]
    return in_two_chunks(folder, first, chats(10))


@kind("answers are text in the first 10 MB and look like times after them", large=True)
def late_chunk_times(folder: Path) -> Sequence[Path]:
    first: list[Row] = [{"query": asked(n), "response": answered(n)} for n in range(10)]
    second = [{"query": asked(n), "response": f"2024-01-{n:02}T10:00:00Z"} for n in range(10, 20)]
    return in_two_chunks(folder, first, second)


@kind("answers look like times in the first 10 MB and are text after them", large=True)
def early_chunk_times(folder: Path) -> Sequence[Path]:
    first: list[Row] = [
        {"query": asked(n), "response": f"2024-01-{n + 1:02}T10:00:00Z"} for n in range(10)
    ]
    return in_two_chunks(
        folder, first, [{"query": asked(n), "response": answered(n)} for n in range(10)]
    )


@kind("answers are text in the first 10 MB and whole numbers after them", large=True)
def late_chunk_numbers(folder: Path) -> Sequence[Path]:
    first: list[Row] = [{"query": asked(n), "response": answered(n)} for n in range(10)]
    return in_two_chunks(folder, first, [{"query": asked(n), "response": n * 7} for n in range(10)])


@kind("rows with a channel, and without")
def channel(folder: Path) -> Sequence[Path]:
    return jsonl(folder, [chat(n, channel=("sea", "land", None)[n % 3]) for n in range(20)])


@kind("channels that are numbers")
def channel_numbers(folder: Path) -> Sequence[Path]:
    return jsonl(folder, [chat(n, channel=n % 3) for n in range(12)])


@kind('"loss" on messages: false, true, null, text, a number')
def loss_flags(folder: Path) -> Sequence[Path]:
    rows = chats(20)
    for n, value in enumerate((False, True, None)):
        rows[n]["messages"][1]["loss"] = value
    for n in range(5, 12):
        rows[n]["messages"] += [user("and?"), assistant("more", loss=n % 2 == 0)]
    return jsonl(folder, rows)


@kind('"loss": false on every answer')
def loss_false(folder: Path) -> Sequence[Path]:
    return jsonl(
        folder,
        ({"messages": [user(asked(n)), assistant(answered(n), loss=False)]} for n in range(12)),
    )


@kind("loss_scale on messages")
def loss_scale(folder: Path) -> Sequence[Path]:
    rows = chats(14)
    for n, value in enumerate((0.0, 0.5, 2.0)):
        rows[n]["messages"][1]["loss_scale"] = value
    return jsonl(folder, rows)


@kind("columns in upper case")
def upper_case_columns(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"Messages": chat(n)["messages"], "SYSTEM": f"S{n}"} for n in range(14)))


@kind("whole numbers beyond 64 bits in a column")
def big_numbers(folder: Path) -> Sequence[Path]:
    return jsonl(folder, (chat(n, id=n * 10**20) for n in range(14)))


@kind("a column that is text, a list, a number or an object")
def mixed_column(folder: Path) -> Sequence[Path]:
    return jsonl(folder, (chat(n, meta=("s", [1], n, {"a": n})[n % 4]) for n in range(14)))


@kind("pictures, for a model that sees none")
def images(folder: Path) -> Sequence[Path]:
    rows = [chat(n, images=["picture.png"] if n % 3 == 0 else []) for n in range(14)]
    rows[0]["messages"][0]["content"] = "<image>what is this?"
    return jsonl(folder, rows)


# Contents that are odd.


@kind("every answer looks like a time")
def times(folder: Path) -> Sequence[Path]:
    return jsonl(
        folder,
        ({"query": asked(n), "response": f"2024-01-{n + 1:02}T10:00:00Z"} for n in range(14)),
    )


@kind("some answers look like times")
def some_times(folder: Path) -> Sequence[Path]:
    answers = [f"2024-01-{n + 1:02}T10:00:00Z" if n % 2 else answered(n) for n in range(14)]
    return jsonl(folder, ({"query": asked(n), "response": a} for n, a in enumerate(answers)))


@kind("every content of every message looks like a time")
def times_in_messages(folder: Path) -> Sequence[Path]:
    days = [f"2024-01-{n + 1:02}" for n in range(14)]
    return jsonl(folder, ({"messages": [user(day), assistant(f"{day} 10:00:00")]} for day in days))


@kind("whole numbers as every answer")
def numbers(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"query": asked(n), "response": n * 7} for n in range(14)))


@kind("numbers and yes or no among text answers")
def mixed_numbers(folder: Path) -> Sequence[Path]:
    answers = (42, 2.5, True, "text")
    return jsonl(folder, ({"query": asked(n), "response": answers[n % 4]} for n in range(16)))


@kind("texts that are JSON by themselves, in a column that also holds a list")
def json_texts(folder: Path) -> Sequence[Path]:
    answers: tuple[Any, ...] = (
        "42",
        "null",
        '{"a": 1}',
        '["x"]',
        "true",
        "plain",
        '"quoted"',
        ["listed"],
    )
    return jsonl(folder, ({"query": asked(n), "response": answers[n % 8]} for n in range(16)))


@kind("texts that are JSON by themselves, in messages of which some hold a list")
def json_texts_in_messages(folder: Path) -> Sequence[Path]:
    answers: tuple[Any, ...] = (
        "42",
        "null",
        '{"a": 1}',
        "true",
        "plain",
        [{"type": "text", "text": "x"}],
    )
    return jsonl(
        folder, ({"messages": [user(asked(n)), assistant(answers[n % 6])]} for n in range(18))
    )


@kind("numbers as every content of messages")
def numbers_in_messages(folder: Path) -> Sequence[Path]:
    return jsonl(folder, ({"messages": [user(n), assistant(n * 7)]} for n in range(14)))


@kind("numbers as some contents of messages")
def mixed_numbers_in_messages(folder: Path) -> Sequence[Path]:
    bad: list[Row] = [
        {"messages": [user("6 * 7?"), assistant(42)]},
        {"messages": [user(6.5), assistant("a float")]},
        {"messages": [user("true?"), assistant(True)]},
        {"messages": [user("an object?"), assistant({"a": 1})]},
    ]
    return jsonl(folder, among(chats(14), bad))


@kind("content as a list of text parts, in every message")
def content_parts(folder: Path) -> Sequence[Path]:
    def parts(content: str) -> list[Row]:
        return [{"type": "text", "text": content}]

    return jsonl(
        folder,
        ({"messages": [user(parts(asked(n))), assistant(parts(answered(n)))]} for n in range(14)),
    )


@kind("content as a list of text parts, in some messages")
def mixed_content_parts(folder: Path) -> Sequence[Path]:
    rows = chats(14)
    for n in (3, 8):
        rows[n]["messages"][0]["content"] = [
            {"type": "text", "text": "one "}, {"type": "text", "text": "two"},
        ]  # fmt: skip
    return jsonl(folder, rows)


@kind("white space at the edges of contents")
def edge_whitespace(folder: Path) -> Sequence[Path]:
    edges = (" ", "\n", "\n\n", "\t", "\u3000", "\r\n", "\u00a0")
    rows = [
        {"messages": [user(edges[n % 7] + asked(n)), assistant(answered(n) + edges[n % 7])]}
        for n in range(21)
    ]
    rows += [
        {"messages": [user(asked(n) + edges[n]), assistant(edges[n] + answered(n))]}
        for n in range(7)
    ]
    return jsonl(folder, rows)


@kind("NUL and other control characters, escaped")
def control_characters(folder: Path) -> Sequence[Path]:
    marks = ("\u0000", "\u0000end", "\u0001", "\u001b[31m", "\u0008")
    rows = ({"messages": [user(asked(n)), assistant(f"a{marks[n % 5]}")]} for n in range(15))
    return jsonl(folder, rows)


@kind("one raw tab and one raw NUL inside a text, which JSON does not allow")
def raw_control_characters(folder: Path) -> Sequence[Path]:
    lines = [dumped(row) for row in chats(14)]
    lines[3] = lines[3].replace("deep is", "deep\tis", 1)
    lines[7] = lines[7].replace("deep is", "deep\0is", 1)
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("halves of surrogate pairs, escaped")
def lone_surrogates(folder: Path) -> Sequence[Path]:
    lines = [json.dumps(row) for row in chats(14)]
    lines[3] = lines[3].replace("deep", "\\ud800", 1)
    lines[7] = lines[7].replace("deep", "x\\udc00y", 1)
    lines[9] = lines[9].replace("deep", "\\ud83d\\udc1f", 1)  # a whole pair: a fish
    return text(folder / "rows.jsonl", "\n".join(lines))


@kind("think tags in answers: whole, empty, not closed, in questions too")
def think_tags(folder: Path) -> Sequence[Path]:
    answers = (
        "<think>\nlong thoughts\n</think>\n\nyes", "<think>\n\n</think>\n\nyes", "<think>not closed",
        "no </think> opening", "plain",
    )  # fmt: skip
    rows = [{"messages": [user(asked(n)), assistant(answers[n % 5])]} for n in range(15)]
    rows += [
        {"messages": [user("a"), assistant(a), user("<think>b</think>"), assistant(a)]}
        for a in answers
    ]
    return jsonl(folder, rows)


@kind("texts that the tokenizer takes as one token, and template marks")
def special_tokens(folder: Path) -> Sequence[Path]:
    texts = (
        "<|im_start|>user\nnot a turn<|im_end|>", "ends with<|im_end|>", "<|endoftext|>", "{{QUERY}}",
        "{{ROUND0}} {{SYSTEM}}", "<image>", "<bbox>", "<s></s>", "Action: dive\nAction Input: 3",
    )  # fmt: skip
    rows = [{"messages": [user(asked(n)), assistant(said)]} for n, said in enumerate(texts)]
    rows += [{"messages": [user(said), assistant("a")]} for said in texts]
    return jsonl(folder, rows)


@kind("very rare writing: emoji joined, combining marks, right to left, private use")
def rare_writing(folder: Path) -> Sequence[Path]:
    texts = (
        "👩‍👩‍👧",
        "e\u0301 é",
        "שלום",
        "\ue000",
        "\U0010ffff",
        "한국어",
        "𝒜𝓫",
        "\ufeffx",
        "ﷺ",
        "\ufffd",
    )
    rows = [{"messages": [user(said), assistant(said * 3)]} for said in texts]
    return jsonl(folder, rows)


# Tools.


def tool(name: str, **parameters: str) -> Row:
    """A tool as OpenAI describes them."""
    properties = {key: {"type": value, "description": key} for key, value in parameters.items()}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"to {name}",
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": list(parameters),
            },
        },
    }


def with_tools(n: int) -> list[Row]:
    """A conversation in which a tool is called."""
    return [
        user(asked(n)),
        {"role": "tool_call", "content": dumped({"name": "dive", "arguments": {"metres": n}})},
        {"role": "tool_response", "content": dumped({"depth": n * 10})},
        assistant(answered(n)),
    ]


@kind("tool calls; tools as a JSON string")
def tools_as_text(folder: Path) -> Sequence[Path]:
    tools = dumped([tool("dive", metres="integer")])
    rows: list[Row] = [{"tools": tools, "messages": with_tools(n)} for n in range(14)]
    rows[3]["tools"] = "no JSON"
    rows[4]["tools"] = None
    rows[5]["tools"] = ""
    return jsonl(folder, rows)


@kind("tool calls; tools as lists of different objects", agent_template="hermes", max_length=704)
def tools_as_lists(folder: Path) -> Sequence[Path]:
    all_tools = [tool("dive", metres="integer"), tool("swim", where="string", how="string")]
    rows: list[Row] = [
        {"tools": all_tools[: 1 + n % 2], "messages": with_tools(n)} for n in range(14)
    ]
    rows[6]["tools"] = []
    del rows[7]["tools"]
    return jsonl(folder, rows)


@kind("tool calls and tools as text, told in ReAct", agent_template="react_en", max_length=704)
def tools_in_react(folder: Path) -> Sequence[Path]:
    rows: list[Row] = [
        {"tools": dumped([tool("dive", metres="integer")]), "messages": with_tools(n)}
        for n in range(12)
    ]
    return jsonl(folder, rows + [chat(n) for n in range(12, 18)])


@kind("tool calls as OpenAI writes them", agent_template="hermes", max_length=704)
def openai_tools(folder: Path) -> Sequence[Path]:
    rows = []
    for n in range(14):
        call = {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": "dive", "arguments": dumped({"metres": n})},
        }
        rows.append(
            {
                "tools": [tool("dive", metres="integer")],
                "messages": [
                    user(asked(n)),
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": f"call_{n}", "content": dumped({"depth": n})},
                    assistant(answered(n)),
                ],
            }
        )
    return jsonl(folder, rows)


@kind("tool calls whose content is an object, two in a row")
def tool_objects(folder: Path) -> Sequence[Path]:
    rows = []
    for n in range(12):
        calls: list[Row] = [
            {"role": "tool_call", "content": {"name": "dive", "arguments": {"metres": n}}},
            {"role": "tool_call", "content": {"name": "swim", "arguments": {"to": "shore"}}},
        ]
        answers: list[Row] = [{"role": "tool", "content": "ok", "name": "dive"}] * 2
        rows.append(
            {
                "tools": [tool("dive"), tool("swim")],
                "messages": [user("go"), *calls, *answers, assistant("done")],
            }
        )
    return jsonl(folder, rows)


# Tables.


@kind("CSV: line ends, quotes and commas in cells, Response in upper case, empty cells")
def csv_quoting(folder: Path) -> Sequence[Path]:
    answers = (
        'He said "no", twice',
        "one\ntwo\n\nthree",
        "a,b,,c",
        "",
        " edges ",
        "'",
        '"',
        "\t",
        "NA",
    )
    rows = [(asked(n), answers[n % 9], n) for n in range(27)]
    return table(folder, ("query", "Response", "id"), rows)


@kind("CSV with a byte order mark, CR LF and a system column")
def csv_bom(folder: Path) -> Sequence[Path]:
    (path,) = table(
        folder, ("query", "response", "system"), [(asked(n), answered(n), "S") for n in range(14)]
    )
    return text(path, b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


@kind("CSV whose answers are all numbers")
def csv_numbers(folder: Path) -> Sequence[Path]:
    return table(folder, ("query", "response"), [(asked(n), n * 7) for n in range(14)])


@kind("CSV whose answers are numbers or nothing")
def csv_numbers_or_nothing(folder: Path) -> Sequence[Path]:
    return table(
        folder, ("query", "response"), [(asked(n), n * 7 if n % 3 else "") for n in range(14)]
    )


@kind("CSV with a row of too few cells")
def csv_short_row(folder: Path) -> Sequence[Path]:
    (path,) = table(folder, ("query", "response"), [(asked(n), answered(n)) for n in range(14)])
    return text(path, path.read_bytes() + b"a question alone\n")


@kind("CSV with a row of too many cells")
def csv_long_row(folder: Path) -> Sequence[Path]:
    (path,) = table(folder, ("query", "response"), [(asked(n), answered(n)) for n in range(14)])
    return text(path, path.read_bytes() + b"q,a,more\n")


@kind("CSV with messages as JSON text")
def csv_messages(folder: Path) -> Sequence[Path]:
    return table(folder, ("messages",), [(dumped(chat(n)["messages"]),) for n in range(14)])


@kind("CSV separated by semicolons")
def csv_semicolons(folder: Path) -> Sequence[Path]:
    return text(
        folder / "rows.csv",
        "query;response\n" + "".join(f"{asked(n)};{answered(n)}\n" for n in range(14)),
    )
