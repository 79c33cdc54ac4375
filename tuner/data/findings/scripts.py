"""The script that a text is mainly written in, for thousands of texts at once.

The first byte of a character in UTF-8 says which script it is of. Languages
that share a script are not told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SCRIPTS: Final = ("none", "latin", "han", "kana", "hangul", "cyrillic", "arabic", "other")
_NONE, _LATIN, _HAN, _KANA, _HANGUL, _CYRILLIC, _ARABIC, _OTHER = range(len(SCRIPTS))
#: What a few thousand bytes say of a text's script is enough.
_READ: Final = 2048


def _table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for first, last, script in (
        (0x41, 0x5A, _LATIN), (0x61, 0x7A, _LATIN), (0xC3, 0xC9, _LATIN), (0xCE, 0xCF, _OTHER),
        (0xD0, 0xD3, _CYRILLIC), (0xD6, 0xD7, _OTHER), (0xD8, 0xDB, _ARABIC), (0xE0, 0xE0, _OTHER),
        (0xE4, 0xE9, _HAN), (0xEB, 0xED, _HANGUL),
    ):  # fmt: skip
        table[first : last + 1] = script
    return table


_TABLE: Final = _table()
#: Bytes a character: a Chinese character says about as much as three letters.
_WEIGHT: Final = np.array([0, 1, 3, 3, 3, 2, 2, 3])


def scripts(texts: Sequence[bytes]) -> NDArray[np.uint8]:
    """The main script of each text, as a place in :data:`SCRIPTS`."""
    parts = [text[:_READ] for text in texts]
    raw = np.frombuffer(b"".join([*parts, b"\0"]), np.uint8)
    kinds = _TABLE[raw]
    kana = (raw[:-1] == 0xE3) & (raw[1:] >= 0x81) & (raw[1:] <= 0x83)
    kinds[:-1][kana] = _KANA
    rows = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    found = np.bincount(rows * len(SCRIPTS) + kinds[:-1], minlength=len(parts) * len(SCRIPTS))
    weight = found.reshape(len(parts), len(SCRIPTS)) * _WEIGHT
    main: NDArray[np.int64] = weight.argmax(1)
    return main.astype(np.uint8)
