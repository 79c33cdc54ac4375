"""What the app offers out of the box: models, dataset ids, embedded datasets.

Everything lies in ``presets/``; the path is the meaning:
``presets/models/<owner>/<name>.yaml`` is the ModelScope model ``owner/name``,
``presets/datasets/<name>/`` is the embedded dataset ``<name>``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tuner.config import TuningConfig, load_mapping
from tuner.errors import InputError
from tuner.files import write_atomically
from tuner.settings import PRESETS
from tuner.texts import Lang

#: How the embedded model and datasets are named in forms and on the command line.
EMBEDDED_MODEL: Final = "embedded/SmolLM2-135M-Instruct"
EMBEDDED_PREFIX: Final = "embedded/"


@dataclass(frozen=True)
class ModelPreset:
    """A model on ModelScope that the app offers. Sizes carry source and date."""

    id: str
    parameters: int
    source: str
    licence: str


@dataclass(frozen=True)
class DatasetPreset:
    """A dataset on ModelScope that the app offers, in ms-swift's syntax."""

    id: str
    title: Mapping[Lang, str]


@dataclass(frozen=True)
class EmbeddedDataset:
    """A dataset that was written for this project and lies in ``presets/datasets``."""

    name: str
    title: Mapping[Lang, str]
    summary: Mapping[Lang, str]
    placeholders: tuple[str, ...]
    probes: tuple[str, ...]
    folder: Path = field(repr=False)

    @property
    def ref(self) -> str:
        """How forms and the terminal name it."""
        return EMBEDDED_PREFIX + self.name

    def fill(self, values: Mapping[str, str], target: Path) -> tuple[Path, Path]:
        """Train and validation files with the placeholders filled in, under ``target``.

        The folder is named by what was filled in, so the same values give the
        same files, and a run's data never changes under it.

        Raises:
            InputError: a placeholder without a value.
        """
        for name in self.placeholders:
            if not values.get(name, "").strip():
                raise InputError("data.empty_placeholder", name=name)
        chosen = {name: values[name].strip() for name in self.placeholders}
        parts = {split: self._filled(split, chosen) for split in ("train", "validation")}
        digest = hashlib.sha256("\0".join(parts.values()).encode()).hexdigest()[:12]
        folder = target / f"{self.name}-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = {split: folder / f"{split}.jsonl" for split in parts}
        for split, text in parts.items():
            if not paths[split].exists():
                write_atomically(paths[split], text)
        return paths["train"], paths["validation"]

    def _filled(self, split: str, values: Mapping[str, str]) -> str:
        text = (self.folder / f"{split}.jsonl").read_text(encoding="utf-8")
        inside_json = {
            name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in values.items()
        }
        # In one pass: a name that looks like a placeholder stays as it was typed.
        return re.sub(r"\{\{(\w+)\}\}", lambda found: inside_json.get(found[1], found[0]), text)


@cache
def models() -> tuple[ModelPreset, ...]:
    """The model presets, smallest first."""
    found = []
    for path in (PRESETS / "models").glob("*/*.yaml"):
        values = load_mapping(path)
        found.append(ModelPreset(id=f"{path.parent.name}/{path.stem}", **values))
    return tuple(sorted(found, key=lambda preset: (preset.parameters, preset.id)))


@cache
def datasets() -> tuple[DatasetPreset, ...]:
    """ModelScope datasets to choose from, in the order of the file."""
    entries = load_mapping(PRESETS / "datasets" / "modelscope.yaml")
    return tuple(DatasetPreset(id=ident, title=title) for ident, title in entries.items())


@cache
def embedded() -> Mapping[str, EmbeddedDataset]:
    """The embedded datasets by name; the identity set comes first."""
    found = {}
    folders = sorted(p.parent for p in (PRESETS / "datasets").glob("*/README.md"))
    for folder in sorted(folders, key=lambda f: f.name != "identity"):
        card = front_matter(folder / "README.md")
        found[folder.name] = EmbeddedDataset(
            name=folder.name, title=card["title"], summary=card["summary"],
            placeholders=tuple(card["placeholders"]), probes=tuple(card["probes"]), folder=folder,
        )  # fmt: skip
    return found


def starting_plan(name: str) -> TuningConfig:
    """A plan from ``presets/plans``."""
    return TuningConfig.read(PRESETS / "plans" / f"{name}.yaml")


def front_matter(path: Path) -> Mapping[str, Any]:
    """The YAML between the first two ``---`` lines. Raises ``ValueError`` if there is none."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        raise ValueError(f"{path}: no front matter")
    values = yaml.safe_load(text[4 : text.index("\n---\n", 4)])
    if not isinstance(values, dict):
        raise ValueError(f"{path}: the front matter is not a mapping")
    return values
