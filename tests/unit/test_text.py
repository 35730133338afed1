"""What reaches a terminal is text, whatever came in."""

import random

import pytest

from chatapp.text import MAX_STRING, ControlFilter, one_line, strip_controls

CASES = [
    ("plain", "plain"),
    ("a\tb\nc", "a\tb\nc"),
    ("a\r\nb\rc\r\r\nd", "a\nb\nc\n\nd"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x9b31mred", "red"),
    ("\x1b[?1049h\x1b[2Jx", "x"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]52;c;aGFjaw==\x1b\\text", "text"),
    ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x9d0;title\x9ctext", "text"),
    ("\x1bPq#0;2;0;0;0\x1b\\x", "x"),
    ("\x1b_Gf=100;AAAA\x1b\\x", "x"),
    ("\x1b^private\x1b\\x", "x"),
    ("\x1b(Bx", "x"),
    ("\x1b7\x1b8\x1bcx", "x"),
    ("\x1b北京", "北京"),
    ("\x1b[31北京", "北京"),
    ("\x1b]open\nnext", "\nnext"),
    ("a\x00\x07\x08\x0b\x0c\x7f\x85b", "ab"),
    ("\u202egnp.exe\u202c \u2066x\u2069", "gnp.exe x"),
    ("\u2028\u2029", "\n\n"),
    ("half \ud83d surrogate", "half \ufffd surrogate"),
    ("👩‍👩‍👧 naïve 北京 עברית", "👩‍👩‍👧 naïve 北京 עברית"),
    ("\x1b", ""),
    ("\x1b[", ""),
    ("", ""),
]


@pytest.mark.parametrize(("dirty", "clean"), CASES)
def test_controls_go_and_text_stays(dirty: str, clean: str) -> None:
    assert strip_controls(dirty) == clean


@pytest.mark.parametrize(("dirty", "clean"), CASES)
def test_every_cut_gives_the_same_text(dirty: str, clean: str) -> None:
    for cut in range(len(dirty) + 1):
        filter_ = ControlFilter()
        assert filter_.feed(dirty[:cut]) + filter_.feed(dirty[cut:]) == clean
    filter_ = ControlFilter()
    assert "".join(filter_.feed(char) for char in dirty) == clean


def test_an_endless_escape_string_does_not_swallow_the_answer() -> None:
    shown = strip_controls("\x1b]" + "x" * MAX_STRING + "the answer")
    assert shown == "the answer"
    assert strip_controls("\x1b[" + "1" * 1000 + "m").endswith("1m")


def test_random_noise_leaves_nothing_a_terminal_obeys() -> None:
    alphabet = [chr(code) for code in range(0x100)] + list("\u202e\u2066\u2028\ud800北[]P\\;m")
    source = random.Random(7)
    for _ in range(300):
        noise = "".join(source.choice(alphabet) for _ in range(200))
        shown = strip_controls(noise)
        assert all(char in "\t\n" or char >= " " for char in shown)
        assert not any("\x7f" <= char <= "\x9f" or "\u2028" <= char <= "\u202e" for char in shown)
        assert strip_controls(shown) == shown
        shown.encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[31mred\x1b[0m title", "red title"),
        ("a\x1b]0;window\x07b", "ab"),
        ("a\x07b\tc\r\nd", "a b c d"),
        ("\x1b[31m", ""),
    ],
)
def test_a_line_keeps_nothing_of_an_escape_sequence(text: str, line: str) -> None:
    assert one_line(text) == line
