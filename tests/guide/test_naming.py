"""Names of keys, commands and flags: found in texts, and kept out of answers that were not told of
them."""

import numpy as np
import pytest

from chatapp.engine.llama.named import Named
from chatapp.guide.naming import is_known, names_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Press Ctrl+R, or Alt+←.", {"ctrl+r", "alt+←"}),
        ("按Ctrl+R重新生成", {"ctrl+r"}),
        ("Ctrl+X Ctrl+E opens it; F1 too", {"ctrl+x", "ctrl+e", "f1"}),
        ("/quit leaves, `/set NAME` sets", {"/quit", "/set"}),
        ("chatapp ask --no-save --json", {"--no-save", "--json"}),
        ("/home/me/notes.txt, https://a.org/quit and and/or", set()),
        ("F1000 e-mail a--b 3/4", set()),
    ],
)
def test_names_are_found(text: str, names: set[str]) -> None:
    assert names_in(text) == names


def test_the_beginning_of_a_name_may_grow_into_one() -> None:
    allowed = {"ctrl+r", "f12", "/quit"}
    assert is_known("Press Ctrl+", allowed, ends=False)
    assert not is_known("Press Ctrl+", allowed, ends=True)
    assert not is_known("Press Ctrl+ ", allowed, ends=False)
    assert not is_known("Press Ctrl+X", allowed, ends=False)
    assert is_known("F1", allowed, ends=False)
    assert not is_known("F1.", allowed, ends=False)
    assert is_known("CTRL+R and /quit", allowed, ends=True)
    assert not is_known("anything --json", set(), ends=True)
    assert is_known("Enter and Esc are words", set(), ends=True)


class Vocabulary:
    """A token for each byte, and an end."""

    n_tokens = 257

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == 256


def write(constraint: Named, text: str) -> str:
    """What is taken of a text, a byte after the other, where the others are left out."""
    said = bytearray()
    for byte in text.encode():
        if constraint.fits(byte):
            constraint.accept(byte)
            said.append(byte)
    return said.decode("utf-8", "replace")


def test_an_answer_cannot_name_what_stands_nowhere() -> None:
    bound = Named(Vocabulary(), ["ctrl+r", "/quit"])  # type: ignore[arg-type]
    assert write(bound, "按Ctrl+R或/quit。") == "按Ctrl+R或/quit。"
    assert bound.fits(256)
    assert "Ctrl+Y" not in write(bound, " or Ctrl+Y now")
    assert "--json" not in write(bound, " and --json")
    logits = np.zeros(257, dtype=np.float32)
    assert bound.filter(logits) is logits


def test_a_long_answer_without_blanks_is_followed_as_well() -> None:
    bound = Named(Vocabulary(), ["ctrl+shift+r"])  # type: ignore[arg-type]
    text = "很长的回答" * 40 + "Ctrl+Shift+R。" + "很长" * 40
    assert write(bound, text) == text
