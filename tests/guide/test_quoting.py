"""Behind the mark of a fact an answer says the fact, and nothing else."""

import pytest

from chatapp.engine.llama.named import Named
from chatapp.guide.quoting import is_quoted, marked_in, rest_of_quote
from chatapp.guide.wording import UNSURE, mark
from tests.guide.test_naming import Vocabulary, write

LINES = [*mark(["F12 leaves.", "◂ 2/3 ▸ shows where you are."]), UNSURE["en"][0]]
TOLD = marked_in(LINES)


class Spelling(Vocabulary):
    """With the tokens of a text."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        assert not special
        return list(text.encode())


def test_facts_are_known_by_their_marks() -> None:
    assert {"•": LINES[0], "◦": LINES[1]} == TOLD


@pytest.mark.parametrize(
    ("text", "grows", "ends"),
    [
        ("Hello!", True, True),
        ("• F12 leaves.", True, True),
        ("• F12 lea", True, False),
        ("• ", True, False),
        ("•", True, False),
        ("• F11", False, False),
        ("• F12 leaves. Now", False, False),
        ("Of course: • F12 leaves.", True, True),
        ("好的。• F12 leaves.", True, True),
        ("好的。• F11 leaves.", False, False),
        ("再说一遍：• F12", True, False),
        ("• F12 leaves.\n\n◦ ◂ 2/3 ▸ shows where you are.", True, True),
        ("• F12 lea\n", False, False),
        ("▪ Something.", False, False),
        ("a•b is no mark", True, True),
    ],
)
def test_a_fact_is_said_word_for_word(text: str, grows: bool, ends: bool) -> None:
    assert is_quoted(text, TOLD, ends=False) is grows
    assert is_quoted(text, TOLD, ends=True) is ends


def test_what_is_left_of_a_fact_is_known() -> None:
    assert rest_of_quote("Sure: • F12 ", TOLD) == "leaves."
    assert rest_of_quote("• F12 leaves.", TOLD) == ""
    assert rest_of_quote("F12 ", TOLD) is None


def test_behind_a_mark_nothing_is_left_to_be_drawn() -> None:
    bound = Named(Spelling(), ["f12"], LINES)  # type: ignore[arg-type]
    assert bound.only_token() is None
    assert write(bound, "OK: •") == "OK: •"
    said = b""
    while (token := bound.only_token()) is not None:
        said += bytes([token])
        bound.accept(token)
    assert said.decode() == " F12 leaves."
    assert bound.is_complete
    assert not bound.fits(ord("x"))
    assert write(bound, "\n\n◦ ") == "\n\n◦ "
    assert not bound.is_complete


def test_a_mark_that_stands_before_nothing_cannot_be_said() -> None:
    bound = Named(Spelling(), [], LINES)  # type: ignore[arg-type]
    assert "▪" not in write(bound, "▪ made up")


@pytest.mark.parametrize("fact", ["In one file: /d/history.db.", "Use /new here.", "/a --b F9"])
def test_a_fact_is_said_whatever_is_known_of_its_names(fact: str) -> None:
    """A path begins like a command."""
    bound = Named(Spelling(), [], mark([fact]))  # type: ignore[arg-type]
    assert write(bound, f"• {fact}") == f"• {fact}"
    assert bound.is_complete
    assert write(bound, "\n\nor /d") == "\n\nor /"


def test_a_letter_of_several_bytes_is_the_facts_own() -> None:
    """A small vocabulary spells `…` in three tokens."""
    bound = Named(Spelling(), [], mark(["选“图…"]))  # type: ignore[arg-type]
    assert write(bound, "• ") == "• "
    said = b""
    while (token := bound.only_token()) is not None:
        assert bound.fits(token)
        bound.accept(token)
        said += bytes([token])
    assert said.decode() == "选“图…"
    assert bound.is_complete
    assert not any(bound.fits(byte) for byte in range(128, 256))
    assert bound.fits(ord("\n"))


def test_bytes_that_are_no_text_are_not_taken() -> None:
    bound = Named(Spelling(), [], mark(["图"]))  # type: ignore[arg-type]
    assert not bound.fits(0x80)
    assert bound.fits(0xE5)
    bound.accept(0xE5)
    assert not bound.fits(ord("a"))
    assert bound.fits(0x9B)


def test_a_fact_is_said_once() -> None:
    bound = Named(Spelling(), ["f12"], LINES)  # type: ignore[arg-type]
    assert write(bound, "• F12 leaves.\n\n") == "• F12 leaves.\n\n"
    assert "•" not in write(bound, "• F12 leaves.")
