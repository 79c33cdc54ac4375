"""A model is described from its JSON files, and none of its code runs."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import InputError, NotFoundError, TunerError
from tuner.hub import describe
from tuner.presets import EMBEDDED_MODEL
from tuner.settings import Settings

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 2048,
    "hidden_size": 64,
    "vocab_size": 440,
}


def model(folder: Path, config: Any = CONFIG, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def weights(path: Path, **shapes: list[int]) -> None:
    """A safetensors file whose header says these shapes."""
    header = {"__metadata__": {"format": "pt"}} | {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def test_the_files_say_architecture_size_context_and_licence(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", README__md="---\nlicense: mit\n---\n# Card\n")
    weights(folder / "model-00001-of-00002.safetensors", embed=[440, 64], norm=[64])
    weights(folder / "model-00002-of-00002.safetensors", head=[64, 440], scale=[])
    info = describe.read("m", folder)
    assert (info.architecture, info.context_length, info.hidden_size, info.vocab_size) == (
        "LlamaForCausalLM", 2048, 64, 440,
    )  # fmt: skip
    assert info.parameters == 440 * 64 + 64 + 64 * 440 + 1
    assert info.parameters_source == "model.parameters_counted"
    assert info.licence == "mit"
    assert not info.needs_code


def test_what_the_files_do_not_say_stays_open(tmp_path: Path) -> None:
    info = describe.read("m", model(tmp_path / "m", config={}))
    assert (info.architecture, info.parameters, info.context_length, info.licence) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "content", [b"", b"\x05", struct.pack("<Q", 4) + b"{no}", struct.pack("<Q", 10**9) + b"{"]
)
def test_broken_weights_leave_the_size_unknown(tmp_path: Path, content: bytes) -> None:
    folder = model(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    assert describe.read("m", folder).parameters is None


def test_the_language_part_of_a_model_with_several_is_described(tmp_path: Path) -> None:
    config = {
        "architectures": ["X"],
        "text_config": {"hidden_size": 128, "max_position_embeddings": 4096},
    }
    info = describe.read("m", model(tmp_path / "m", config))
    assert (info.hidden_size, info.context_length) == (128, 4096)


@pytest.mark.parametrize(
    "files",
    [
        {"modeling_x__py": "raise SystemExit"},
        {"tokenizer_config__json": '{"auto_map": {"AutoTokenizer": ["x.X", null]}}'},
        {"config__json": json.dumps(CONFIG | {"auto_map": {"AutoConfig": "x.X"}})},
    ],
)
def test_a_model_that_needs_its_own_code_is_known_before_any_of_it_runs(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert describe.read("m", model(tmp_path / "m", **files)).needs_code


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_config_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        describe.read("m", model(tmp_path / "m", config__json=text))


def test_a_folder_is_found_however_it_is_written(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "my model")
    monkeypatch.chdir(tmp_path)
    assert describe.locate(home, f" {folder} ") == folder
    assert describe.locate(home, "my model") == describe.locate(home, "./my model") == folder


def test_an_id_that_is_not_on_this_machine_is_not_there_yet(home: Settings) -> None:
    assert describe.locate(home, "Qwen/Qwen3-0.6B") is None
    assert describe.locate(home, EMBEDDED_MODEL) is None


def test_a_model_in_modelscopes_cache_is_used_only_with_its_weights(
    home: Settings, caches: Path
) -> None:
    folder = model(caches / "models" / "tests" / "Some-Model-1___5B")
    assert describe.locate(home, "tests/Some-Model-1.5B") is None
    weights(folder / "model.safetensors", x=[1])
    assert describe.locate(home, "tests/Some-Model-1.5B") == folder


@pytest.mark.parametrize(
    "ref",
    ["", "  ", "/no/such/model", "./none", "~nobody-of-this-name/m", "one-word", "a/b/c", "a b/c", "长" * 5000,
     "a/b\0", "https://example.org/a/b"],
)  # fmt: skip
def test_what_can_be_no_model_is_a_sentence(home: Settings, ref: str) -> None:
    with pytest.raises(TunerError) as caught:
        describe.locate(home, ref)
    assert ref.strip() in caught.value.say("en")
    assert ref.strip() in caught.value.say("zh")


def test_a_folder_without_a_config_is_no_model(home: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"config\.json"):
        describe.locate(home, str(tmp_path))
