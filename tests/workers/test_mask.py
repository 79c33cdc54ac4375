"""The mask that is shown is ms-swift's own: the same tokens, labels and weights, cut in the same place.

The other side of each comparison is a template of ms-swift's own arguments, with
max_length and truncation_strategy set as a run sets them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import chat
from tuner.data.masks import of
from tuner.errors import InputError
from tuner.records import to_dict
from tuner.workers.child import Call
from tuner.workers.mask import cut_up, mask, survivors

TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}
]  # fmt: skip
WITH_TOOLS: dict[str, Any] = {
    "tools": TOOLS,
    "messages": [
        {"role": "user", "content": "今天天气怎么样？"},
        {"role": "tool_call", "content": '{"name": "weather", "arguments": {"city": "海"}}'},
        {"role": "tool_response", "content": '{"sky": "clear 🐟"}'},
        {"role": "assistant", "content": "今天晴，适合出门。"},
    ],
}
TURNS: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Answer briefly. 简短回答。"},
        {"role": "user", "content": " Who are you?\n"},
        {"role": "assistant", "content": "I am Tuna 🐟, 龘靐齉齾"},
        {"role": "user", "content": "你是谁？"},
        {"role": "assistant", "content": "我是一个助手"},
    ],
    "channel": "one",
}
REACT = chat(
    "2 + 3", "Thought: I add.\nAction: sum\nAction Input: 2, 3\nObservation: 5\nFinal Answer: 5"
)
ROWS = {"plain": chat("Who are you?", "I am Tuna 🐟\n"), "turns": TURNS, "react": REACT}


class Fish:
    """A model, asked for masks by the verb and by ms-swift's own template."""

    def __init__(self, folder: Path, model_type: str, template: str) -> None:
        self._processor: Any = None
        self.about: dict[str, Any] = {
            "model": str(folder),
            "model_type": model_type,
            "template": template,
        }

    def mask(self, row: Any, **values: Any) -> dict[str, Any]:
        asked: dict[str, Any] = self.about | {
            "system": None, "loss_scale": None, "max_length": None,
            "truncation_strategy": "delete", "agent_template": None,
        }  # fmt: skip
        return mask(Call(1, lambda _: None), row=row, **(asked | values))

    def by_swift(self, row: Any, **values: Any) -> tuple[Any, dict[str, Any]]:
        from swift.arguments import BaseArguments

        given = {name: value for name, value in values.items() if value is not None}
        arguments = BaseArguments(**self.about, **given)
        if self._processor is None:
            self._processor = arguments.get_model_processor(load_model=False)[1]
        template = arguments.get_template(self._processor)
        template.set_mode("train")
        return template, template.encode(row)


@pytest.fixture(scope="module")
def fish(tiny_model: Path) -> Fish:
    return Fish(tiny_model, "llama", "chatml")


@pytest.fixture(scope="module")
def hybrid() -> Fish:
    place = os.environ.get("TUNER_QWEN3")
    if not place or not Path(place).is_dir():
        pytest.skip("TUNER_QWEN3 names no folder with a Qwen3 model")
    return Fish(Path(place), "qwen3", "qwen3")


def ids_of(found: dict[str, Any], only_kept: bool = False) -> list[int]:
    return [i for p in found["tokens"] if p["kept"] or not only_kept for i in p["ids"]]


def weights_of(found: dict[str, Any]) -> list[float]:
    """The weight of each token that is kept."""
    return [p["weight"] for p in found["tokens"] if p["kept"] for _ in p["ids"]]


def text_of(found: dict[str, Any]) -> str:
    return "".join(piece["text"] for piece in found["tokens"])


def agrees(fish: Fish, row: Any, **values: Any) -> dict[str, Any]:
    """The mask, after it was held against what ms-swift makes of the row."""
    found = fish.mask(row, **values)
    template, encoded = fish.by_swift(row, **values)
    labels, scale = encoded["labels"], encoded.get("loss_scale")
    assert ids_of(found, only_kept=True) == encoded["input_ids"]
    assert weights_of(found) == (scale or [float(label != -100) for label in labels])
    assert found["trained_kept"] == sum(label != -100 for label in labels[1:])
    assert found["loss_scale"] == template._loss_scale
    assert found["prompt"] == template.tokenizer.decode(ids_of(found))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("scale", [None, "last_round", "all", "react", "last_round+hermes"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_tokens_and_weights_are_those_of_ms_swift(
    fish: Fish, row: dict[str, Any], scale: str | None
) -> None:
    found = agrees(fish, row, loss_scale=scale)
    assert text_of(found) == found["prompt"]
    assert found["verdict"] == "ok"
    assert found["trained"] == found["trained_kept"] > 0
    assert not any(piece["raw"] for piece in found["tokens"])
    assert to_dict(of(json.loads(json.dumps(found)))) == found  # nothing of it is lost on the way


@pytest.mark.slow
def test_a_weighted_loss_scale_shows_its_weights_and_a_plain_one_only_zero_and_one(
    fish: Fish,
) -> None:
    assert agrees(fish, REACT, loss_scale="react")["weights"] == [0.0, 1.0, 2.0]
    assert agrees(fish, REACT)["weights"] == [0.0, 1.0]


@pytest.mark.slow
def test_an_earlier_answer_counts_by_default_and_not_in_the_last_round(fish: Fish) -> None:
    default, last = fish.mask(TURNS), fish.mask(TURNS, loss_scale="last_round")

    def trained(found: dict[str, Any]) -> str:
        return "".join(piece["text"] for piece in found["tokens"] if piece["weight"])

    # The token that ends a turn is learned with it.
    assert trained(default) == "I am Tuna 🐟, 龘靐齉齾<|im_end|>\n我是一个助手<|im_end|>\n"
    assert trained(last) == "我是一个助手<|im_end|>\n"


@pytest.mark.slow
def test_a_system_prompt_of_the_run_stands_in_rows_that_have_none(fish: Fish) -> None:
    said = "你是 Tuna。\\nSay so."
    assert "你是 Tuna。\nSay so." in agrees(fish, ROWS["plain"], system=said)["prompt"]
    assert "Say so." not in agrees(fish, TURNS, system=said)["prompt"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["left", "right"])
def test_the_cut_is_where_ms_swift_cuts(fish: Fish, strategy: str) -> None:
    whole = fish.mask(TURNS)
    raw = False
    for limit in range(1, whole["length"] + 2, 3):
        found = agrees(
            fish, TURNS, max_length=limit, truncation_strategy=strategy, loss_scale="react"
        )
        assert ids_of(found) == ids_of(whole)
        lost = max(0, whole["length"] - limit)
        assert found["cut"] == (None if not lost else limit if strategy == "right" else lost)
        assert (found["verdict"] == "ok") == (found["trained_kept"] == found["trained"])
        assert (found["verdict"] == "untrained") == (found["trained_kept"] == 0)
        raw = raw or any(piece["raw"] for piece in found["tokens"])
    assert raw  # some cut fell inside a character, whose bytes were then named


@pytest.mark.slow
def test_delete_drops_a_row_one_token_too_long_and_no_shorter_one(fish: Fish) -> None:
    whole = fish.mask(TURNS)
    fits = agrees(fish, TURNS, max_length=whole["length"])
    assert (fits["dropped"], fits["verdict"]) == (False, "ok")
    over = fish.mask(TURNS, max_length=whole["length"] - 1)
    assert (over["dropped"], over["verdict"], over["cut"]) == (True, "dropped", None)
    assert not any(piece["kept"] for piece in over["tokens"])
    with pytest.raises(ValueError, match="max_length"):
        fish.by_swift(TURNS, max_length=whole["length"] - 1)


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "scale"), [("hermes", "hermes"), ("react_en", "react")])
def test_tools_are_told_as_the_agent_template_tells_them(
    fish: Fish, agent: str, scale: str
) -> None:
    found = agrees(fish, WITH_TOOLS, agent_template=agent, loss_scale=scale)
    assert 2.0 in found["weights"]
    assert "The weather of a city" in found["prompt"]


@pytest.mark.slow
def test_tools_without_an_agent_template_are_refused_with_the_names_to_choose_from(
    fish: Fish,
) -> None:
    with pytest.raises(InputError) as refused:
        fish.mask(WITH_TOOLS)
    assert refused.value.key == "mask.no_agent_template"
    assert {"react_en", "hermes"} <= set(refused.value.params["options"].split(", "))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "robot", "content": "a"}]}, "robot"),
        (chat("q", "\ud800"), "Text"),
    ],
)  # fmt: skip
def test_a_row_that_ms_swift_cannot_encode_is_refused_in_one_line(
    fish: Fish, row: dict[str, Any], word: str
) -> None:
    with pytest.raises(InputError) as refused:
        fish.mask(row)
    assert refused.value.key == "mask.refused"
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "value"),
    [("loss_scale", "lost_round"), ("loss_scale", "hermes+all"), ("agent_template", "hermes2"),
     ("truncation_strategy", "middle")],
)  # fmt: skip
def test_a_name_that_ms_swift_does_not_know_is_named(fish: Fish, flag: str, value: str) -> None:
    with pytest.raises(InputError, match=flag):
        fish.mask(ROWS["plain"], **{flag: value})


@pytest.mark.slow
def test_the_empty_think_block_of_a_hybrid_model_does_not_train(hybrid: Fish) -> None:
    found = agrees(hybrid, ROWS["plain"])
    assert found["loss_scale"] == "default+ignore_empty_think"
    weights = {piece["text"]: piece["weight"] for piece in found["tokens"]}
    assert weights["<think>"] == weights["</think>"] == 0.0
    assert all(
        piece["special"]
        for piece in found["tokens"]
        if piece["text"] in ("<think>", "</think>", "<|im_start|>", "<|im_end|>")
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", [None, "last_round", "all", "hermes"])
def test_a_hybrid_model_is_masked_as_ms_swift_does(hybrid: Fish, scale: str | None) -> None:
    for row in (*ROWS.values(), WITH_TOOLS):
        found = agrees(hybrid, row, loss_scale=scale)
        assert text_of(found) == found["prompt"]
        for strategy in ("left", "right"):
            limit = found["length"] * 3 // 4
            agrees(hybrid, row, loss_scale=scale, max_length=limit, truncation_strategy=strategy)


class Other:
    """A tokenizer that is not of bytes: pieces with a mark for a space and bytes for the rest, or whole words."""

    def __init__(self, kind: str) -> None:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

        letters = [chr(n) for n in range(0x21, 0x7F)]
        if kind == "words":
            names = ["[UNK]", *letters, *(f"##{letter}" for letter in letters)]
            self.made = Tokenizer(models.WordPiece(_numbered(names), unk_token="[UNK]"))
            self.made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
            self.made.decoder = decoders.WordPiece(cleanup=False)
            return
        names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters]
        names += [f"▁{letter}" for letter in letters]
        merges = [("▁", letter) for letter in letters]
        self.made = Tokenizer(
            models.BPE(_numbered(names), merges, unk_token="<unk>", byte_fallback=True)
        )
        self.made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        self.made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
             decoders.Strip(" ", 1, 0)]
        )  # fmt: skip

    def encode(self, text: str) -> list[int]:
        return list(self.made.encode(text).ids)

    def decode(self, ids: list[int], **_: Any) -> str:
        return str(self.made.decode(ids, skip_special_tokens=False))

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
        return [self.made.id_to_token(ident) for ident in ids]


def _numbered(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


@pytest.fixture(scope="module", params=["pieces", "words"])
def other(request: pytest.FixtureRequest) -> Other:
    return Other(request.param)


@given(text=st.text(st.sampled_from("ab <>你🐟é\n▁\ufffd"), min_size=1), cut=st.integers(0, 60))
def test_tokens_of_a_vocabulary_without_bytes_are_written_as_its_decoder_does(
    other: Other, text: str, cut: int
) -> None:
    ids = other.encode(text)

    def written(kept: list[bool]) -> list[Any]:
        return cut_up(other, ids, [1.0] * len(ids), kept, ())

    whole = written([True] * len(ids))
    assert "".join(piece.text for piece in whole) == other.decode(ids)
    assert not any(piece.raw for piece in whole)
    parts = written([place < cut for place in range(len(ids))])
    assert [i for piece in parts for i in piece.ids] == ids
    assert all("<0x" in piece.text for piece in parts if piece.raw)


@given(
    ids=st.lists(st.integers(0, 5), max_size=40),
    limit=st.integers(1, 45),
    strategy=st.sampled_from(["delete", "left", "right"]),
    protected=st.sets(st.integers(0, 5), max_size=2),
)
def test_what_survives_fits_or_is_protected(
    ids: list[int], limit: int, strategy: str, protected: set[int]
) -> None:
    kept = survivors(ids, limit, strategy, protected)
    if len(ids) <= limit:
        assert all(kept)
    elif strategy == "delete":
        assert not any(kept)
    else:
        shields = sum(ident in protected for ident in ids)
        assert sum(kept) == max(limit, shields)
        free = [stays for ident, stays in zip(ids, kept, strict=True) if ident not in protected]
        assert free == sorted(free, reverse=strategy == "right")
