"""Every length and every trained token is ms-swift's own, on rows made to mislead a quick count.

Rows are drawn at random from hostile pieces, several hundred to a file; a case
is the same each time. Each file goes through the app's own child, and through
ms-swift's loader and template row by row. All rows are compared, not a sample.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.helpers import chat
from tests.workers.test_encoders import qwen_like_model
from tuner.data import counting
from tuner.data.parts import CHECKED, FALLBACK, Asked, Part, PartCounter, Problems
from tuner.data.rows import Columns, Rows, Selection, Side, column, selected
from tuner.files import read_json, write_json
from tuner.records import DatasetReport, ModelInfo
from tuner.workbench import Workbench
from tuner.workers.child import Call
from tuner.workers.encoders import ReferenceEncoder, fuzz
from tuner.workers.probing import Reference
from tuner.workers.shapes import MARKS

pytestmark = pytest.mark.slow

ROWS: Final = 600
#: Names the folder of a model with Qwen3's tokenizer.
QWEN3: Final = "TUNER_QWEN3"

Row = dict[str, Any]
#: Length and trained tokens; None where the template refuses the row.
Pair = tuple[int, int] | None

# Contents.

EDGES: Final = (
    " ", "  ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\u00a0",
    "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "\u180e",
)  # fmt: skip
THINKING: Final = (
    "<think>", "</think>", "<think>\n\n</think>\n\n", "<think>\n\n</think>", "<think></think>", "<think>\n",
    "\n</think>\n\n", "<think>\nwhy\n</think>\n\nso", "<think>why</think>", "</think><think>", "<think>why",
    "<think>a</think>b<think>c</think>d", "<THINK>", "</think>\n", "/no_think", "/think",
)  # fmt: skip
STOPS: Final = (
    "<|im_end|>", "<|im_end|>\n", "<|im_end|>\n<|im_start|>", "<|endoftext|>", "<|eot_id|>", "</s>", "<|im_start|>",
    "<|im_start|>assistant\n", "<|im_sta", "|im_end|>", "<|end_of_text|>", "<|begin_of_text|>",
)  # fmt: skip
MISLEADING: Final = (
    *MARKS, "{{", "}}", "{{QUERY", "{QUERY}}", "{{ROUND0}}{{ROUND1}}", "{{ROUND2}}", "{{SYSTEM}}\n", "%s", "{0}", "{}",
    "Action:", "Action Input:", "Observation:", "<tool_call>", "</tool_call>", "<|image_pad|>", "<image", "image>",
    "XQ00ZT", "XQ01ZT", "None", "null", "[]", "-100", "user", "assistant\n", "system", '"role"', '\\"role\\"',
    "2024-01-01", "2024-01-01T00:00:00", "\\u0041", "\\", "\\n", '"', "\x00", "\x07", "\x7f",
)  # fmt: skip
WORDS: Final = (
    "the cat sat", "Who are you?", "I'm", "don't", "你是谁？", "我是一个助手。", "今天晴", "こんにちは", "한국어", "각",
    "привет", "مرحبا", "हिन्दी", "ไทย", "e\u0301", "\u0301", "n\u0303\u0323", "Å", "ﬁ", "🐟", "👩‍👩‍👧‍👦", "🇨🇳", "❤️", "123", "3.14",
    "def f():\n    return 1", "a" * 60, "=-=-=-", "https://a.b/c?d=e", "ẞ", "İ",
)  # fmt: skip
STRANGE: Final = tuple(fuzz(2_000, 11))


def content(draw: random.Random) -> str:  # noqa: PLR0911 (one kind of hostility a line)
    """A text that is hostile in some way, or in none."""
    kind = draw.random()
    if kind < 0.3:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))
    if kind < 0.34:
        return ""
    if kind < 0.36:
        return draw.choice(EDGES)
    if kind < 0.37:
        return draw.choice(WORDS) * draw.randint(200, 1500)
    if kind < 0.55:  # white space at an edge
        text = draw.choice(WORDS)
        return draw.choice((*EDGES, "")) + text + draw.choice((*EDGES, ""))
    if kind < 0.7:
        return draw.choice(STRANGE)
    pieces = draw.choice((THINKING, THINKING, STOPS, MISLEADING))
    found = [draw.choice((*pieces, draw.choice(WORDS))) for _ in range(draw.randint(1, 3))]
    return draw.choice(("", " ", "\n")).join(found) + draw.choice(("", "", draw.choice(EDGES)))


def quiet(draw: random.Random) -> str:
    """A text as people write it."""
    return " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))


# Conversations. What is in a plain one changes nothing for other rows of its file.

TALKS: Final = (
    ("user", "assistant"),
    ("user", "assistant"),
    ("user", "assistant") * 2,
    ("user", "assistant") * 4,
    ("system", "user", "assistant"),
    ("system", *("user", "assistant") * 3),
)
ODD: Final = (
    ("user",), ("assistant",), ("system",), ("assistant", "user", "assistant"), ("user", "assistant", "user"),
    ("user", "user", "assistant"), ("user", "assistant", "assistant"), ("assistant", "assistant"), ("system", "assistant"),
    ("user", "system", "assistant"), ("system", "system", "user", "assistant"), ("user", "user", "user", "assistant"),
    ("user", "assistant", "user", "user", "assistant"), ("human", "gpt"), ("user", "bot"), ("user", "robot"), ("system", "user"),
    ("user", "assistant", "tool", "assistant"), ("user", "tool_call", "tool_response", "assistant"), ("tool", "assistant"),
    ("user", "function_call", "observation", "assistant"), ("User", "Assistant"), (),
)  # fmt: skip


def plain(draw: random.Random, number: int) -> Row:
    """A row that is counted where it lies: messages of role and content, a system column."""
    roles = draw.choice(TALKS) if draw.random() < 0.8 else draw.choice(ODD)
    say = quiet if draw.random() < 0.4 else content
    row: Row = {"messages": [{"role": role, "content": say(draw)} for role in roles]}
    if draw.random() < 0.2:
        row["system"] = draw.choice((None, "", "Be brief.", say(draw)))
    if row["messages"] and draw.random() < 0.02:
        draw.choice(row["messages"])["content"] = None
    if draw.random() < 0.02:
        row["messages"] = None
    return row | {"id": number}


def weighted(draw: random.Random, number: int) -> Row:
    """A row some of whose messages say whether they count in the loss, or hold other keys."""
    row = plain(draw, number)
    for message in row["messages"] or ():
        kind = draw.random()
        if kind < 0.25:
            message["loss"] = draw.choice((True, False, None))
        elif kind < 0.3:
            message["name"] = "somebody"
    return row


TOOLS: Final = (
    {"type": "function", "function": {"name": "tide", "description": "潮汐 <|im_end|>", "parameters": {
        "type": "object", "properties": {"at": {"type": "string", "enum": ["a", " b "]}}, "required": ["at"]}}},
    {"type": "function", "function": {"name": "dive", "description": "", "parameters": {
        "type": "object", "properties": {"depth": {"type": "number", "default": 1.5}, "how": {"type": "string"}}}}},
    {"name": "bare", "description": "No wrapper.", "parameters": {}},
)  # fmt: skip
CALL: Final = json.dumps({"name": "tide", "arguments": {"at": " b\n"}}, ensure_ascii=False)


def with_tools(draw: random.Random, number: int) -> Row:
    """A row in which tools are told of, and called in some."""
    row = plain(draw, number)
    if row["messages"] and draw.random() < 0.5:
        row["messages"] = [
            {"role": "user", "content": content(draw)}, {"role": "tool_call", "content": CALL},
            {"role": "tool_response", "content": content(draw)}, {"role": "assistant", "content": content(draw)},
        ]  # fmt: skip
    chosen = draw.sample(TOOLS, draw.randint(1, len(TOOLS)))
    if draw.random() < 0.8:
        row["tools"] = json.dumps(chosen, ensure_ascii=draw.random() < 0.5)
    return row


def written(
    path: Path, make: Callable[[random.Random, int], Row], seed: int, count: int = ROWS
) -> Path:
    """A file of such rows, as different programs write JSON."""
    draw = random.Random(seed)
    first = chat("What is the capital of France?", "The capital of France is Paris.") | {"id": 0}
    with path.open("wb") as sink:
        for number in range(count):
            row = make(draw, number) if number else first
            style = draw.random()
            if style < 0.4:
                line = orjson.dumps(row)
            elif style < 0.7:
                line = json.dumps(row).encode()
            else:
                line = json.dumps(row, ensure_ascii=False, separators=(" ,  ", ": ")).encode()
            sink.write(line + b"\n")
    return path


# ms-swift's own answer.


@dataclasses.dataclass(frozen=True)
class Truth:
    """Rows as ms-swift's loader gives them, in its order, each with what its template makes of it."""

    train: list[tuple[Pair, list[tuple[str, str]]]]
    validation: list[tuple[Pair, list[tuple[str, str]]]]


def truth(model: ModelInfo, *names: Path | str, **flags: Any) -> Truth:
    """By ms-swift's arguments, loader and template."""
    from swift.arguments import SftArguments

    assert model.path
    arguments = SftArguments(
        model=model.path, model_type=model.model_type, template=model.template, dataset=[str(n) for n in names],
        torch_dtype="float32", check_model=False, report_to=["none"], load_from_cache_file=False, data_seed=42,
        output_dir=os.environ["MODELSCOPE_CACHE"], add_version=False, **{"dataset_shuffle": False} | flags,
    )  # fmt: skip
    arguments.dataset_num_proc = None  # in this process, which is quicker for a few rows
    _, processor = arguments.get_model_processor(load_model=False)
    template = arguments.get_template(processor)
    template.set_mode("train")
    template.max_length = 2**31 - 1
    train, validation = arguments.load_dataset()
    return Truth(_encoded(template, train), _encoded(template, validation))


def _encoded(template: Any, rows: Any) -> list[tuple[Pair, list[tuple[str, str]]]]:
    found: list[tuple[Pair, list[tuple[str, str]]]] = []
    for row in rows or ():
        said = [(turn["role"], turn["content"]) for turn in row["messages"]]
        try:
            encoded = template.encode(row, return_length=True)
        except Exception:  # the template refuses it
            found.append((None, said))
            continue
        trained = sum(label != -100 for label in encoded["labels"][1:])
        found.append(((max(encoded["lengths"]), trained), said))
    return found


# The app's answer.


@pytest.fixture(scope="module")
def qwen3(real: Workbench) -> ModelInfo:
    place = os.environ.get(QWEN3)
    if not place:
        pytest.skip(f"{QWEN3} does not name a folder with a model that has Qwen3's tokenizer")
    return real.inspect_model(place)


def look(
    bench: Workbench, model: ModelInfo, *names: Path | str, validation: tuple[str, ...] = (),
    ratio: float = 0.0, system: str | None = None, agent_template: str | None = None,
) -> DatasetReport:  # fmt: skip
    data, shape = bench.resolve_data(
        [str(n) for n in names], validation, ratio, agent_template=agent_template
    )
    return bench.inspect_data(model, data, shape, system)


def found_in(
    folder: str, side: Side = "train", which: Selection | None = None
) -> list[tuple[Pair, list[tuple[str, str]]]]:
    """Each valid row's length, trained tokens and turns; ``which`` chooses some of them."""
    rows = Rows.open(Path(folder), side)
    chosen = selected(Path(folder), which) if which else None
    return [
        ((int(rows.length[n]), int(rows.trained[n])), said(rows.conversation(n)))
        for n in (range(len(rows)) if chosen is None else chosen.tolist())
    ]


ALIASES: Final = {"human": "user", "gpt": "assistant", "bot": "assistant"} | {
    "function_call": "tool_call", "observation": "tool_response", "function_response": "tool_response",
}  # fmt: skip


def said(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Role and content of each turn, roles by the names that ms-swift gives them."""
    return [(ALIASES.get(turn["role"], turn["role"]), turn["content"]) for turn in row["messages"]]


def agree(report: DatasetReport, expected: Truth, read: int) -> None:
    """Fail where one row of the look is not ms-swift's."""
    found = found_in(report.folder)
    wanted = [row for row in expected.train if row[0] is not None]
    assert report.read == read
    assert report.valid == len(wanted) == len(found)
    assert report.problem_count == read - len(wanted)
    different = [
        (ours, theirs) for ours, theirs in zip(found, wanted, strict=True) if ours != theirs
    ]
    assert not different, (len(different), min(different, key=lambda pair: len(repr(pair))))


def numbers_agree(report: DatasetReport, path: Path) -> None:
    """Fail where a row's number or a lost row's number is not that of its line."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    rows = Rows.open(Path(report.folder), "train")
    for place in range(len(rows)):
        kept = rows.conversation(place)["messages"]
        line = lines[rows.where(place)[1] - 1]
        assert said({"messages": kept})[-1] == said(line)[-1]
    lost = [problem.row for problem in report.problems]
    assert sorted([*lost, *(int(row) for row in rows.row)]) == list(range(1, len(lines) + 1))


MAKERS: Final = {"plain": plain, "weighted": weighted}


@pytest.mark.parametrize(
    ("kind", "template", "system"),
    [
        ("plain", "chatml", None), ("plain", "qwen3", None), ("plain", "llama3", "You are Tuna.\n"),
        ("plain", "qwen3", " Be brief"), ("weighted", "chatml", "You are Tuna."), ("weighted", "qwen3", None),
        ("weighted", "llama3", None),
    ],
)  # fmt: skip
def test_every_row_of_a_hostile_file_has_ms_swifts_length_and_trained_tokens(
    real: Workbench, model: ModelInfo, tmp_path: Path, kind: str, template: str, system: str | None
) -> None:
    model = dataclasses.replace(model, template=template)
    path = written(tmp_path / "rows.jsonl", MAKERS[kind], seed=len(template + kind + str(system)))
    report = look(real, model, path, system=system)
    agree(report, truth(model, path, **({"system": system} if system else {})), ROWS)
    numbers_agree(report, path)
    assert report.path == "tokenizers"
    assert CHECKED <= report.checked < report.valid


@pytest.mark.parametrize("template", ["chatml", "qwen3"])
def test_the_quick_encoder_gives_ms_swifts_lengths_too(
    real: Workbench, tiny_model: Path, tmp_path: Path, template: str
) -> None:
    made = real.inspect_model(str(qwen_like_model(tiny_model, tmp_path / "quick")))
    model = dataclasses.replace(made, template=template)
    path = written(tmp_path / "rows.jsonl", plain, 8)
    report = look(real, model, path)
    agree(report, truth(model, path), ROWS)
    assert report.path == "quicktok"
    assert CHECKED <= report.checked < report.valid


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_on_qwen3_every_row_has_ms_swifts_length_and_trained_tokens(
    real: Workbench, qwen3: ModelInfo, tmp_path: Path, kind: str, seed: int
) -> None:
    path = written(tmp_path / "rows.jsonl", MAKERS[kind], seed)
    report = look(real, qwen3, path)
    agree(report, truth(qwen3, path), ROWS)
    assert report.path == "quicktok"
    assert CHECKED <= report.checked < report.valid


@pytest.mark.parametrize("agent_template", [None, "hermes", "react_en"])
def test_rows_with_tools_have_ms_swifts_length_and_trained_tokens(
    real: Workbench, model: ModelInfo, tmp_path: Path, agent_template: str | None
) -> None:
    path = written(tmp_path / "rows.jsonl", with_tools, 5)
    report = look(real, model, path, agent_template=agent_template)
    flags = {"agent_template": agent_template} if agent_template else {}
    agree(report, truth(model, path, **flags), ROWS)
    assert report.path == "tokenizers"
    assert report.checked >= CHECKED


# Which rows train, where some are lost.


def numbered(draw: random.Random, number: int) -> Row:
    """A plain row that is like no other: its last turn ends with its number."""
    row = plain(draw, number)
    if row["messages"] and row["messages"][-1]["content"] is not None:
        row["messages"][-1]["content"] += f" #{number}"
    return row


def kept(rows: list[tuple[Pair, list[tuple[str, str]]]]) -> list[Any]:
    """The rows that the template takes, in an order of their own."""
    return sorted(row for row in rows if row[0] is not None)


def test_a_split_with_lost_rows_holds_out_the_rows_that_ms_swift_holds_out(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    path = written(tmp_path / "rows.jsonl", numbered, 21)
    expected = truth(model, path, split_dataset_ratio=0.2, dataset_shuffle=True)
    everything = [*expected.train, *expected.validation]
    assert any(pair is None for pair, _ in everything), "no row is refused after the split"
    assert len(everything) < ROWS, "no row is lost before the split"
    report = look(real, model, path, ratio=0.2)
    assert sorted(found_in(report.folder, "train", "train.index")) == kept(expected.train)
    assert sorted(found_in(report.folder, "train", "train.held")) == kept(expected.validation)
    numbers_agree(report, path)


def test_counts_with_lost_rows_choose_the_rows_that_ms_swift_chooses(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    one = written(tmp_path / "one.jsonl", numbered, 22, 300)
    two = written(tmp_path / "two.jsonl", numbered, 23, 80)
    checks = written(tmp_path / "checks.jsonl", numbered, 24, 90)
    names = (f"{one}#170", f"{two}#200")  # fewer, and more than there are
    asked = f"{checks}#40"
    expected = truth(model, *names, val_dataset=[asked], dataset_shuffle=True)
    assert any(pair is None for pair, _ in expected.train)
    report = look(real, model, *names, validation=(asked,))
    assert sorted(found_in(report.folder, "train", "train.index")) == kept(expected.train)
    assert sorted(found_in(report.folder, "eval", "eval.index")) == kept(expected.validation)
    assert report.eval_rows == len(kept(expected.validation))


# A quick count that is wrong after all.

#: Tokens of this word are what the wrong encoders get wrong. No trial of a shape holds it.
WORD: Final = "Tuna"


def talk_of_tuna(draw: random.Random, number: int) -> Row:
    """A hostile row; in some a word stands that a wrong encoder miscounts."""
    row = numbered(draw, number)
    for message in row["messages"] or ():
        if message["content"] and draw.random() < 0.3:
            message["content"] += f" I am {WORD}."
    return row


def without_merge(tokenizer_json: str) -> str:
    """The tokenizer, for which :data:`WORD` is one token more."""
    made = json.loads(tokenizer_json)
    merged = [merge for merge in made["model"]["merges"] if "".join(merge).endswith(WORD)]
    assert merged
    made["model"]["merges"] = [m for m in made["model"]["merges"] if m not in merged]
    return json.dumps(made)


def test_an_admitted_encoder_that_turns_out_wrong_counts_nothing_and_the_report_says_so(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    look(real, model, written(tmp_path / "warm.jsonl", plain, 30, 20))
    verdicts = (real.settings.home / "encoders").glob("*.verdict")
    (verdict,) = (path for path in verdicts if read_json(path)["encoder"] == "tokenizers")
    tokenizer = verdict.with_suffix(".json")
    right, fact = tokenizer.read_text(encoding="utf-8"), read_json(verdict)
    path = written(tmp_path / "rows.jsonl", talk_of_tuna, 31)
    try:
        tokenizer.write_text(without_merge(right), encoding="utf-8")
        write_json(verdict, fact | {"files": {tokenizer.name: tokenizer.stat().st_size}})
        report = look(real, model, path)
    finally:
        tokenizer.write_text(right, encoding="utf-8")
        write_json(verdict, fact)
    assert report.path == FALLBACK
    agree(report, truth(model, path), ROWS)
    numbers_agree(report, path)


class OffByOne(ReferenceEncoder):
    """Adds a token to a text that holds :data:`WORD`: to its count, to its tokens, or to both."""

    def __init__(self, file: Path, *where: str) -> None:
        super().__init__(file)
        self._where = where

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        more = "counts" in self._where
        found = super().counts(texts)
        return [n + (more and WORD in text) for n, text in zip(found, texts, strict=True)]

    def ids(self, text: str) -> list[int]:
        more = "ids" in self._where and WORD in text
        return super().ids(text) + [0] * more


def counted(model: ModelInfo, path: Path, folder: Path, *where: str) -> Part:
    """A dataset counted in this process; ``where`` says what its encoder gets wrong.

    The lean processes are given a tokenizer that is wrong where ``where`` says "lean".
    """
    folder.mkdir()
    reference = Reference(str(model.path), str(model.model_type), str(model.template), None)
    right = str(reference.tokenizer_json)
    ours, lean = folder / "ours.json", folder / "lean.json"
    ours.write_text(right, encoding="utf-8")
    lean.write_text(without_merge(right) if "lean" in where else right, encoding="utf-8")
    asked = Asked(
        Call(1, lambda _: None), reference, OffByOne(ours, *where),
        {"encoder": "tokenizers", "file": str(lean)}, folder, {}, 2048,
    )  # fmt: skip
    columns, problems = Columns(folder, "train"), Problems(folder)
    try:
        return PartCounter(asked, "train", 0, str(path), columns, problems).run()
    finally:
        columns.close()
        problems.close()


@pytest.mark.parametrize("where", ["", "lean counts", "ids", "lean ids counts"])
@pytest.mark.parametrize("make", [talk_of_tuna, weighted], ids=["in place", "loaded"])
def test_whatever_an_encoder_gets_wrong_every_length_is_exact(
    model: ModelInfo, tmp_path: Path, where: str, make: Callable[[random.Random, int], Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(counting, "PIECE", 1 << 16)  # a few rows make many pieces

    def mixed(draw: random.Random, number: int) -> Row:
        row = talk_of_tuna(draw, number)
        return row if make is talk_of_tuna or number % 2 else row | {"tools": "[]"}

    path = written(tmp_path / "rows.jsonl", mixed, 41)
    part = counted(model, path, tmp_path / "look", *where.split())
    wanted = [pair for pair, _ in truth(model, path).train if pair is not None]
    length, trained, rows = (
        column(tmp_path / "look", "train", name).tolist() for name in ("length", "trained", "row")
    )
    assert list(zip(length, trained, strict=True)) == wanted
    assert part.path == (FALLBACK if where else "tokenizers")
    lost = (tmp_path / "look" / "problems.jsonl").read_bytes().splitlines()
    assert sorted([*rows, *(orjson.loads(line)["row"] for line in lost)]) == [*range(1, ROWS + 1)]
    assert part.store == str(path) if make is talk_of_tuna else part.store != str(path)
