"""Token counts of plain text, by the fastest encoder that is proven equal to the tokenizer.

An encoder is admitted for a tokenizer only after a fuzz against the
tokenizer's own library: clean samples are no proof. What was found is kept by
the tokenizer's content. Text that holds an added token (``<|im_end|>``) is not
plain: it never comes here. Importing this module loads no torch.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from tuner.files import read_json, write_json

#: Strings of the fuzz, and the seed that makes them.
FUZZ: Final = 30_000
SEED: Final = 20_260
#: Raised when an encoder here decides anew what it takes.
FORMAT: Final = 2
#: Texts that the reference library encodes at once; it keeps an object for each.
BATCH: Final = 2_000


class Encoder(Protocol):
    """Counts and ids of plain text, no special token added."""

    name: str

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        """Tokens of each text; up to ``leave`` costly ones may be left to others, as -1."""
        ...

    def ids(self, text: str) -> list[int]:
        """The tokens of one text."""
        ...


#: Characters that no Unicode normalisation moves, joins or changes, in any version of its tables.
#: Two libraries agree on these; on combining marks they agree only as far as their tables do.
_INERT: Final = (
    r"\x00-\u02ff\u0391-\u03a1\u03a3-\u03ff\u0400-\u0482\u048a-\u052f\u05d0-\u05ea\u0621-\u064a\u0660-\u066f"
    r"\u2000-\u20cf\u2100-\u2125\u2127-\u2129\u212c-\u2328\u232b-\u2adb\u2add-\u2bff\u2e80-\u2fff"
    r"\u3000-\u3029\u3030-\u3098\u309b-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\ue000-\uf8ff\ufe0f\ufe30-\ufe4f"
    r"\uff00-\uffef\ufffd\U0001f000-\U0001faff\U00020000-\U0002a6df\U0002a700-\U0002ebe0"
)


class QuickEncoder:
    """quicktok: exact on the tokenizers that it takes, ten times as fast as the reference.

    Text with a character outside :data:`_INERT` goes to the reference: a fuzz of
    60,000 strings found five that quicktok's own table of combining marks gave
    other tokens than the tokenizer's.
    """

    name = "quicktok"

    def __init__(self, name: str, folder: Path) -> None:
        from quicktok import Tokenizer

        self._encoder = Tokenizer(name, str(folder))
        self._file = folder / f"{name}.json"
        self._moves = re.compile(f"[^{_INERT}]").search

    @cached_property
    def _reference(self) -> ReferenceEncoder:
        """Loaded at need: it takes 100 MB, and most texts never ask for it."""
        return ReferenceEncoder(self._file)

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        """Tokens of each text; -1 where at most ``leave`` texts would ask for the reference."""
        count, moves = self._encoder.count, self._moves
        found = [-1 if not text.isascii() and moves(text) else count(text) for text in texts]
        places = [i for i, n in enumerate(found) if n < 0]
        if len(places) > leave or "_reference" in self.__dict__:
            for i, n in zip(
                places, self._reference.counts([texts[i] for i in places]), strict=True
            ):
                found[i] = n
        return found

    def ids(self, text: str) -> list[int]:
        """The tokens of one text."""
        if not text.isascii() and self._moves(text):
            return self._reference.ids(text)
        return list(self._encoder.encode_ordinary(text))


class ReferenceEncoder:
    """The ``tokenizers`` library that the model's tokenizer itself is made of."""

    name = "tokenizers"

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        self._encoder = Tokenizer.from_file(str(file))
        self._encoder.no_truncation()
        self._encoder.no_padding()

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:  # noqa: ARG002 (none is costly)
        """Tokens of each text."""
        found: list[int] = []
        for start in range(0, len(texts), BATCH):
            part = list(texts[start : start + BATCH])
            found += [
                len(e) for e in self._encoder.encode_batch_fast(part, add_special_tokens=False)
            ]
        return found

    def ids(self, text: str) -> list[int]:
        """The tokens of one text."""
        return list(self._encoder.encode(text, add_special_tokens=False).ids)


class NoEncoder:
    """Stands where every row is counted by ms-swift: no shape is ever made for it."""

    name = "none"

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        """No text may come here."""
        raise NotImplementedError

    def ids(self, text: str) -> list[int]:
        """No text may come here."""
        raise NotImplementedError


def admit(folder: Path, tokenizer_json: str) -> dict[str, str]:
    """The fastest encoder for this tokenizer, as a spec for :func:`load`.

    ``folder`` keeps the tokenizer, what was made of it, and the verdict.

    Raises:
        OSError: no room for it.
    """
    digest = hashlib.sha256(tokenizer_json.encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    file, verdict = folder / f"{digest}.json", folder / f"{digest}.verdict"
    if (kept := _verdict(verdict)) is not None:
        return _spec(kept, folder, digest)
    file.write_text(tokenizer_json, encoding="utf-8")
    encoder = "tokenizers"
    try:
        from quicktok import import_tokenizer

        import_tokenizer(str(file), digest, str(folder))  # refuses what it cannot encode
        special = any_of(added_tokens(json.loads(tokenizer_json))[0])
        texts = [text for text in fuzz(FUZZ, SEED) if not special.search(text)]
        if len(texts) > FUZZ // 2 and equal(
            QuickEncoder(digest, folder), ReferenceEncoder(file), texts
        ):
            encoder = "quicktok"
    except Exception as error:  # not installed here, or a tokenizer that it does not know
        print(f"quicktok: {error}", flush=True)
    files = {
        path.name: path.stat().st_size for path in folder.glob(f"{digest}.*") if path != verdict
    }
    write_json(verdict, {"encoder": encoder, "version": _version(), "files": files})
    return _spec(encoder, folder, digest)


def _verdict(path: Path) -> str | None:
    """The encoder that was admitted; None where nobody has tried, or what was made is not there whole."""
    try:
        kept = read_json(path)
        whole = all((path.parent / n).stat().st_size == size for n, size in kept["files"].items())
        return str(kept["encoder"]) if whole and kept["version"] == _version() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _spec(encoder: str, folder: Path, digest: str) -> dict[str, str]:
    spec = {"encoder": encoder, "file": str(folder / f"{digest}.json")}
    return spec | ({"name": digest, "folder": str(folder)} if encoder == "quicktok" else {})


def load(spec: Mapping[str, str]) -> Encoder:
    """The encoder that a spec names."""
    if spec["encoder"] == "quicktok":
        return QuickEncoder(spec["name"], Path(spec["folder"]))
    return ReferenceEncoder(Path(spec["file"])) if "file" in spec else NoEncoder()


def equal(encoder: Encoder, reference: Encoder, texts: Sequence[str]) -> bool:
    """Whether both give the same tokens on every text, by ids and by count."""
    expected = [reference.ids(text) for text in texts]
    return [encoder.ids(text) for text in texts] == expected and encoder.counts(texts) == [
        len(ids) for ids in expected
    ]


#: Where tokenizers differ: contractions, digits, runs of spaces and newlines, scripts, marks that
#: join with what stands before, forms that normalisation changes, and what is nearly a special token.
_PIECES: Final = (
    "I'm", "don't", "you'LL", "x'S", "'re", "’s", "''", "123", "4567890", "3.14", "1,000", "٣٤", "½", "Ⅷ",
    " ", "  ", "     ", "\n", "\n\n", " \n", "\n ", "\r\n", "\t", "\t\t ", "\u3000", "\u00a0", "\u2028", "\x85",
    "hello", "World", "HTTPServer", "snake_case", "naïve", "e\u0301", "ﬁ", "Å", "ﷺ", "Ω", "ẞ", "İ", "ı",
    "你好", "世界，", "。", "「引用」", "こんにちは", "カタカナ", "한국어", "각", "привет", "مرحبا", "שלום", "हिन्दी", "ไทย",
    "🐟", "👩‍👩‍👧‍👦", "🇨🇳", "❤️", "\u200b", "\u200d", "\ufeff", "\u0301", "\ufffd", "\U0010ffff", "\ue000", "\x00", "\x07", "\x7f",
    "<", "|", ">", "<|", "|>", "im_start", "</", "think", "{{", "}}", "[INST", "</s", "<unk", "##", "▁", "Ġ",
    "def f(x):\n    return x\n", "https://a.b/c?d=e&f", "a@b.co", "$100", "--", "...", "!!!", "?!", "——", "……",
    "aaaaaaaaaaaaaaaa", "=-=-=-=-", "\\n", "\\u0041", '"', "'", "`", "/*", "*/", "0x1F", "1e-5", "-1",
)  # fmt: skip


def fuzz(count: int, seed: int) -> Iterator[str]:
    """Hostile strings: mixtures of :data:`_PIECES`, of characters of one plane, and of any."""
    draw = random.Random(seed)  # noqa: S311 (not for secrets: the same strings each time)
    planes = ((0x20, 0x7F), (0x80, 0x250), (0x300, 0x370), (0x370, 0x700), (0x900, 0x1100),
              (0x2000, 0x2C00), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0x10000),
              (0x1F300, 0x1FB00), (0x20000, 0x2A6E0), (0x2A700, 0x2EBE1), (0xE000, 0xE100))  # fmt: skip
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield "".join(draw.choice(_PIECES) for _ in range(draw.randint(1, 12)))
        elif kind == 1:
            low, high = draw.choice(planes)
            yield "".join(chr(draw.randrange(low, high)) for _ in range(draw.randint(1, 24)))
        elif kind == 2:
            yield "".join(
                draw.choice(_PIECES) if draw.random() < 0.5 else chr(draw.randrange(*draw.choice(planes)))
                for _ in range(draw.randint(1, 16))
            )  # fmt: skip
        else:
            yield "".join(_any(draw) for _ in range(draw.randint(1, 12)))


def _any(draw: random.Random) -> str:
    """Any character that UTF-8 can hold."""
    code = draw.randrange(0x110000 - 0x800)
    return chr(code + 0x800 if code >= 0xD800 else code)


def added_tokens(tokenizer_json: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Texts that the tokenizer takes as one token, and whether text may be cut at them.

    It may where an added token swallows nothing around it, and where a piece of
    text gives the same tokens at the start as in the middle (byte-level BPE).
    """
    tokens = tokenizer_json.get("added_tokens") or []
    flags = ("lstrip", "rstrip", "single_word", "normalized")
    plain = not any(token.get(flag) for token in tokens for flag in flags)
    before = str(tokenizer_json.get("pre_tokenizer")) + str(tokenizer_json.get("normalizer"))
    moves = re.search(r"Metaspace|Prepend|'add_prefix_space': True|Strip", before)
    return tuple(token["content"] for token in tokens), plain and not moves


def any_of(texts: Sequence[str]) -> re.Pattern[str]:
    """Finds any of these texts, the longest where several begin; nothing when there are none."""
    ordered = sorted((text for text in texts if text), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{version('quicktok-v1')}/{version('tokenizers')}/{FUZZ}/{FORMAT}"
    except PackageNotFoundError:
        return f"none/{version('tokenizers')}/{FUZZ}/{FORMAT}"
