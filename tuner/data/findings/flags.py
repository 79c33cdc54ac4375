"""What a look found about each row of the training datasets: one value of bit flags a row.

They lie beside the columns of the look, in ``train.flags``, in the same order.
"""

from __future__ import annotations

from enum import IntFlag
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FLAGS: Final = "train.flags"
KIND: Final = "<u2"


class Flag(IntFlag):
    """One bit a fault. Of copies, all but the one that should stay carry the flag."""

    EXACT_DUPLICATE = 1
    NEAR_DUPLICATE = 2
    LEAKED = 4  #: a row that trains and also stands in validation, exactly or nearly
    EMPTY_ANSWER = 8
    ONE_WORD_ANSWER = 16
    REPEATED_ANSWER = 32
    PLACEHOLDER = 64
    SECRET = 128
    PERSONAL_DATA = 256
    LENGTH_OUTLIER = 512


def read_flags(folder: Path) -> NDArray[np.uint16]:
    """The flags of each valid row, memory-mapped. Raises ``OSError`` where none were written."""
    path = folder / FLAGS
    return np.memmap(path, KIND, "r") if path.stat().st_size else np.empty(0, KIND)
