"""What a model is, read from its JSON files without running any of its code.

``config.json``, ``tokenizer_config.json`` and the safetensors index or header
say nearly everything. What they do not say stays None. A model that is not on
this machine is described by its preset, if it has one, and by the small files
of its ModelScope repository.
"""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any, Final

from tuner import presets
from tuner.errors import InputError, NotFoundError
from tuner.files import existing
from tuner.hub import embedded
from tuner.records import ModelInfo
from tuner.settings import Settings

ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_CONTEXT_KEYS: Final = (
    "max_position_embeddings",
    "max_sequence_length",
    "seq_length",
    "n_positions",
)


def locate(settings: Settings, ref: str) -> Path | None:
    """The folder of ``ref`` on this machine: a path, the embedded model, or ModelScope's cache.

    Raises:
        InputError: neither a folder nor something that can be a ModelScope id.
        NotFoundError: a path that does not exist, or a folder without ``config.json``.
    """
    ref = ref.strip()
    if not ref:
        raise InputError("model.empty")
    if ref == presets.EMBEDDED_MODEL:
        return embedded.folder(settings) if embedded.is_ready(settings) else None
    path = existing(ref)
    if path is not None and path.is_dir():
        if not (path / "config.json").is_file():
            raise NotFoundError("model.no_config", model=ref)
        return path.resolve()
    if ref.startswith(("/", ".", "~")) or not ID.fullmatch(ref):
        raise NotFoundError("model.no_such_folder", model=ref)
    return _cached(ref)


def _cached(ident: str) -> Path | None:
    """Where ModelScope's client keeps this model, if it has it whole."""
    cache = Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope")
    owner, name = ident.split("/")
    for base in (cache / "hub" / "models", cache / "models", cache):
        for candidate in (base / owner / name, base / owner / name.replace(".", "___")):
            if (candidate / "config.json").is_file() and any(candidate.glob("*.safetensors")):
                return candidate
    return None


def read(ref: str, folder: Path) -> ModelInfo:
    """What the files in ``folder`` say. ``template`` and ``model_type`` stay open.

    Raises:
        InputError: ``config.json`` is not JSON.
    """
    config = _json(folder / "config.json")
    tokenizer = (
        _json(folder / "tokenizer_config.json")
        if (folder / "tokenizer_config.json").is_file()
        else {}
    )
    inner = config.get("text_config")  # where a multimodal model keeps its language model
    text: dict[str, Any] = inner if isinstance(inner, dict) else config
    parameters = _parameters(folder, bool(config.get("tie_word_embeddings")))
    return ModelInfo(
        ref=ref,
        path=str(folder),
        architecture=next(iter(config.get("architectures") or ()), None),
        parameters=parameters,
        parameters_source="model.parameters_counted" if parameters else None,
        context_length=next((int(text[k]) for k in _CONTEXT_KEYS if text.get(k)), None),
        hidden_size=text.get("hidden_size"),
        vocab_size=text.get("vocab_size"),
        licence=_licence(folder),
        needs_code=bool(config.get("auto_map") or tokenizer.get("auto_map") or any(folder.glob("*.py"))
            or (folder / ".has_code").exists()),
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError("model.bad_json", file=str(path)) from error
    if not isinstance(value, dict):
        raise InputError("model.bad_json", file=str(path))
    return value


def _parameters(folder: Path, tied: bool) -> int | None:
    """Parameters, counted from the headers of all safetensors files; None without any.

    A header is the length (8 bytes, little endian) and a JSON object that gives
    each tensor's shape: https://huggingface.co/docs/safetensors. Some repositories
    store ``lm_head.weight`` though it is the embedding (``tied``); it counts once.
    """
    total = 0
    for path in folder.glob("*.safetensors"):
        try:
            with path.open("rb") as source:
                (size,) = struct.unpack("<Q", source.read(8))
                header = json.loads(source.read(min(size, 100 << 20)))
        except (OSError, ValueError, struct.error):
            return None
        for name, tensor in header.items():
            if name != "__metadata__" and not (tied and name == "lm_head.weight"):
                count = 1
                for extent in tensor["shape"]:
                    count *= extent
                total += count
    return total or None


def _licence(folder: Path) -> str | None:
    card = folder / "README.md"
    if card.is_file():
        try:
            value = presets.front_matter(card).get("license")
        except (ValueError, UnicodeDecodeError):
            return None
        return str(value) if value else None
    return None
