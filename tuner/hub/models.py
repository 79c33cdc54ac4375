"""From what the user chose to a :class:`tuner.records.ModelInfo`, template included."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tuner import presets
from tuner.errors import InputError, NotFoundError
from tuner.hub import describe, embedded
from tuner.records import ModelInfo, Sentence
from tuner.settings import Settings
from tuner.workers.pool import Pool


def inspect(
    settings: Settings,
    pool: Pool,
    ref: str,
    model_type: str | None = None,
    template: str | None = None,
    progress: embedded.Progress = lambda *_: None,
) -> ModelInfo:
    """What ``ref`` is, with ms-swift's model type and the template that fits it.

    The embedded model is made first if it is not there. A ModelScope model
    that is not on this machine has its small files (JSON, tokenizer) fetched.

    Raises:
        NotFoundError: no such folder, an id the hub does not have, no way to the hub.
        InputError: a model that needs code of its own, or whose template is
            unclear and was not given.
    """
    ref = ref.strip()
    if ref == presets.EMBEDDED_MODEL:
        folder: Path | None = embedded.ensure(settings, pool, progress)
    else:
        folder = describe.locate(settings, ref)
    if folder is None:
        progress(Sentence("model.fetching_files", {"model": ref}), None)
        folder = Path(pool.call("data", "fetch_small_files", ref=ref)["path"])
    info = describe.read(ref, folder)
    preset = next((p for p in presets.models() if p.id == ref), None)
    if preset is not None:
        info = dataclasses.replace(
            info,
            parameters=info.parameters or preset.parameters,
            parameters_source=info.parameters_source or preset.source,
            licence=info.licence or preset.licence,
        )
    if ref == presets.EMBEDDED_MODEL:
        info = dataclasses.replace(info, licence="apache-2.0")
    if info.needs_code:
        raise InputError("model.needs_code", model=ref)
    progress(Sentence("model.checking_template"), None)
    found = pool.call(
        "data", "inspect_model", path=str(folder), ref=ref, model_type=model_type, template=template
    )
    return dataclasses.replace(info, **found | {"candidates": tuple(found["candidates"])})


def weights(settings: Settings, info: ModelInfo) -> str:
    """What ms-swift is given as ``model``: the folder, or the id that it will download.

    Raises:
        NotFoundError: a folder that is no longer there.
    """
    if info.ref != presets.EMBEDDED_MODEL and describe.ID.fullmatch(info.ref):
        local = describe.locate(settings, info.ref)
        return str(local) if local else info.ref
    if info.path is None or not Path(info.path).is_dir():
        raise NotFoundError("model.no_such_folder", model=info.ref)
    return info.path
