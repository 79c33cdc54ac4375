"""The detectors by themselves: what they find, what they leave alone, what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data.findings import mix, secrets
from tuner.data.findings.answers import is_one_word
from tuner.data.findings.duplicates import Buckets, Sketches, copies, near_copies, near_pairs
from tuner.data.findings.leftovers import placeholder
from tuner.data.findings.scripts import SCRIPTS, scripts
from tuner.data.findings.shingles import Shingles, jaccard, normal

#: Each is found wherever it stands, with its kind.
SECRETS = [
    ("key", "AKIA" + "Q3EGRIJ7TVXH2MNC"),
    ("key", "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"),
    ("key", "hf_" + "QwErTyUiOpAsDfGhJkLzXc12vBnM34aSdF"),
    ("key", "sk-" + "7f3a9c1e5b8d2f6a4c0e9b7d1f3a5c8e"),
    ("key", "LTAI" + "5tKx9Wv2mPq8Zr4NcY7d"),
    ("key", "AIza" + "SyB7k2Lm9Qx4Vt1Rw8Zp5Nc3Hj6Gd0Fs2Ty"),
    ("email", "li.lei@pku.edu.cn"),
    ("email", "bob@b.co"),
    ("phone", "13712894563"),
    ("phone", "+44 20 7031 3127"),
    ("phone", "010-62781785"),
    ("phone", "(212) 736-5219"),
    ("id", "11010519491231002X"),
    ("id", "34052419800101001X"),
    ("id", "536-91-4389"),
    ("card", "4539 1488 0343 6467"),
    ("card", "6222021234567894"),
]
HARMLESS = [
    "user@example.com", "git@github.com:owner/name", "@app.route", "numpy>=2.0,<3", "3.14159265358979",
    "2023-11-05 10:30:00", "13800000000", "110105194912310022", "4539 1488 0343 6468", "1234567890123456",
    "sk-learn-pipelines-and-transformers", "AKIAIOSFODNN7EXAMPLE", "https://user:password@host/",
    "= 13712894563", "13712894563 元", "0.13712894563", "api_key = os.environ['API_KEY_OF_MINE']",
    "-----BEGIN PRIVATE KEY-----", "d41d8cd98f00b204e9800998ecf8427e",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "我的联系方式是{}，谢谢。", "Here it is: {}.", 'x = "{}"\n', "\n{}\n"]
)
def test_a_secret_is_found_and_masked(kind: str, value: str, around: str) -> None:
    text = around.format(value)
    assert [span.kind for span in secrets.spans(text)] == [kind]
    assert value not in secrets.masked(text)
    assert "***" in secrets.masked(text)


def test_a_private_key_is_masked_to_its_end() -> None:
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n{body[::-1]}\n-----END RSA PRIVATE KEY-----"
    assert secrets.masked(f"Use this: {key} and be happy.") == "Use this: ----*** and be happy."


@pytest.mark.parametrize("text", HARMLESS)
def test_what_belongs_to_nobody_is_no_secret(text: str) -> None:
    assert secrets.masked(text) == text


@given(
    st.lists(
        st.one_of(st.sampled_from([value for _, value in SECRETS]), st.text(max_size=12)),
        max_size=8,
    ),
    st.integers(0, 200),
)
def test_what_is_found_is_never_shown(parts: list[str], at: int) -> None:
    text = " ".join(parts)
    whole, piece = secrets.masked(text), secrets.excerpt(text, min(at, len(text)), 30)
    assert len(piece) <= 30
    for span in secrets.spans(text):
        value = text[span.start : span.end]
        assert value not in whole
        assert value not in piece


@pytest.mark.parametrize(
    "text",
    [
        "Dear {{ name }},", "[INSERT COMPANY HERE]", "Best regards,\n[Your Name]", "I am <your name>.",
        "TODO: write this", "Fine. TODO: say more", "TBD", "Lorem ipsum dolor sit amet",
        "【请填写公司名称】", "我叫[你的名字]", "<您的电话>", "答案（待补充）", "亲爱的{{客户姓名}}：",
    ],
)  # fmt: skip
def test_a_placeholder_is_found(text: str) -> None:
    assert placeholder(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I cannot.", r"\frac{{a}}{{b}} and x_{{ij}}", "Press [Enter] to go on.",
        "```\n{{ name }} # TODO: later\n```", "`<your name>` is shown", "    # TODO: handle this",
        "Make a TODO list", "[your guide](https://a.org)", "<div>", "【注】此诗作于唐代", "请填写表格",
        "[1] Insert the disk.", "a[insert] = 1", "待到山花烂漫时",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_placeholder_is_left_alone(text: str) -> None:
    assert placeholder(text) is None


@pytest.mark.parametrize(
    ("text", "one"),
    [("Yes.", True), ("好的。", True), ("是", True), ("42", True), ("不可以", False),
     ("Yes, sir", False), ("春眠不觉晓", False), ("こんにちは", False)],
)  # fmt: skip
def test_one_word_is_one_word_in_both_languages(text: str, one: bool) -> None:
    assert is_one_word(text) is one


@pytest.mark.parametrize(
    ("text", "script"),
    [("Guten Tag, Ärzte", "latin"), ("用 Python 写一个函数", "han"), ("東京へ行きましょう", "kana"),
     ("안녕하세요", "hangul"), ("Привет, мир", "cyrillic"), ("مرحبا", "arabic"), ("3 + 4 = 7。", "none"),
     ("สวัสดี", "other"), ("", "none")],
)  # fmt: skip
def test_a_text_has_the_script_that_it_is_mainly_in(text: str, script: str) -> None:
    texts = [normal(t) for t in ("abc", text, "山水")]
    assert [SCRIPTS[n] for n in scripts(texts)] == ["latin", script, "han"]


@given(st.lists(st.text(st.sampled_from("aé山 \n𠀀b"), max_size=20)))
def test_shingles_are_eight_bytes_that_begin_with_a_character(texts: list[str]) -> None:
    raw = [normal(text) for text in texts]
    expected = [
        {int.from_bytes(t[i : i + 8], "little") for i in range(len(t) - 7) if t[i] & 0xC0 != 0x80}
        for t in raw
    ]
    made = Shingles.of(raw)
    assert [set(s.tolist()) for s in made.sets()] == expected
    shared = np.array(sorted(set().union(*expected[:1])), np.uint64)
    own = [s - set(shared.tolist()) for s in expected]
    assert [set(s.tolist()) for s in made.without(shared).sets()] == own


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_of_equal_rows_one_stays_and_it_is_one_to_keep(rows: list[tuple[int, bool]]) -> None:
    digests = np.array([digest for digest, _ in rows], np.uint64)
    keep = np.array([kept for _, kept in rows], np.bool_)
    found = copies(np.arange(len(rows)), digests, keep)
    for digest in {digest for digest, _ in rows}:
        group = [n for n, row in enumerate(rows) if row[0] == digest]
        stays = next((n for n in group if keep[n]), group[0])
        assert {int(n) for n in found.first[group]} == {stays}
    assert len(found.extra) == len(rows) - len(set(digests.tolist()))


def test_near_copies_are_found_and_every_one_is_checked() -> None:
    rng = np.random.default_rng(3)
    base = ["".join(rng.choice(list("abcdefghij "), 300)) for _ in range(40)]
    texts = [normal(text) for text in (*base, *(t[:150] + "XY" + t[150:] for t in base))]
    sets = Shingles.of(texts).sets()
    sketches = Sketches()
    sketches.add(np.arange(80), Shingles.of(texts))
    buckets = Buckets.of(*sketches.take())

    def alike(one: int, other: int) -> bool:
        return jaccard(sets[one], sets[other]) >= 0.8

    assert near_copies(buckets, alike, 0) == {n + 40: n for n in range(40)}
    assert near_copies(buckets, lambda *_: False, 0) == {}
    every = np.ones(80, np.bool_)
    assert near_pairs(buckets, alike, 40, every) == [(n, n + 40) for n in range(40)]


def test_a_chain_of_small_changes_keeps_what_is_far_from_all_that_stays() -> None:
    bands = np.zeros((5, 16), np.uint32)
    chain = near_copies(Buckets.of(np.arange(5), bands), lambda a, b: abs(a - b) == 1, 0)
    assert chain == {1: 0, 3: 2}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**16))
def test_two_draws_of_one_mix_seldom_differ(train: int, validation: int, seed: int) -> None:
    # By chance one in a thousand does; these are seeds of a small space, all of one fair coin.
    rng = np.random.default_rng(seed)
    draws = [np.bincount(rng.integers(0, 2, size), minlength=2) for size in (train, validation)]
    apart = abs(draws[0][0] / train - draws[1][0] / validation)
    if mix.differs(*draws):
        assert apart > 0.4


def test_a_mix_differs_only_when_it_is_large_and_no_chance() -> None:
    assert mix.differs(np.array([900, 100]), np.array([50, 50]))
    assert not mix.differs(np.array([3, 0]), np.array([0, 2]))  # chance
    assert not mix.differs(np.array([900_000, 100_000]), np.array([88_000, 12_000]))  # too small
    assert mix.differs(np.array([9_000_000, 0]), np.array([0, 500]))


def test_lengths_differ_only_when_it_is_large_and_no_chance() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(10, 500, 2000).astype(np.int32) for _ in range(2))
    assert mix.lengths_differ(one, other[:300]) is None
    assert mix.lengths_differ(one[:6], other[:3] * 3) is None
    found = mix.lengths_differ(one, other[:300] * 2)
    assert found is not None
    assert found.validation > found.train
    assert mix.lengths_differ(one, other[:0]) is None


def test_only_rows_far_beyond_the_others_are_outliers() -> None:
    lengths = np.exp(np.random.default_rng(0).normal(5, 0.8, 3000)).astype(np.int32)
    assert mix.outliers(lengths) is None
    lengths[17] = 60_000
    found = mix.outliers(lengths)
    assert found is not None
    assert found.rows.tolist() == [17]
    assert mix.outliers(np.array([10, 10, 9000], np.int32)) is None
