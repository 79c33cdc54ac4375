"""A config is the same in the form, in YAML, as arguments, and in ms-swift's own reader."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tuner.config import TuningConfig
from tuner.errors import InputError, NotFoundError
from tuner.knobs import KNOBS, REFUSED

FULL = TuningConfig.of(
    model="Qwen/Qwen3-0.6B", dataset=["数据/一.jsonl", "b#100"], learning_rate=1e-05, adam_epsilon=1e-08,
    num_train_epochs=3.0, max_length=2048, system="你是“助手”。\nSay \"hi\": yes # no\t\\", bf16=False,
    report_to=["none"], gradient_checkpointing=True, warmup_ratio=0.05, weight_decay=0.0, seed=42,
)  # fmt: skip


def test_a_config_comes_back_from_yaml_as_it_was() -> None:
    assert TuningConfig.from_yaml(FULL.to_yaml()) == FULL


def test_any_yaml_reader_sees_the_types_that_were_meant() -> None:
    read = yaml.safe_load(FULL.to_yaml())
    assert read == dict(FULL)
    assert {k: type(v) for k, v in read.items()} == {k: type(v) for k, v in FULL}
    assert isinstance(read["learning_rate"], float)
    assert isinstance(read["adam_epsilon"], float)


#: Flags that are no knobs of ours, with whatever a person may have put in a file.
VALUES = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False),
    st.text().filter(lambda text: not text.startswith("-") and "\0" not in text),
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["resume_from", "adam_beta2", "note", "lazy"]), VALUES, min_size=1
    )
)
def test_any_value_survives_yaml(values: dict[str, Any]) -> None:
    config = TuningConfig.of(**values)
    assert yaml.safe_load(config.to_yaml()) == values
    assert TuningConfig.from_yaml(config.to_yaml()) == config


@given(
    st.text().filter(
        lambda text: not text.startswith("-") and "\0" not in text and not text.endswith(".txt")
    )
)
def test_any_system_prompt_reaches_the_command_line_whole(system: str) -> None:
    config = TuningConfig.of(system=system)
    assert config.to_argv() == ["--system", system]
    assert shlex.split(config.to_command().replace(" \\\n", "", 1)) == [
        "swift",
        "sft",
        "--system",
        system,
    ]


def test_arguments_are_pairs_and_lists_become_several_values() -> None:
    assert FULL.to_argv()[:9] == [
        "--model", "Qwen/Qwen3-0.6B", "--dataset", "数据/一.jsonl", "b#100",
        "--learning_rate", "1e-05", "--adam_epsilon", "1e-08",
    ]  # fmt: skip
    argv = FULL.to_argv()
    assert argv[argv.index("--bf16") + 1] == "false"
    # A real shell reads the command as it is shown.
    shown = subprocess.run(
        ["bash", "-c", "swift() { printf '%s\\0' \"$@\"; }; " + FULL.to_command()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split("\0")[:-1] == ["sft", *argv]


def test_none_leaves_a_flag_out_for_ms_swift_would_read_it_as_text() -> None:
    config = TuningConfig.of(model="a/b", system=None)
    assert "system" not in config.to_yaml()
    assert TuningConfig.from_yaml("model: a/b\nsystem:\nmax_length: null\n") == config
    assert FULL.replace(max_length=None).get("max_length") is None


def test_replacing_leaves_the_original_and_the_order_alone() -> None:
    changed = FULL.replace(learning_rate=2e-4)
    assert FULL.get("learning_rate") == 1e-05
    assert [flag for flag, _ in changed] == [flag for flag, _ in FULL]
    assert changed.get("learning_rate") == 2e-4


def test_a_flag_that_is_not_set_has_ms_swifts_default() -> None:
    assert TuningConfig.of(model="a/b").get("lora_rank") == KNOBS["lora_rank"].default
    assert TuningConfig.of(model="a/b").get("output_dir", "here") == "here"


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_a_flag_that_runs_code_or_names_a_credential_is_refused_by_name(flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        TuningConfig.from_yaml(f"model: a/b\n{flag}: x\n")


@pytest.mark.parametrize("value", ["--external_plugins", "--x y", "--learning_rate=1", "-x"])
@pytest.mark.parametrize("flag", ["system", "model", "dataset"])
def test_a_value_that_the_parser_would_take_for_a_flag_is_refused(flag: str, value: str) -> None:
    with pytest.raises(InputError, match=flag):
        TuningConfig.of(**{flag: value})


def test_a_value_that_merely_begins_with_a_dash_is_a_value() -> None:
    assert TuningConfig.of(system="- be brief\n- be kind").get("system") == "- be brief\n- be kind"
    assert TuningConfig.of(max_steps=-1, note="-1.5").to_argv() == [
        "--max_steps",
        "-1",
        "--note",
        "-1.5",
    ]


def test_a_system_prompt_that_ms_swift_would_read_from_a_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"secrets\.txt"):
        TuningConfig.of(system="/etc/secrets.txt")


def test_one_value_for_a_flag_of_many_is_a_list() -> None:
    assert TuningConfig.of(dataset="a/b").get("dataset") == ["a/b"]
    assert TuningConfig.of(dataset=("a/b", "c/d")).get("dataset") == ["a/b", "c/d"]
    assert TuningConfig.from_yaml("dataset: 5\n").get("dataset") == ["5"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model: [a\nb: c", "2"),
        ("- a\n- b\n", "run.yaml"),
        ("", "run.yaml"),
        ("just words", "run.yaml"),
        ("learning_rate: fast\n", "learning_rate"),
        ("learning_rate: 5\n", "learning_rate"),
        ("max_length: 1.5\n", "max_length"),
        ("lr_scheduler_type: cosin\n", "lr_scheduler_type"),
        ("model: {a: b}\n", "model"),
        ("model: [a, b]\n", "model"),
        ("model: 2024-02-03\n", "model"),
        ("model: 2024-13-45\n", "run.yaml"),
        ("dataset: [[a]]\n", "dataset"),
        ("learning rate: 1\n", "learning rate"),
        ("1: 2\n", "1"),
        ("system: \"a\\0b\"\n", "system"),
        ("cls: 1\nself: 2\nlearning_rate: x\n", "learning_rate"),
        ("a: &x [*x]\ndataset: *x\n", "a"),
    ],
)  # fmt: skip
def test_a_bad_file_gives_a_sentence_that_names_the_place(text: str, named: str) -> None:
    with pytest.raises(InputError) as caught:
        TuningConfig.from_yaml(text, "run.yaml")
    assert named in caught.value.say("en")
    assert named in caught.value.say("zh")


def test_a_file_that_is_missing_or_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.yaml"):
        TuningConfig.read(tmp_path / "none.yaml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder"):
        TuningConfig.read(tmp_path / "folder")
    (tmp_path / "gbk.yaml").write_bytes("system: 你好\n".encode("gbk"))
    with pytest.raises(InputError, match=r"gbk\.yaml"):
        TuningConfig.read(tmp_path / "gbk.yaml")


@pytest.mark.slow
def test_ms_swifts_own_yaml_reader_makes_the_same_arguments(tmp_path: Path) -> None:
    from swift.cli.main import parse_yaml_args

    path = tmp_path / "config.yaml"
    path.write_text(FULL.to_yaml(), encoding="utf-8")
    argv = [str(path)]
    parse_yaml_args(argv)
    assert [text.lower() if text in ("True", "False") else text for text in argv] == FULL.to_argv()
