"""A search finds what was planted in a look, says so in both languages, and is silent otherwise."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.looks import Given, make_look
from tests.helpers import chat
from tuner.data.findings.flags import Flag, read_flags
from tuner.data.findings.gather import Limits
from tuner.data.findings.kept import FINDINGS, read_findings
from tuner.data.findings.scan import find
from tuner.data.findings.scan import serve as verb
from tuner.data.findings.scripts import SCRIPTS
from tuner.data.rows import Rows
from tuner.errors import InputError, NotFoundError
from tuner.records import DataFinding, from_dict
from tuner.texts import LANGS, catalogue
from tuner.workers.child import Call, Cancelled

Row = dict[str, Any]
WORDS = (
    "river", "stone", "light", "mountain", "garden", "winter", "letter", "harbour", "silver", "window",
    "morning", "forest", "engine", "market", "shadow", "bridge", "copper", "island", "summer", "paper",
    "lantern", "meadow", "thunder", "village", "ocean", "curtain",
)  # fmt: skip
HAN = "山水风云花月春秋江湖天地人心日夜东西南北古今城门书画琴棋酒茶松竹梅兰雪雨霜露星辰河海川谷"


def english(seed: int, words: int = 40) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) + rng.choice(("", "s", "ly", "er")) for _ in range(words))


def chinese(seed: int, characters: int = 60) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(HAN) for _ in range(characters))


def clean(language: Callable[[int], str], count: int, first: int = 0) -> list[Row]:
    """Rows without a fault, every one different."""
    return [chat(language(2 * n), language(2 * n + 1)) for n in range(first, first + count)]


def search(
    folder: Path, train: Given, validation: Given = (), held: Sequence[int] = (), **limits: int
) -> dict[str, DataFinding]:
    """The findings by name; each says itself in both languages, also after it was kept."""
    make_look(folder, train, validation, held)
    found = find(folder, lambda *_: None, lambda: None, Limits(**limits))
    kept = [from_dict(DataFinding, value) for value in json.loads((folder / FINDINGS).read_bytes())]
    assert [f.name for f in kept] == [f.name for f in found]
    for finding in (*found, *kept):
        for sentence in (finding.what, finding.advice):
            assert all(sentence.say(lang) for lang in LANGS)
        assert len(finding.examples) <= 8
        assert all(len(example.text) <= 160 for example in finding.examples)
    return {finding.name: finding for finding in found}


def flagged(folder: Path, flag: Flag) -> list[int]:
    return np.flatnonzero(read_flags(folder) & flag).tolist()


@pytest.mark.parametrize("language", [english, chinese])
def test_a_clean_set_has_no_findings(tmp_path: Path, language: Callable[[int], str]) -> None:
    rows = clean(language, 60)
    assert search(tmp_path, rows, clean(language, 20, first=100), held=range(10)) == {}
    assert not read_flags(tmp_path).any()


@pytest.mark.parametrize("language", [english, chinese])
def test_copies_are_told_and_one_of_each_stays(
    tmp_path: Path, language: Callable[[int], str]
) -> None:
    rows = clean(language, 30)
    changed = chat(language(0), language(1)[:-3] + "!")
    found = search(tmp_path, [*rows, rows[3], rows[3], changed])
    assert found["exact_duplicates"].count == 2
    assert found["near_duplicates"].count == 1
    assert [e.row for e in found["exact_duplicates"].examples] == [4, 31, 4, 32]
    assert [e.row for e in found["near_duplicates"].examples] == [1, 33]
    assert flagged(tmp_path, Flag.EXACT_DUPLICATE) == [30, 31]
    assert flagged(tmp_path, Flag.NEAR_DUPLICATE) == [32]
    assert {f.severity for f in found.values()} == {"warning"}


@pytest.mark.parametrize("language", [english, chinese])
def test_a_validation_row_that_trains_is_a_leak(
    tmp_path: Path, language: Callable[[int], str]
) -> None:
    rows, checks = clean(language, 30), clean(language, 10, first=100)
    nearly = chat(language(8), language(9) + "!")
    leakage = search(tmp_path, rows, [*checks, rows[2], nearly])["leakage"]
    assert (leakage.count, leakage.severity) == (2, "serious")
    assert leakage.what.params == {"count": 2, "rows": 12, "exact": 1, "near": 1}
    assert [(e.side, e.row) for e in leakage.examples] == [
        ("train", 3), ("eval", 11), ("train", 5), ("eval", 12),
    ]  # fmt: skip
    assert flagged(tmp_path, Flag.LEAKED) == [2, 4]


def test_what_a_split_holds_out_counts_as_validation_and_stays(tmp_path: Path) -> None:
    rows = clean(english, 30)
    found = search(tmp_path, [rows[0], *rows, chat(english(12), english(13) + "!")], held=[1, 31])
    assert found["leakage"].count == 2
    # What trains goes, what validates stays: nothing is lost when both flags are cleaned.
    assert flagged(tmp_path, Flag.LEAKED) == [0, 7]
    assert flagged(tmp_path, Flag.EXACT_DUPLICATE) == [0]
    assert flagged(tmp_path, Flag.NEAR_DUPLICATE) == [7]


def test_rows_that_share_an_instruction_or_a_text_are_no_copies(tmp_path: Path) -> None:
    order = (
        "Read the following review with care and say in one sentence what the writer means. " * 5
    )
    asked = [chat(f"{order}{english(n, 15)}", english(1000 + n)) for n in range(40)]
    text = english(7, 300)
    about = [chat(f"{text}\n{english(5000 + n, 6)}?", english(2000 + n, 6)) for n in range(5)]
    assert search(tmp_path, [*asked, *about]) == {}


def test_other_pictures_make_other_rows(tmp_path: Path) -> None:
    rows = [chat("<image>What is this?", english(1)) | {"images": [f"{n}.png"]} for n in range(8)]
    assert search(tmp_path, rows) == {}


def test_answers_without_a_word_and_of_one_word_are_told(tmp_path: Path) -> None:
    bad = ["", " \u200b", "。", "<think>well</think>", "Yes.", "好的"]
    rows = [*clean(english, 20), *(chat(chinese(900 + n), text) for n, text in enumerate(bad))]
    found = search(tmp_path, [*rows, {"messages": [{"role": "user", "content": english(5)}]}])
    assert flagged(tmp_path, Flag.EMPTY_ANSWER) == [20, 21, 22, 23, 26]
    assert flagged(tmp_path, Flag.ONE_WORD_ANSWER) == [24, 25]
    assert (found["empty_answers"].count, found["one_word_answers"].count) == (5, 2)


def test_labels_are_no_fault(tmp_path: Path) -> None:
    labels = [chat(english(n), ("positive", "negative")[n % 2]) for n in range(60)]
    assert search(tmp_path, labels) == {}


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry, but I cannot help with that request.",
        "很抱歉，这个问题我暂时没有办法回答您。",
    ],
)
def test_an_answer_to_everything_is_told(tmp_path: Path, answer: str) -> None:
    rows = [chat(english(n), answer) for n in range(300, 324)]
    repeated = search(tmp_path, [*clean(chinese, 50), *rows])["repeated_answers"]
    assert repeated.what.params == {"count": 23, "rows": 74, "answers": 1, "most": 24}
    assert flagged(tmp_path, Flag.REPEATED_ANSWER) == list(range(51, 74))


def test_placeholders_are_told_where_they_stand(tmp_path: Path) -> None:
    rows = clean(english, 20)
    rows[4] = chat(english(8), english(9) + "\nYours sincerely, [Your Name]")
    rows[5] = chat("你好，我是{{姓名}}，" + chinese(1), chinese(2))
    placeholders = search(tmp_path, rows)["placeholders"]
    assert flagged(tmp_path, Flag.PLACEHOLDER) == [4, 5]
    assert "[Your Name]" in placeholders.examples[0].text
    assert "{{姓名}}" in placeholders.examples[1].text


SECRETS = {
    "key": "sk-proj-Zk3VbQ8mT1xW9rLpYc7HdUf2Nj6Ga5Se",
    "password": "hunter2-and-more",
    "email": "alice.liddell@wonderland.org",
    "phone": "13712894563",
    "id": "11010519491231002X",
    "card": "6222 0212 3456 7894",
}


def test_no_secret_is_shown_anywhere(tmp_path: Path) -> None:
    said = (
        f"{SECRETS['key']} postgres://root:{SECRETS['password']}@10.0.0.1/ {SECRETS['email']} "
        f"电话{SECRETS['phone']}，身份证{SECRETS['id']}，卡号 {SECRETS['card']}"
    )
    row = chat(f"{english(1)} {said}", f"{said} {english(2, 200)} {{{{name}}}} {said}")
    rows = [*clean(chinese, 30), row, row, chat(said, ""), chat(said, f"{english(3, 400)} {said}")]
    rows += [chat(english(n), said) for n in range(500, 524)]
    found = search(tmp_path, rows, [row])
    assert {"secrets", "personal_data", "exact_duplicates", "leakage", "placeholders"} <= set(found)
    assert {"empty_answers", "repeated_answers"} <= set(found)
    assert found["secrets"].severity == "serious"
    counts = found["personal_data"].what.params
    assert [counts[kind] for kind in ("emails", "phones", "ids", "cards")] == [29] * 4
    text = (tmp_path / FINDINGS).read_text(encoding="utf-8")
    for value in SECRETS.values():
        assert value not in text
        assert value[4:-3] not in text
    assert "al***@w***.org" in text
    assert flagged(tmp_path, Flag.SECRET) == flagged(tmp_path, Flag.PERSONAL_DATA)


def test_a_validation_set_of_another_kind_is_told(tmp_path: Path) -> None:
    found = search(tmp_path, clean(english, 60), clean(chinese, 20))
    assert found["script_mix"].what.params == {"count": 20, "train": 100, "validation": 0}
    assert found["length_mix"].what.params["train"] > found["length_mix"].what.params["validation"]


def test_few_rows_of_another_kind_may_be_chance(tmp_path: Path) -> None:
    assert search(tmp_path, clean(english, 5), clean(chinese, 2)) == {}


def test_every_script_has_its_sentence() -> None:
    assert all(f"finding.script_mix.what_{script}" in catalogue() for script in SCRIPTS)


def test_far_too_long_rows_and_small_channels_are_told(tmp_path: Path) -> None:
    rows = [row | {"channel": "chat"} for row in clean(english, 60)]
    rows[7] = chat(english(1), english(2, 4000)) | {"channel": "code"}
    found = search(tmp_path, rows)
    assert flagged(tmp_path, Flag.LENGTH_OUTLIER) == [7]
    assert found["length_outliers"].count == 1
    channels = found["unbalanced_channels"].what.params
    assert channels == {"count": 1, "least": "code", "largest": "chat", "most": 59}


def test_where_only_a_sample_is_compared_the_finding_says_so(tmp_path: Path) -> None:
    rows = clean(english, 20)
    near = [chat(english(2 * n), english(2 * n + 1) + "!") for n in range(20)]
    found = search(tmp_path, [*rows, *near, *rows, *rows], exactly=40, nearly=60)
    assert "60" in found["near_duplicates"].what.say("zh")
    exact = found["exact_duplicates"]
    assert "random sample" in exact.what.say("en")
    # Of a row that is compared every copy is: each stands three times.
    assert exact.count % 2 == 0
    assert 0 < exact.count < 40


def test_rows_of_several_files_keep_their_numbers(tmp_path: Path) -> None:
    rows = clean(english, 10)
    found = search(tmp_path, {"a.jsonl": rows, "b.jsonl": [*clean(chinese, 3), rows[9]]})
    assert [(e.data, e.row) for e in found["exact_duplicates"].examples] == [
        ("a.jsonl", 10), ("b.jsonl", 4),
    ]  # fmt: skip


def test_a_second_search_only_reads_what_the_first_one_left(tmp_path: Path) -> None:
    rows = clean(english, 10)
    first = search(tmp_path, [*rows, rows[0]])
    for store in tmp_path.glob("*.store.jsonl"):
        store.unlink()
    again = find(tmp_path, lambda *_: None, lambda: None)
    assert again == list(first.values())
    np.array([3], "<i8").tofile(tmp_path / "train.held")  # a split that was made after it
    assert read_findings(tmp_path) is None
    with pytest.raises(NotFoundError):
        find(tmp_path, lambda *_: None, lambda: None)


def test_an_empty_look_has_no_findings(tmp_path: Path) -> None:
    assert search(tmp_path, []) == {}
    assert len(read_flags(tmp_path)) == 0


def test_a_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    make_look(tmp_path, clean(english, 10))
    store = Path(Rows.open(tmp_path, "train").stores[0])
    store.write_bytes(store.read_bytes()[40:])
    with pytest.raises(InputError, match=store.name):
        find(tmp_path, lambda *_: None, lambda: None)


def test_the_verb_tells_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    make_look(tmp_path, clean(english, 10))
    told: list[dict[str, Any]] = []
    call = Call(1, told.append)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        verb(call, str(tmp_path))
    assert not (tmp_path / FINDINGS).exists()
    call.cancelled.clear()
    assert verb(call, str(tmp_path)) == {"findings": []}
    assert told[-1]["progress"] == {"stage": "findings", "done": 10, "total": 10}
