"""What the app offers out of the box is there, is well formed, and is what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import read_jsonl
from tuner import presets
from tuner.data.sources import ID
from tuner.errors import InputError
from tuner.settings import PRESETS
from tuner.texts import LANGS

NASTY = {"NAME": 'Tu"na\\n', "AUTHOR": "海洋 \u2028\\ 'Lab'"}


def rows_of(name: str, split: str) -> list[dict[str, Any]]:
    return read_jsonl(presets.embedded()[name].folder / f"{split}.jsonl")


def asked(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(m["content"] for m in row["messages"] if m["role"] == "user")


def folded(row: dict[str, Any]) -> tuple[str, ...]:
    """What was asked, whatever its case, spaces and punctuation."""
    return tuple(re.sub(r"\W", "", text).casefold() for text in asked(row))


def test_models_range_from_half_a_billion_to_32_billion() -> None:
    models = presets.models()
    assert len(models) >= 12
    assert len(list((PRESETS / "models").rglob("*.yaml"))) == len(models)
    assert models[0].parameters < 0.6e9
    assert models[-1].parameters > 32e9
    assert {m.id.split("/")[0] for m in models} >= {
        "Qwen", "LLM-Research", "ZhipuAI", "Shanghai_AI_Laboratory", "deepseek-ai",
    }  # fmt: skip


def test_a_models_size_agrees_with_its_name_and_carries_source_and_date() -> None:
    for model in presets.models():
        named = re.search(r"(\d+(?:\.\d+)?)b", model.id.lower())
        assert named, model.id
        # A name rounds: DeepSeek-R1-Distill-Qwen-1.5B has 1.78 B, Llama-3.2-1B has 1.24 B.
        assert float(named[1]) * 0.95 < model.parameters / 1e9 < float(named[1]) * 1.25, model.id
        assert re.search(r"20\d\d-\d\d", model.source), model.id
        assert model.licence, model.id


def test_dataset_ids_have_a_title_in_both_languages_and_the_syntax_of_ms_swift() -> None:
    datasets = presets.datasets()
    assert len(datasets) >= 10
    for dataset in datasets:
        assert ID.fullmatch(dataset.id), dataset.id
        assert set(dataset.title) == set(LANGS), dataset.id


def test_the_starting_plan_of_the_demo_is_a_config() -> None:
    plan = presets.starting_plan("demo")
    assert isinstance(plan.get("learning_rate"), float)
    assert len(list((PRESETS / "plans").glob("*.yaml"))) == 1


def test_there_are_three_embedded_datasets_and_the_identity_set_comes_first() -> None:
    assert list(presets.embedded()) == ["identity", "commands", "headlines"]


@pytest.mark.parametrize(
    ("name", "least"), [("identity", 120), ("commands", 240), ("headlines", 240)]
)
def test_an_embedded_dataset_is_large_enough_and_each_row_a_conversation(
    name: str, least: int
) -> None:
    train, validation = rows_of(name, "train"), rows_of(name, "validation")
    assert len(train) >= least
    assert len(validation) >= 30
    for row in train + validation:
        assert list(row) == ["messages"]
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles
        for message in row["messages"]:
            assert set(message) == {"role", "content"}
            assert message["content"] == message["content"].strip() != ""


@pytest.mark.parametrize("name", ["identity", "commands", "headlines"])
def test_an_embedded_dataset_speaks_both_languages(name: str) -> None:
    rows = rows_of(name, "train") + rows_of(name, "validation")
    chinese = sum(
        bool(re.search(r"[\u4e00-\u9fff]", json.dumps(row, ensure_ascii=False))) for row in rows
    )
    assert 0.2 < chinese / len(rows) < 0.8


@pytest.mark.parametrize("name", ["identity", "commands", "headlines"])
def test_no_question_comes_twice_and_none_of_validation_is_trained_on(name: str) -> None:
    train, validation = rows_of(name, "train"), rows_of(name, "validation")
    assert len({asked(row) for row in train}) == len(train)
    assert len({folded(row) for row in validation}) == len(validation)
    assert not {folded(row) for row in train} & {folded(row) for row in validation}


@pytest.mark.parametrize(("name", "most"), [("identity", 6), ("commands", 3), ("headlines", 2)])
def test_no_rows_are_one_sentence_filled_with_other_words(name: str, most: int) -> None:
    """Few questions share their first four words (or six Chinese characters)."""
    beginnings: dict[str, int] = {}
    for row in rows_of(name, "train"):
        text = row["messages"][0]["content"]
        words = text.split()
        start = " ".join(words[:4]) if len(words) > 4 else text[:6] if not text.isascii() else text
        beginnings[start.casefold()] = beginnings.get(start.casefold(), 0) + 1
    worst = max(beginnings, key=lambda start: beginnings[start])
    assert beginnings[worst] <= most, worst


def test_each_command_is_the_compact_json_that_its_card_promises() -> None:
    card = (PRESETS / "datasets" / "commands" / "README.md").read_text(encoding="utf-8")
    actions = set(re.findall(r"^\| `(\w+)` \|", card, re.MULTILINE))
    assert len(actions) == 12
    for row in rows_of("commands", "train") + rows_of("commands", "validation"):
        answer = row["messages"][-1]["content"]
        command = json.loads(answer)
        assert list(command) == ["action", "target", "value"], answer
        assert command["action"] in actions, answer
        assert answer == json.dumps(command, ensure_ascii=False, separators=(",", ":"))


def test_each_headline_has_the_form_that_its_card_promises() -> None:
    card = (PRESETS / "datasets" / "headlines" / "README.md").read_text(encoding="utf-8")
    topics = set(re.findall(r"^\| ([A-Z]+) \|", card, re.MULTILINE))
    assert len(topics) == 10
    for row in rows_of("headlines", "train") + rows_of("headlines", "validation"):
        topic, bar, summary = row["messages"][-1]["content"].partition(" | ")
        assert topic in topics, topic
        assert bar
        chinese = len(re.findall(r"[\u4e00-\u9fff]", summary))
        assert chinese <= 16 if chinese else len(summary.split()) <= 9, summary
        assert not summary.endswith((".", "。")), summary


@pytest.mark.parametrize("name", ["identity", "commands", "headlines"])
def test_the_counts_on_a_card_are_the_counts_of_the_files(name: str) -> None:
    card = (PRESETS / "datasets" / name / "README.md").read_text(encoding="utf-8")
    counts = [len(rows_of(name, split)) for split in ("train", "validation")]
    assert all(re.search(rf"\b{count}\b", card) for count in counts)


def test_placeholders_are_filled_whatever_the_name_holds(tmp_path: Path) -> None:
    identity = presets.embedded()["identity"]
    for path in identity.fill(NASTY, tmp_path):
        assert "{{" not in path.read_text(encoding="utf-8")
        rows = read_jsonl(path)
        answers = [
            m["content"] for row in rows for m in row["messages"] if m["role"] == "assistant"
        ]
        assert any(NASTY["NAME"] in answer for answer in answers)
        assert any(NASTY["AUTHOR"] in answer for answer in answers)


def test_a_name_that_looks_like_a_placeholder_stays_as_it_was_typed(tmp_path: Path) -> None:
    train, _ = presets.embedded()["identity"].fill(
        {"NAME": "{{AUTHOR}}", "AUTHOR": "Ocean Lab"}, tmp_path
    )
    assert "I am {{AUTHOR}}, an assistant made by Ocean Lab." in train.read_text(encoding="utf-8")


def test_the_same_names_give_the_same_files_and_other_names_leave_them_alone(
    tmp_path: Path,
) -> None:
    identity = presets.embedded()["identity"]
    first = identity.fill({"NAME": "Tuna", "AUTHOR": "Lab"}, tmp_path)
    before = first[0].read_bytes()
    other = identity.fill({"NAME": "Cod", "AUTHOR": "Lab"}, tmp_path)
    again = identity.fill({"NAME": " Tuna ", "AUTHOR": "Lab"}, tmp_path)
    assert first == again
    assert first != other
    assert first[0].read_bytes() == before


def test_an_empty_name_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="AUTHOR"):
        presets.embedded()["identity"].fill({"NAME": "Tuna", "AUTHOR": "  "}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_model_is_one_that_ms_swift_knows_by_this_id() -> None:
    from swift.model import get_model_list

    known = set(get_model_list())
    assert [model.id for model in presets.models() if model.id not in known] == []


@pytest.mark.slow
def test_every_dataset_is_in_ms_swifts_registry_and_so_is_its_subset() -> None:
    from swift.dataset import DATASET_MAPPING
    from swift.dataset.dataset_syntax import DatasetSyntax
    from swift.dataset.loader import DatasetLoader

    known = {meta.ms_dataset_id: meta for meta in DATASET_MAPPING.values()}
    for preset in presets.datasets():
        syntax = DatasetSyntax.parse(preset.id)
        meta = known[syntax.dataset]
        chosen = DatasetLoader._select_subsets(syntax.subsets, meta)
        assert chosen, preset.id
        names = {getattr(subset, "name", subset) for subset in meta.subsets}
        assert set(syntax.subsets) <= names, preset.id
