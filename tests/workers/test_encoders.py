"""An encoder counts only after it has proven equal, and text is cut by hand only where that changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tuner.workers import encoders
from tuner.workers.encoders import (
    Encoder,
    NoEncoder,
    QuickEncoder,
    ReferenceEncoder,
    added_tokens,
    admit,
    any_of,
    equal,
    fuzz,
    load,
)

# quicktok reads a tokenizer and leaves closing its file to Python.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

#: How Qwen's tokenizers take text to pieces.
QWEN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
END: Final = "<|end|>"
#: Strings for one tokenizer; an encoder that is admitted in earnest sees more.
FEW: Final = 2_000


def trained(tokenizer: Tokenizer) -> Tokenizer:
    """A byte-level vocabulary of 300 tokens, one of them added."""
    tokenizer.train_from_iterator(
        ["the cat sat on the mat. Is it the cat's? 你好，世界。"] * 3,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=[END], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    return tokenizer


def byte_level() -> Tokenizer:
    """As GPT-2's: a grammar that quicktok does not take."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return trained(tokenizer)


def qwen_like() -> Tokenizer:
    """As Qwen's: a grammar that quicktok takes, and text that is normalised first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return trained(tokenizer)


def qwen_like_model(model: Path, folder: Path) -> Path:
    """A copy of a byte-level model whose text is taken to pieces as Qwen's: quicktok counts it."""
    shutil.copytree(model, folder)
    file = folder / "tokenizer.json"
    ours = orjson.loads(file.read_bytes())
    like = described(qwen_like())
    ours |= {name: like[name] for name in ("normalizer", "pre_tokenizer")}
    file.write_bytes(orjson.dumps(ours))
    return folder


def described(tokenizer: Tokenizer) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(tokenizer.to_str())
    return made


def plain(texts: Sequence[str], tokenizer: dict[str, Any]) -> list[str]:
    """The texts without those that hold an added token: they never come to an encoder."""
    special = any_of(added_tokens(tokenizer)[0])
    return [text for text in texts if not special.search(text)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "FUZZ", FEW // 4)


# What is proven, and on what.


class Almost:
    """The reference, but for what it is told to get wrong."""

    name = "almost"

    def __init__(self, reference: Encoder, wrong: Callable[[str], list[int] | None]) -> None:
        self._reference, self._wrong = reference, wrong
        self.differed = 0

    def ids(self, text: str) -> list[int]:
        found = self._wrong(text)
        self.differed += found is not None
        return self._reference.ids(text) if found is None else found

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        return [len(self.ids(text)) for text in texts]


class Miscounts(Almost):
    """Gives the right tokens, and counts one too many where there are three spaces."""

    def ids(self, text: str) -> list[int]:
        return self._reference.ids(text)

    def counts(self, texts: Sequence[str], leave: int = 0) -> list[int]:
        found = self._reference.counts(texts)
        return [count + ("   " in text) for count, text in zip(found, texts, strict=True)]


@pytest.fixture
def reference(tmp_path: Path) -> ReferenceEncoder:
    file = tmp_path / "tokenizer.json"
    file.write_text(qwen_like().to_str(), encoding="utf-8")
    return ReferenceEncoder(file)


def test_an_encoder_that_errs_on_one_thing_alone_is_not_equal(reference: ReferenceEncoder) -> None:
    ids = reference.ids
    texts = plain(list(fuzz(FEW, encoders.SEED)), described(qwen_like()))
    kinds: dict[str, Callable[[str], list[int] | None]] = {
        "two spaces are one": lambda text: ids(text.replace("  ", " ")) if "  " in text else None,
        "forgets to compose": lambda text: [*ids(text), 0] if "e\u0301" in text else None,
        "takes another token": lambda text: (
            [ids(text)[0] + 1, *ids(text)[1:]] if "İ" in text else None
        ),
        "drops what is last in Unicode": lambda text: (
            ids(text.replace("\U0010ffff", "")) if "\U0010ffff" in text else None
        ),
    }
    for name, wrong in kinds.items():
        almost = Almost(reference, wrong)
        assert not equal(almost, reference, texts), name
        assert almost.differed < len(texts) / 5, name
    assert not equal(Miscounts(reference, lambda _: None), reference, texts)
    assert equal(Almost(reference, lambda _: None), reference, texts)


def test_the_fuzz_is_the_same_each_time_and_holds_every_plane_and_no_half_character() -> None:
    texts = list(fuzz(FEW, encoders.SEED))
    assert texts == list(fuzz(FEW, encoders.SEED))
    assert texts != list(fuzz(FEW, encoders.SEED + 1))
    assert len(texts) == FEW
    characters = {ord(character) for text in texts for character in text}
    assert {code >> 16 for code in characters} == set(range(17))
    assert not any(0xD800 <= code < 0xE000 for code in characters)
    assert all(text.encode() and text for text in texts)
    for character in (
        " ",
        "\n",
        "\t",
        "\r",
        "\x00",
        "\u3000",
        "\u0301",
        "\u200d",
        "\ufe0f",
        "ไ",
        "你",
    ):
        assert any(character in text for text in texts), character


def test_the_reference_counts_as_many_as_it_gives(reference: ReferenceEncoder) -> None:
    texts = list(fuzz(encoders.BATCH + 1, 3))
    assert reference.counts(texts) == [len(reference.ids(text)) for text in texts]
    assert reference.counts([]) == []


def test_where_ms_swift_counts_every_row_no_text_is_ever_cut() -> None:
    encoder = load({"encoder": "ms-swift"})
    assert isinstance(encoder, NoEncoder)
    for asked in (lambda: encoder.ids("a"), lambda: encoder.counts(["a"])):
        with pytest.raises(NotImplementedError):
            asked()


# Where text may be cut at added tokens.


def with_flag(flag: str) -> Tokenizer:
    tokenizer = byte_level()
    tokenizer.add_special_tokens([AddedToken("<s>", **{"normalized": False} | {flag: True})])
    return tokenizer


def metaspace() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return trained(tokenizer)


def prefixed() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    return trained(tokenizer)


def normalised(normalizer: normalizers.Normalizer) -> Tokenizer:
    tokenizer = byte_level()
    tokenizer.normalizer = normalizer
    return tokenizer


def cut(text: str, tokenizer: Tokenizer) -> list[int]:
    """The text cut by hand at added tokens, each piece by itself."""
    special = any_of(added_tokens(described(tokenizer))[0])
    found: list[int] = []
    at = 0
    for match in special.finditer(text):
        found += tokenizer.encode(text[at : match.start()], add_special_tokens=False).ids
        token = tokenizer.token_to_id(match.group())
        assert token is not None
        found.append(token)
        at = match.end()
    return found + tokenizer.encode(text[at:], add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        (with_flag("lstrip"), "the <s>cat"),
        (with_flag("rstrip"), "the<s> cat"),
        (with_flag("single_word"), "the<s>cat"),
        (metaspace(), f"the{END}cat"),
        (normalised(normalizers.Strip()), f" {END}the"),
        (normalised(normalizers.Sequence([normalizers.NFC(), normalizers.Prepend("a")])), END),
        (prefixed(), ""),
    ],
    ids=["lstrip", "rstrip", "single_word", "Metaspace", "Strip", "Prepend", "prefix space"],
)
def test_text_is_not_cut_where_a_tokenizer_looks_beyond_the_cut(
    tokenizer: Tokenizer, text: str
) -> None:
    assert not added_tokens(described(tokenizer))[1]
    if text and END not in text:
        assert cut(text, tokenizer) != tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("tokenizer", [byte_level(), qwen_like()], ids=["GPT-2", "Qwen"])
def test_text_that_may_be_cut_gives_the_same_tokens_when_it_is(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken("<|end|>!", normalized=False)])  # one within another
    tokens, cuttable = added_tokens(described(tokenizer))
    assert cuttable
    assert set(tokens) == {END, "<|end|>!"}
    for before, after in zip(fuzz(300, 1), fuzz(300, 2), strict=True):
        for token in tokens:
            text = f"{before}{token}{after}"
            assert cut(text, tokenizer) == tokenizer.encode(text, add_special_tokens=False).ids


def test_what_a_decoder_does_is_no_reason_and_a_tokenizer_without_added_tokens_has_none() -> None:
    tokenizer = described(byte_level())
    assert added_tokens(tokenizer | {"decoder": {"add_prefix_space": True}}) == ((END,), True)
    assert added_tokens({}) == ((), True)
    assert any_of(()).search("anything") is None
    assert any_of(("a", "ab", "")).findall("abba") == ["ab", "a"]


# Verdicts.


def test_the_fastest_encoder_that_is_equal_is_admitted_and_counts_as_the_reference(
    tmp_path: Path,
) -> None:
    for tokenizer, name in ((qwen_like(), "quicktok"), (byte_level(), "tokenizers")):
        spec = admit(tmp_path, tokenizer.to_str())
        assert spec["encoder"] == name
        encoder, texts = load(spec), plain(list(fuzz(FEW, 5)), described(tokenizer))
        assert encoder.name == name
        assert equal(encoder, ReferenceEncoder(Path(spec["file"])), texts)


def test_an_encoder_that_is_not_equal_is_not_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = QuickEncoder.ids
    monkeypatch.setattr(
        QuickEncoder,
        "ids",
        lambda self, text: right(self, text)[: -1 if "\u0301" in text else None],
    )
    assert admit(tmp_path, qwen_like().to_str())["encoder"] == "tokenizers"


def test_a_verdict_is_kept_and_used_until_a_version_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = qwen_like().to_str()
    first = admit(tmp_path, tokenizer)
    (verdict,) = tmp_path.glob("*.verdict")
    kept = orjson.loads(verdict.read_bytes())
    assert kept["encoder"] == first["encoder"] == "quicktok"
    # Another answer than a fuzz would give shows that none was made.
    verdict.write_bytes(orjson.dumps(kept | {"encoder": "tokenizers"}))
    assert admit(tmp_path, tokenizer)["encoder"] == "tokenizers"
    monkeypatch.setattr(encoders, "FUZZ", FEW // 4 + 1)
    assert admit(tmp_path, tokenizer) == first
    other = admit(tmp_path, byte_level().to_str())
    assert other["file"] != first["file"]
    assert len(list(tmp_path.glob("*.verdict"))) == 2


@pytest.mark.parametrize(
    "found", [b"", b"{", b"\xff\xfe\x00", b"{}", b"null", b"[]", b'"quicktok"']
)
def test_a_verdict_that_cannot_be_read_is_made_anew(tmp_path: Path, found: bytes) -> None:
    tokenizer = qwen_like().to_str()
    first = admit(tmp_path, tokenizer)
    (verdict,) = tmp_path.glob("*.verdict")
    verdict.write_bytes(found)
    assert admit(tmp_path, tokenizer) == first
    assert orjson.loads(verdict.read_bytes())["encoder"] == first["encoder"]


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("json", None),
        ("json", b""),
        ("vocab", None),
        ("vocab", b""),
        ("enc", None),
    ],
)
def test_what_a_verdict_stands_on_is_made_anew_where_it_is_gone(
    tmp_path: Path, kind: str, left: bytes | None
) -> None:
    tokenizer = qwen_like()
    admit(tmp_path, tokenizer.to_str())
    (file,) = tmp_path.glob(f"*.{kind}")
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    encoder = load(admit(tmp_path, tokenizer.to_str()))
    assert encoder.ids("the cat e\u0301") == tokenizer.encode("the cat e\u0301").ids


def test_a_verdict_moves_with_its_folder(tmp_path: Path) -> None:
    tokenizer = qwen_like()
    admit(tmp_path / "old", tokenizer.to_str())
    shutil.move(tmp_path / "old", tmp_path / "new")
    encoder = load(admit(tmp_path / "new", tokenizer.to_str()))
    assert encoder.ids("the cat") == tokenizer.encode("the cat").ids


# A tokenizer of the real size.


def test_on_qwen3_the_quick_encoder_gives_the_references_tokens(tmp_path: Path) -> None:
    place = os.environ.get("TUNER_QWEN3")
    if not place:
        pytest.skip("TUNER_QWEN3 does not name a folder with Qwen3's tokenizer.json")
    text = Path(place, "tokenizer.json").read_text(encoding="utf-8")
    spec = admit(tmp_path, text)
    assert spec["encoder"] == "quicktok"
    texts = plain(list(fuzz(20_000, 7)), orjson.loads(text))
    assert len(texts) > 19_000
    assert equal(load(spec), ReferenceEncoder(Path(spec["file"])), texts)
