from tests.helpers import chat
from tuner.records import Sentence
from tuner.ui import html
from tuner.ui.notebook import Note

HOSTILE = "<script>alert(1)</script>\"'&"


def test_nothing_a_user_supplied_reaches_the_page_as_markup() -> None:
    pieces = [
        html.conversation(chat(HOSTILE, HOSTILE, HOSTILE)["messages"]),
        html.table([HOSTILE], [[HOSTILE]]),
        html.facts([(HOSTILE, HOSTILE, HOSTILE)]),
        html.note(Note("error", Sentence("file.missing", {"file": HOSTILE})), "en"),
    ]
    for piece in pieces:
        assert "<script>" not in piece
        assert "&lt;script&gt;" in piece


def test_a_cell_without_a_word_shows_nothing() -> None:
    assert html.note(None, "en") == ""


def test_an_unknown_number_is_a_dash_and_zero_is_zero() -> None:
    assert html.count(None) == html.billions(None) == html.duration(None, "en") == "–"
    assert html.count(0) == "0"
    assert html.duration(0, "zh") == "0 秒"


def test_durations_are_said_in_the_readers_units() -> None:
    assert html.duration(59.4, "en") == "59 s"
    assert html.duration(61, "en") == "1 min 1 s"
    assert html.duration(3661, "zh") == "1 小时 1 分"
