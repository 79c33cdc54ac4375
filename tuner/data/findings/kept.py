"""What a search leaves in a look's folder, so that the next one answers at once."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tuner.data.findings.flags import FLAGS, KIND
from tuner.data.rows import FOUND
from tuner.files import write_json
from tuner.records import DataFinding, from_dict, to_dict

#: Written last: it says that the flags are whole.
FINDINGS: Final = "findings.json"
#: What a search reads besides the rows. A split may be made anew after it.
_READ: Final = (FOUND, "train.index", "train.held", "eval.index")


def read_findings(folder: Path) -> list[DataFinding] | None:
    """The findings that were kept; None where there are none, or the split is newer than they."""
    path = folder / FINDINGS
    try:
        written = path.stat().st_mtime_ns
        read = [file.stat().st_mtime_ns for name in _READ if (file := folder / name).exists()]
        rows = (folder / "train.row").stat().st_size // 8
        if max(read, default=0) > written or (folder / FLAGS).stat().st_size != 2 * rows:
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        return [from_dict(DataFinding, value) for value in values]
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def keep(folder: Path, flags: NDArray[np.uint16], findings: Sequence[DataFinding]) -> None:
    """Write both, each whole or not at all. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{FLAGS}.")
    try:
        with os.fdopen(descriptor, "wb") as sink:
            flags.astype(KIND, copy=False).tofile(sink)
        os.replace(name, folder / FLAGS)
    except BaseException:
        os.unlink(name)
        raise
    write_json(folder / FINDINGS, to_dict(findings))
