"""What the user chose as data, turned into files and ids that ms-swift takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tuner import presets
from tuner.data import files
from tuner.errors import InputError, NotFoundError, StorageError
from tuner.files import existing
from tuner.records import DatasetRef
from tuner.settings import Settings

#: [hf|ms::]owner/name[:subset[/subset]][#count], ms-swift's dataset syntax.
ID: Final = re.compile(r"((hf|ms)::)?[\w.-]+/[\w.-]+(:[\w./-]+)?(#[1-9]\d*)?", re.IGNORECASE)
_COUNT: Final = re.compile(r"#[1-9]\d*$")


def resolve(
    settings: Settings,
    train: Sequence[str],
    validation: Sequence[str] = (),
    split_ratio: float = 0.0,
    values: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    agent_template: str | None = None,
) -> tuple[DatasetRef, str]:
    """The dataset in ms-swift's words, and the format of its first local file ("" for ids).

    ``embedded/<name>`` is filled with ``values`` (its placeholders) and brings
    its own validation rows unless others are given. Local files are looked at.
    ``columns`` names what a column means to ms-swift where its own name does not.

    Raises:
        InputError: nothing given, an empty placeholder, a bad file, both a
            validation set and a split.
        NotFoundError: a file or an embedded dataset that does not exist.
    """
    chosen = [name.strip() for name in train if name.strip()]
    held_out = [name.strip() for name in validation if name.strip()]
    if not chosen:
        raise InputError("data.empty")
    if not 0 <= split_ratio < 1:
        raise InputError("data.bad_ratio", value=f"{split_ratio:g}")
    shape = ""
    resolved: list[str] = []
    own_validation: list[str] = []
    filled: dict[str, str] = {}
    for name in chosen:
        if name.startswith(presets.EMBEDDED_PREFIX):
            dataset, rows, checks = _embedded(settings, name, values or {})
            filled |= {key: (values or {})[key] for key in dataset.placeholders}
            resolved.append(rows)
            own_validation.append(checks)
            shape = shape or "messages (jsonl)"
        else:
            shape = shape or _known(name, columns or {})
            resolved.append(absolute(name))
    for name in held_out:
        _known(name, columns or {})
    chosen_validation = tuple(held_out)
    held_out = [absolute(name) for name in held_out]
    if not held_out and not split_ratio:
        held_out = own_validation
    if held_out and split_ratio:
        raise InputError("data.two_validations")
    ref = DatasetRef(
        tuple(resolved), tuple(held_out), split_ratio, tuple(chosen), chosen_validation, filled,
        dict(columns or {}), agent_template or None,
    )  # fmt: skip
    return ref, shape


def _embedded(
    settings: Settings, name: str, values: Mapping[str, str]
) -> tuple[presets.EmbeddedDataset, str, str]:
    dataset = presets.embedded().get(name.removeprefix(presets.EMBEDDED_PREFIX))
    if dataset is None:
        known = ", ".join(d.ref for d in presets.embedded().values())
        raise NotFoundError("data.unknown_embedded", data=name, known=known)
    try:
        rows, checks = dataset.fill(values, settings.datasets)
    except OSError as error:
        raise StorageError(
            "disk.cannot_write", folder=str(settings.datasets), reason=error.strerror or str(error)
        ) from error
    return dataset, str(rows), str(checks)


def _known(name: str, columns: Mapping[str, str]) -> str:
    """The format of a local file; "" for an id. Raises for what is neither."""
    path = existing(_COUNT.sub("", name))
    if path is not None:
        return files.check(path, columns)
    kind = Path(_COUNT.sub("", name)).suffix.lstrip(".")
    looks_like_path = name.startswith(("/", "./", "../", "~")) or kind in files.KINDS
    if looks_like_path:
        raise NotFoundError("file.missing", file=name)
    if not ID.fullmatch(name):
        raise InputError("data.bad_id", data=name)
    return ""


def absolute(name: str) -> str:
    """A file or folder by its full path, its #count kept; anything else as it is."""
    count = _COUNT.search(name)
    path = existing(_COUNT.sub("", name))
    if path is None:
        return name
    return str(path.resolve()) + (count.group() if count else "")
