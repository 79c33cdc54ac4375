"""Access keys and personal data in a text, and the same text with them masked.

Cheap patterns say where something may stand; checksums and the numbering plans
of phonenumbers say whether it does. Examples out of handbooks
(``user@example.com``, ``AKIA…EXAMPLE``) are nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import phonenumbers

Kind = Literal["key", "email", "id", "card", "phone"]
#: Where two overlap, the first of these names them both.
_ORDER: Final[tuple[Kind, ...]] = ("key", "email", "id", "card", "phone")
PERSONAL: Final[frozenset[Kind]] = frozenset({"email", "id", "card", "phone"})


@dataclass(frozen=True, slots=True)
class Span:
    """Where in a text something stands that nobody should see."""

    start: int
    end: int
    kind: Kind


_LONG_WORD: Final = re.compile(r"[0-9A-Za-z_+/\-]{16}")
_KEY: Final = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]{0,40}PRIVATE\ KEY[A-Z ]{0,10}-----
        (?=[^-]{0,400}?[0-9A-Za-z+/=]{40}) .*? (?: -----END\ [A-Z0-9 ]{0,60}----- | \Z )
    | (?<![0-9A-Za-z]) (?:
        (?:AKIA|ASIA) [0-9A-Z]{16}                                     # Amazon
        | LTAI [0-9A-Za-z]{12,26}                                      # Alibaba Cloud
        | AKID [0-9A-Za-z]{32}                                         # Tencent Cloud
        | AIza [0-9A-Za-z_\-]{35}                                      # Google
        | gh[opsur]_ [0-9A-Za-z]{36,} | github_pat_ [0-9A-Za-z_]{50,}
        | glpat- [0-9A-Za-z_\-]{20,}
        | xox[abeoprs]- [0-9A-Za-z\-]{16,}                             # Slack
        | [rs]k_live_ [0-9A-Za-z]{20,}                                 # Stripe
        | sk- (?:[a-z]+[0-9]*-){0,3} [0-9A-Za-z_\-]{20,}               # model services
        | hf_ [0-9A-Za-z]{30,}
        | ms- [0-9a-f]{8} (?:-[0-9a-f]{4}){3} -[0-9a-f]{12}            # ModelScope
        | npm_ [0-9A-Za-z]{36} | pypi- [0-9A-Za-z_\-]{50,}
        | SG\. [0-9A-Za-z_\-]{16,24} \. [0-9A-Za-z_\-]{30,50}          # SendGrid
        | [0-9]{8,10} :AA [0-9A-Za-z_\-]{33}                           # Telegram
        | eyJ [0-9A-Za-z_\-]{10,} \.eyJ [0-9A-Za-z_\-]{10,} \. [0-9A-Za-z_\-]{16,}
    ) (?![0-9A-Za-z])
    | (?i: (?:api|secret|access|auth|private|client) [_\- ]? (?:key|token|secret) (?:[_\- ]id)?
        ["']? \s* [:=：] \s* ["']? | bearer \s+ ) (?P<named> [0-9A-Za-z_+/\-]{20,} ={0,2} )
    """,
    re.VERBOSE | re.DOTALL,
)
_LOGIN: Final = re.compile(r"://([^\s/:@\"'<>]{1,64}):([^\s/@\"'<>]{3,64})@[0-9A-Za-z]")
_EXAMPLE: Final = re.compile(
    r"example|xxxx|your|1234567890|abcdefgh|\*\*\*|password|placeholder", re.IGNORECASE
)

_EMAIL: Final = re.compile(
    r"(?<![0-9A-Za-z._%+\-])([0-9A-Za-z][0-9A-Za-z._%+\-]{0,63})"
    r"@((?:[0-9A-Za-z](?:[0-9A-Za-z\-]{0,62}[0-9A-Za-z])?\.)+)"
    r"([A-Za-z]{2}|com|net|org|edu|gov|mil|int|info|biz|name|pro|app|dev|xyz|top|site|online|tech"
    r"|shop|club|cloud)(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_NOBODY: Final = re.compile(
    r"(?:.*\.)?(?:example|test|domain|company|yourcompany|yourdomain|email|sample)\.",
    re.IGNORECASE,
)
_NOBODIES: Final = re.compile(
    r"git|user(?:name)?|your?|your\.?name|name|example|someone|no-?reply|j(?:ohn|ane)\.?doe|zhangsan",
    re.IGNORECASE,
)

_DIGITS: Final = re.compile(r"[0-9](?:[ ()\-]{0,2}[0-9]){7,}[Xx]?")
#: A resident identity number of China: province, county, birthday, number of the day, check digit.
_ID: Final = re.compile(
    r"(?<![0-9A-Za-z.])(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])[0-9]{4}"
    r"(?P<birthday>(?:19|20)[0-9]{6})[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
)
#: A social security number of the USA, without those that were never given out.
_SSN: Final = re.compile(
    r"(?<![0-9A-Za-z.\-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9A-Za-z\-])"
)
_CARD: Final = re.compile(
    r"(?<![0-9A-Za-z.\-])(?:[0-9]{4}([ \-]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?"
    r"|3[47][0-9]{2}([ \-]?)[0-9]{6}\2[0-9]{5})(?![0-9A-Za-z\-])"
)
#: Numbers of cards begin with what was given to those who issue them.
_ISSUED: Final = re.compile(r"4|5[1-5]|2[2-7]|3[47]|6(?:011|2|4[4-9]|5)|35|9")
_PHONE: Final = re.compile(
    r"(?<![0-9A-Za-z.+\-])(?:"
    r"(?P<cn>(?:\+?86[ \-]?)?1[3-9][0-9]([ \-]?)[0-9]{4}\2[0-9]{4}"
    r"|\(?0[1-9][0-9]{1,2}(?:\)[ ]?|[ \-])[2-9][0-9]{6,7})"
    r"|(?P<us>(?:\+?1[ \-])?(?:\([2-9][0-9]{2}\)[ ]?|[2-9][0-9]{2}-)[2-9][0-9]{2}[ \-][0-9]{4})"
    r"|(?P<any>\+[1-9][0-9]{0,2}(?:[ \-]?\(?[0-9]{1,4}\)?){2,5})"
    r")(?![0-9A-Za-z\-])(?!\s*(?:[元万亿%％]|美元|人民币|\.[0-9]))"
)
#: What stands before a number of arithmetic or an amount.
_SUM: Final = re.compile(r"[=*/×÷^$¥￥€£≈<>~#]\s*$|[0-9]\s*[+\-]\s*$")


def spans(text: str) -> list[Span]:
    """What nobody should see in a text, from its beginning; spans do not overlap."""
    found: list[Span] = []
    if _LONG_WORD.search(text):
        found += _keys(text)
    if "@" in text:
        found += _addresses(text)
    for run in _DIGITS.finditer(text):
        found += _numbers(text, run.start(), run.end())
    if not found:
        return found
    # The same value may stand elsewhere, where nothing around it gives it away.
    for kind, value in {(span.kind, text[span.start : span.end]) for span in found}:
        found += [Span(m.start(), m.end(), kind) for m in re.finditer(re.escape(value), text)]
    return _merged(found)


def _keys(text: str) -> Iterator[Span]:
    for match in _KEY.finditer(text):
        named = match.start("named")
        start = match.start() if named < 0 else named
        value = text[start : match.end()]
        if _EXAMPLE.search(value) or not _is_random(value, 0 if named < 0 else 4):
            continue
        yield Span(start, match.end(), "key")


def _is_random(value: str, least_digits: int) -> bool:
    """Whether a value looks drawn, not written: words joined by dashes are not a key."""
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    return (
        len(set(value)) >= 10
        and digits >= max(2, least_digits)
        and letters >= 4
        and not re.fullmatch(r"[a-z]*[0-9]*(?:[_\-/][a-z]*[0-9]{0,4})*", value)
    )


def _addresses(text: str) -> Iterator[Span]:
    for match in _LOGIN.finditer(text):
        if not _EXAMPLE.search(match[2]) and match[2].lower() not in {"pass", "secret", "token"}:
            yield Span(match.start(2), match.end(2), "key")
    for match in _EMAIL.finditer(text):
        if not _NOBODIES.fullmatch(match[1]) and not _NOBODY.fullmatch(match[2]):
            yield Span(match.start(), match.end(), "email")


def _numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """Numbers that belong to a person in a run of digits, by checksum and numbering plan."""
    if _SUM.search(text, max(0, start - 4), start):
        return
    # A plus or a bracket may stand before it; what stands after it tells amounts from phones.
    start, end = max(0, start - 2), end + 8
    for match in _ID.finditer(text, start, end):
        if _is_dated(match["birthday"]) and _is_checked(match[0]) and not _is_sample(match[0]):
            yield Span(match.start(), match.end(), "id")
    for match in _SSN.finditer(text, start, end):
        if not _is_sample(match[0]):
            yield Span(match.start(), match.end(), "id")
    for match in _CARD.finditer(text, start, end):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUED.match(digits) and _is_luhn(digits) and not _is_sample(digits):
            yield Span(match.start(), match.end(), "card")
    for match in _PHONE.finditer(text, start, end):
        if _is_sample(match[0]):
            continue
        try:
            number = phonenumbers.parse(match[0], "US" if match["us"] else "CN")
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            yield Span(match.start(), match.end(), "phone")


def _is_dated(day: str) -> bool:
    try:
        date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return True


def _is_checked(number: str) -> bool:
    """Whether the check digit of ISO 7064, MOD 11-2, is right."""
    digit = 10 if number[-1] in "Xx" else int(number[-1])
    return (2 * int(number[:-1], 13) + digit) % 11 == 1  # the powers of 13 are those of 2 there


def _is_luhn(digits: str) -> bool:
    """Whether the check digit of bank cards is right (ISO/IEC 7812)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _is_sample(number: str) -> bool:
    """Whether a number is made to be shown: few different digits, or all in a row."""
    digits = re.sub(r"\D", "", number)
    return len(set(digits)) < 4 or digits.endswith("0000") or digits in "01234567890123456789"


def _merged(found: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(found, key=lambda s: (s.start, s.end)):
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            kind = min(last.kind, span.kind, key=_ORDER.index)
            merged.append(Span(last.start, max(last.end, span.end), kind))
        else:
            merged.append(span)
    return merged


def masked(text: str) -> str:
    """A text with everything that nobody should see masked."""
    return excerpt(text, 0, len(text), 0)


def excerpt(text: str, at: int, length: int, before: int = 40) -> str:
    """A piece of ``text`` around ``at``, at most ``length`` characters, masked.

    The whole text is masked before it is cut: half a key would not be known as one.
    """
    pieces: list[str] = []
    done = size = place = 0
    for span in [*spans(text), Span(len(text), len(text), "key")]:
        between = text[done : span.start]
        if done <= at:
            place = size + min(at - done, len(between))
        pieces += [between, _mask(text[span.start : span.end], span.kind)]
        size += len(between) + len(pieces[-1])
        done = span.end
    whole = "".join(pieces)
    if len(whole) <= length:
        return whole
    start = max(0, min(place - before, len(whole) - length))
    piece = whole[start : start + length]
    if start:
        piece = "…" + piece[1:]
    return piece[:-1] + "…" if start + length < len(whole) else piece


def _mask(value: str, kind: Kind) -> str:
    """So much of a value that its owner knows it again, and nobody else can use it."""
    if not value:
        return ""
    if kind == "email" and value.count("@") == 1:
        name, _, host = value.partition("@")
        return f"{name[: min(2, len(name) // 2)]}***@{host[0]}***.{host.rpartition('.')[2]}"
    if kind == "key":
        return f"{value[:4] if len(value) >= 16 else ''}***"
    return f"{value[: 3 if len(value) >= 9 else 0]}***{value[-2:] if len(value) >= 9 else ''}"
