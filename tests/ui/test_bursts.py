"""What comes at once from a terminal: typing, or a paste without brackets."""

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Paste

from chatapp.ui.bursts import Brackets, gather, is_paste


@pytest.mark.parametrize(
    ("data", "pasted"),
    [
        ("hello\r", False),
        ("hello", False),
        ("\rhello", False),
        ("\r\r", False),
        ("one\ntwo\r", False),
        ("one\rtwo", True),
        ("one\rtwo\r", True),
        ("a\tb\r\rc\r", True),
        ("北京\r👍", True),
        ("one\r\x7ftwo", False),
        ("one\rtwo\x1b[A", False),
        ("one\r\x01two", False),
    ],
)
def test_an_enter_between_text_makes_a_paste(data: str, pasted: bool) -> None:
    assert is_paste(data) is pasted


def test_where_a_line_feed_sends_it_makes_a_paste_too() -> None:
    assert is_paste("one\ntwo\n", "\r\n")
    assert not is_paste("one\n", "\r\n")


@pytest.mark.parametrize(
    ("readings", "bursts"),
    [
        (["one\r", "two\r"], ["one\rtwo\r"]),
        (["one\rtwo", "three", "\r"], ["one\rtwothree\r"]),
        (["one\rtwo\r", "\x01"], ["one\rtwo\r", "\x01"]),
        (["one\r", "\x01"], ["one\r", "\x01"]),
        (["one\r", ""], ["one\r"]),
    ],
)
def test_a_paste_is_gathered_over_readings(readings: list[str], bursts: list[str]) -> None:
    waiting = iter(readings)
    found = list(gather(next(waiting), lambda _seconds: next(waiting, "")))
    assert found == bursts


def test_typing_waits_for_nothing() -> None:
    def more(_seconds: float) -> str:
        raise AssertionError("it waited")

    for data in ("h", "\r", "hello", "\x1b[A", "abc\x01X", "\n"):
        assert list(gather(data, more)) == [data]


@pytest.mark.parametrize("size", [*range(1, 9), 100])
def test_what_is_pasted_in_brackets_is_text_whatever_is_in_it(size: int) -> None:
    inside = "hi \x1b]0;window\x07\x1b[31mred\x1b[0m\x1b[200 \x9b5mx\rrm\r\x1b[A\x1b"
    stream = f"a\x1b[200~{inside}\x1b[201~b\x1b[A\x1b[200~\x1b[201~c\x1b[200~d\re\x1b[201~"
    brackets, parser, events = Brackets(), XTermParser(), []
    for start in range(0, len(stream), size):
        if text := brackets.feed(stream[start : start + size]):
            events += parser.feed(text)
    events += parser.tick()
    told = [event.text if isinstance(event, Paste) else event.key for event in events]
    pasted, second = "hi red", "d\ne"
    assert told[0] == "a"
    assert told[1].startswith(pasted)
    assert told[1].endswith("x\nrm\n")
    assert told[2:4] == ["b", "up"]
    assert told[-2:] == ["c", second]
    assert not any("\x1b" in one or "\r" in one for one in told)
    assert not brackets.open


@pytest.mark.parametrize("size", range(1, 8))
def test_brackets_are_seen_however_the_stream_is_cut(size: int) -> None:
    stream = "a\x1b[200~b\rc\x1b[201~d\x1b[200~e"
    brackets = Brackets()
    for start in range(0, len(stream), size):
        brackets.feed(stream[start : start + size])
    assert brackets.open
