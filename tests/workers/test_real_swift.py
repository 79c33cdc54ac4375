"""What the app measures is what ms-swift does: same rows, same tokens, same split, same template.

The other side of each comparison is ms-swift's own code: its arguments, its
loader, the template that its arguments build, its own preprocessing.
"""

from __future__ import annotations

import csv
import dataclasses
import http.server
import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.helpers import chat, write_jsonl
from tuner.data.lengths import Lengths
from tuner.data.rows import selected
from tuner.errors import InputError, NotFoundError, TunerError, WorkerError
from tuner.records import DatasetReport, ModelInfo
from tuner.settings import Settings
from tuner.workbench import Workbench

pytestmark = pytest.mark.slow


def turns(*texts: str, system: str | None = None) -> dict[str, Any]:
    """A conversation of several turns, user and assistant in turn."""
    messages = [
        {"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)
    ]
    return {
        "messages": ([{"role": "system", "content": system}] if system is not None else [])
        + messages
    }


CLEAN = [
    chat("What is the capital of France?", "The capital of France is Paris."),
    chat("你是谁？", "我是 Tuna，由海洋实验室开发。🐟", system="简短回答。"),
    turns("q1", "a1", "q2", "a2", "q3", "a3"),
    turns("  edges \n", "\n and  spaces ", "\ttab", "nl\n\n", system=" system "),
    chat("long " * 3000, "over any limit of this model"),
    chat("q", ""),
    chat("", "a"),
    chat("<|im_start|>user\nnot a turn<|im_end|>", "text with <think>no\n\n</think> marks"),
    turns("first", "second", "a question without an answer"),
    {"messages": [{"role": "user", "content": "no answer at all"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"},
                  {"role": "assistant", "content": "twice asked"}]},
    {"messages": [{"role": "assistant", "content": "speaks first"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss": False},
                  {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "loss": True}]},
    {"messages": [{"role": "human", "content": "other names"}, {"role": "gpt", "content": "of roles"}]},
]  # fmt: skip
#: Rows that ms-swift loses, each with a word of the reason.
BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": [{"role": "user", "content": "q"}, {"role": "robot", "content": "a"}]}, "robot"),
    ({"messages": []}, "no messages"),
    ({"messages": None}, "no messages"),
    ({"other": "columns"}, "no messages"),
    (
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}]},
        "answer is missing",
    ),
    ({"messages": [{"content": "who says this?"}, {"role": "assistant", "content": "a"}]}, "role"),
    ({"messages": [{"role": "system", "content": "alone"}]}, "messages"),
]


def dirty() -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Clean rows with a bad one after every second, and the bad ones' numbers from 1."""
    rows: list[dict[str, Any]] = []
    bad: dict[int, str] = {}
    waiting = list(BAD)
    for number, row in enumerate(CLEAN):
        rows.append(row)
        if number % 2 and waiting:
            broken, reason = waiting.pop(0)
            rows.append(broken)
            bad[len(rows)] = reason
    assert not waiting
    return rows, bad


def look(
    bench: Workbench, model: ModelInfo, *files: Path | str, validation: tuple[str, ...] = (),
    ratio: float = 0.0, system: str | None = None, seed: int = 42,
) -> DatasetReport:  # fmt: skip
    data, shape = bench.resolve_data([str(f) for f in files], validation, ratio)
    return bench.inspect_data(model, data, shape, system, seed)


def lengths_in(report: DatasetReport) -> list[int]:
    return [int(n) for n in Lengths.load(report.folder).rows]


def by_swift(
    model: Path,
    *files: Path | str,
    template: str = "chatml",
    model_type: str = "llama",
    **flags: Any,
) -> tuple[list[int], list[int], list[dict[str, Any]]]:
    """Lengths of train and validation rows, and the validation rows, by ms-swift's own pipeline."""
    from swift.arguments import SftArguments
    from swift.dataset import AddLengthPreprocessor

    args = SftArguments(
        model=str(model), model_type=model_type, template=template, dataset=[str(f) for f in files],
        torch_dtype="float32", check_model=False, report_to=["none"], load_from_cache_file=False,
        output_dir=str(model.parent / "unused"), add_version=False, **flags,
    )  # fmt: skip
    _, processor = args.get_model_processor(load_model=False)
    encoder = args.get_template(processor)
    encoder.set_mode("train")
    encoder.max_length = 2**31 - 1
    found: list[list[int]] = []
    train, validation = args.load_dataset()
    for part in (train, validation):
        lengths = [] if part is None else AddLengthPreprocessor(template=encoder)(
            part, num_proc=1, load_from_cache_file=False, strict=False
        )["lengths"]  # fmt: skip
        found.append([max(n) if isinstance(n, list) else int(n) for n in lengths])
    return found[0], found[1], [] if validation is None else validation.to_list()


def first_words(row: dict[str, Any]) -> str:
    """What the user said first, in a row as ms-swift's loader gives it (JSON or objects)."""
    first = row["messages"][0]
    return str((json.loads(first) if isinstance(first, str) else first)["content"])


def test_the_model_is_known_and_its_template_checked_token_for_token(model: ModelInfo) -> None:
    assert (model.model_type, model.template, model.template_check) == ("llama", "chatml", "equal")
    assert "chatml" in model.candidates
    assert model.parameters is not None
    assert model.parameters > 100_000
    assert (model.context_length, model.default_system, model.needs_code) == (2048, None, False)


def test_where_no_template_agrees_the_app_asks_and_takes_the_answer(
    real: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny.make(tmp_path_factory.mktemp("models") / "homemade", tiny.HOMEMADE)
    with pytest.raises(InputError) as caught:
        real.inspect_model(str(folder))
    assert caught.value.key == "model.ask_template"
    assert "chatml" in caught.value.say("zh")
    answered = real.inspect_model(str(folder), template="chatml")
    assert (answered.template, answered.template_check) == ("chatml", "differs")


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ({"model_type": "no-such"}, "model.unknown_type"),
        ({"template": "no-such"}, "model.unknown_template"),
    ],
)
def test_a_type_or_template_that_ms_swift_does_not_know_is_named(
    real: Workbench, tiny_model: Path, asked: dict[str, Any], key: str
) -> None:
    with pytest.raises(TunerError) as caught:
        real.inspect_model(str(tiny_model), **asked)
    assert caught.value.key == key
    assert "no-such" in caught.value.say("en")


def test_the_models_own_default_system_prompt_is_found(
    real: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
        + tiny.CHATML
    )
    folder = tiny.make(tmp_path_factory.mktemp("models") / "with-system", own)
    assert real.inspect_model(str(folder)).default_system == "Be kind."


@pytest.mark.parametrize("template", ["chatml", "qwen3", "llama3"])
@pytest.mark.parametrize("system", [None, "You are Tuna."])
def test_lengths_are_those_of_ms_swifts_own_template(
    real: Workbench,
    model: ModelInfo,
    tiny_model: Path,
    tmp_path: Path,
    template: str,
    system: str | None,
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", CLEAN)
    flags = {} if system is None else {"system": system}
    expected, _, _ = by_swift(tiny_model, path, template=template, dataset_shuffle=False, **flags)
    report = look(real, dataclasses.replace(model, template=template), path, system=system)
    assert lengths_in(report) == expected
    assert (report.read, report.valid, report.problem_count) == (len(CLEAN), len(CLEAN), 0)


def test_lost_rows_are_those_that_ms_swift_loses_with_number_and_reason(
    real: Workbench, model: ModelInfo, tiny_model: Path, tmp_path: Path
) -> None:
    rows, bad = dirty()
    path = write_jsonl(tmp_path / "dirty.jsonl", rows)
    report = look(real, model, path)
    expected, _, _ = by_swift(tiny_model, path, dataset_shuffle=False)
    assert lengths_in(report) == expected
    assert (report.read, report.valid, report.problem_count) == (len(rows), len(CLEAN), len(BAD))
    assert [p.row for p in report.problems] == sorted(bad)
    for problem in report.problems:
        assert bad[problem.row] in problem.reason.say("en")


def test_row_numbers_hold_beyond_ms_swifts_batch_of_a_thousand(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    rows = [chat(f"question {n}", f"answer {n}") for n in range(2500)]
    for number in (1, 999, 1000, 1001, 2500):
        rows[number - 1] = {"messages": [{"role": "robot", "content": "x"}]}
    report = look(real, model, write_jsonl(tmp_path / "many.jsonl", rows))
    assert [p.row for p in report.problems] == [1, 999, 1000, 1001, 2500]
    assert (report.read, report.valid) == (2500, 2495)


ALPACA = [
    {"instruction": "Add.", "input": "2 + 3", "output": "5"},
    {"instruction": "Say hi", "input": "", "output": "Hi"},
    {"instruction": "No answer", "input": "x", "output": None},
    {"instruction": "", "input": "only input", "output": "ok"},
]
SHAREGPT = [
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "Be brief."},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"},
                       {"from": "human", "value": "q2"}, {"from": "gpt", "value": "a2"}], "system": None},
]  # fmt: skip
PAIRS = [
    {"system": "S", "query": "q, with comma", "response": "a\nb"},
    {"system": "", "query": "你好", "response": '"hi"'},
]


def in_file(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as sink:
            writer = csv.DictWriter(sink, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        write_jsonl(path, rows)
    return path


@pytest.mark.parametrize(
    ("name", "rows", "shape"),
    [
        ("alpaca.jsonl", ALPACA, "Alpaca"), ("alpaca.json", ALPACA, "Alpaca"),
        ("sharegpt.jsonl", SHAREGPT, "ShareGPT"), ("pairs.csv", PAIRS, "query/response"),
        ("pairs.jsonl", [{"prompt": "q", "completion": "a"}] * 3, "query/response"),
        ("history.jsonl", [{"query": "q2", "response": "a2", "history": [["q1", "a1"]]}], "query/response"),
    ],
)  # fmt: skip
def test_every_format_gives_the_rows_and_lengths_that_ms_swift_gives(
    real: Workbench,
    model: ModelInfo,
    tiny_model: Path,
    tmp_path: Path,
    name: str,
    rows: list[dict[str, Any]],
    shape: str,
) -> None:
    path = in_file(tmp_path, name, rows)
    expected, _, _ = by_swift(tiny_model, path, dataset_shuffle=False)
    report = look(real, model, path)
    assert lengths_in(report) == expected
    assert report.read == len(rows)
    assert report.format.startswith(shape)
    assert report.preview[0][-1]["role"] == "assistant"


@pytest.mark.parametrize("seed", [42, 7])
def test_the_split_is_ms_swifts_own_row_for_row(
    real: Workbench, model: ModelInfo, tiny_model: Path, tmp_path: Path, seed: int
) -> None:
    rows = [chat(f"question {n}", "word " * (n % 37 + 1) + str(n)) for n in range(120)]
    rows[10] = {"messages": []}
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    train, validation, held_out = by_swift(
        tiny_model, path, split_dataset_ratio=0.1, data_seed=seed
    )
    report = look(real, model, path, ratio=0.1, seed=seed)
    lengths = Lengths.load(report.folder)
    assert sorted(lengths.train.tolist()) == sorted(train)
    assert sorted(lengths.validation.tolist()) == sorted(validation)
    # Which rows, not only how long: what trains and what was held out make up the whole.
    valid = [row["messages"][0]["content"] for row in rows if row["messages"]]
    index = selected(Path(report.folder), "train.index")
    assert index is not None
    trains = {valid[n] for n in index}
    assert set(valid) - trains == {first_words(row) for row in held_out}
    assert len(trains) == len(train)
    assert report.eval_rows == len(held_out) == 11


def test_counts_and_several_datasets_are_sampled_as_ms_swift_does(
    real: Workbench, model: ModelInfo, tiny_model: Path, tmp_path: Path
) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", [chat("q", "a " * (n + 1)) for n in range(50)])
    two = write_jsonl(tmp_path / "two.jsonl", [chat("other", "b " * (n + 60)) for n in range(20)])
    names = (f"{one}#30", f"{two}#45")  # fewer, and more than there are
    train, validation, _ = by_swift(tiny_model, *names, split_dataset_ratio=0.2)
    report = look(real, model, *names, ratio=0.2)
    lengths = Lengths.load(report.folder)
    assert sorted(lengths.train.tolist()) == sorted(train)
    assert sorted(lengths.validation.tolist()) == sorted(validation)


def test_a_validation_set_is_measured_whole(
    real: Workbench, model: ModelInfo, tiny_model: Path, tmp_path: Path
) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", CLEAN)
    checks = write_jsonl(
        tmp_path / "checks.jsonl", [chat(f"check {n}", "ok " * n) for n in range(9)] + [BAD[0][0]]
    )
    _, validation, _ = by_swift(tiny_model, train, val_dataset=[str(checks)])
    report = look(real, model, train, validation=(str(checks),))
    assert Lengths.load(report.folder).validation.tolist() == validation
    assert (report.eval_rows, report.valid) == (9, len(CLEAN))


def test_the_embedded_sets_have_no_bad_row(real: Workbench, model: ModelInfo) -> None:
    for name in ("identity", "commands", "headlines"):
        report = look(real, model, f"embedded/{name}")
        assert (report.problem_count, report.untrained) == (0, 0)
        assert report.eval_rows >= 30


def test_rows_without_a_word_to_learn_are_counted(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    rows = [*[chat("q", "a")] * 3, {"messages": [{"role": "user", "content": "no answer"}]}]
    assert look(real, model, write_jsonl(tmp_path / "rows.jsonl", rows)).untrained == 1


def test_when_no_row_can_be_trained_on_the_first_reason_is_given(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    for number, (broken, _) in enumerate(BAD):
        path = write_jsonl(tmp_path / f"bad-{number}.jsonl", [broken] * 3)
        with pytest.raises(InputError) as caught:
            look(real, model, path)
        if "other" in broken:  # said before anything is read
            assert caught.value.key == "data.unknown_columns"
            continue
        assert caught.value.key == "data.no_valid_rows", (broken, caught.value.say("en"))
        assert caught.value.params["reason"] not in ("", "0 rows")
        assert path.name in caught.value.say("zh")


@pytest.mark.parametrize(("count", "ratio"), [(1, 0.5), (1, 0.1)])
def test_a_dataset_too_small_to_split_is_named(
    real: Workbench, model: ModelInfo, tmp_path: Path, count: int, ratio: float
) -> None:
    path = write_jsonl(tmp_path / "few.jsonl", [chat("q", "a")] * count)
    with pytest.raises(InputError, match=r"few\.jsonl"):
        look(real, model, path, ratio=ratio)


def test_asking_for_more_validation_rows_than_there_are_is_named(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", CLEAN)
    checks = write_jsonl(tmp_path / "checks.jsonl", [chat("q", "a")] * 3)
    with pytest.raises(InputError, match=r"checks\.jsonl"):
        look(real, model, train, validation=(f"{checks}#9",))


def test_a_file_that_cannot_be_read_as_rows_is_named(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"broken\.parquet"):
        look(real, model, path)


def test_where_no_hub_answers_a_model_id_says_so(real: Workbench) -> None:
    with pytest.raises(NotFoundError) as caught:
        real.inspect_model("Qwen/Qwen3-0.6B")
    assert caught.value.key == "model.hub_unreachable"


class EmptyHub(http.server.BaseHTTPRequestHandler):
    """A hub that has nothing."""

    def do_GET(self) -> None:
        body = b'{"Code": 404, "Success": false, "Message": "not found"}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_an_id_that_the_hub_does_not_have_is_named(
    model: ModelInfo, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyHub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        bench = Workbench(home)
        try:
            with pytest.raises(NotFoundError, match="nobody/no-such-model") as caught:
                bench.inspect_model("nobody/no-such-model")
            assert caught.value.key == "model.unknown_id"
            with pytest.raises(NotFoundError, match="nobody/no-such-data") as caught:
                look(bench, model, "nobody/no-such-data#10")
            assert caught.value.key == "data.unknown_id"
        finally:
            bench.close()
            hub.shutdown()


def test_a_request_that_nobody_wants_any_more_ends_and_the_next_one_is_served(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [chat(f"q{n}", "a " * 50) for n in range(20_000)])
    data, shape = real.resolve_data([str(path)])

    def on_rows(said: Mapping[str, Any]) -> None:
        if said["stage"] == "count":
            real.pool.worker("data").cancel()

    with pytest.raises(TunerError) as caught:
        real.inspect_data(model, data, shape, progress=on_rows)
    assert caught.value.key == "worker.cancelled"
    pid = real.pool.worker("data").pid
    assert look(real, model, write_jsonl(tmp_path / "few.jsonl", CLEAN)).valid == len(CLEAN)
    assert real.pool.worker("data").pid == pid


def test_a_child_that_was_killed_is_a_sentence_and_the_next_request_starts_another(
    real: Workbench, model: ModelInfo, tmp_path: Path
) -> None:
    rows = [*CLEAN, chat("Rows that no look", "has measured yet.")]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    data, shape = real.resolve_data([str(path)])

    def on_rows(_: Mapping[str, Any]) -> None:
        pid = real.pool.worker("data").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerError) as caught:
        real.inspect_data(model, data, shape, progress=on_rows)
    assert caught.value.key == "worker.died"
    assert look(real, model, path).valid == len(rows)
