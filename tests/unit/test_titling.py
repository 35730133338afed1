"""What of a model's answer is a title."""

from dataclasses import replace

import pytest

from chatapp.parts import parts_of
from chatapp.store.rows import ConversationRow, MessageRow
from chatapp.titling import read_title, wants_title


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Blue skies", "Blue skies"),
        ('"Why the Sky is Blue."', "Why the Sky is Blue"),
        ("**Title: Rayleigh scattering**\n\nThis title says …", "Rayleigh scattering"),
        ("Titel: Über Äpfel", "Über Äpfel"),
        ("标题：天空的颜色", "天空的颜色"),
        ("# Sky\nmore", "Sky"),
        ("To be continued...", "To be continued..."),
        ("\x1b[31mRed\x1b[0m", "Red"),
        ("Here is a title:\n\n**Pancakes for two**\nIt says …", "Pancakes for two"),
        ("In the heart of the snow,\na winter night", ""),
        ("", ""),
        ("...", ""),
        ("   \n\n", ""),
        ("I am a language model and I would be very happy to give this chat a title.", ""),
        ("x" * 90, ""),
    ],
)
def test_a_title_is_read_out_of_what_is_said(said, title):
    assert read_title(said, cut_off=False) == title


def test_what_was_cut_off_is_no_title():
    assert read_title("The sky and", cut_off=True) == ""
    assert read_title("The sky\nand then", cut_off=True) == "The sky"


def test_a_title_by_hand_and_an_old_chat_keep_theirs():
    def row(id_: int, role: str, text: str) -> MessageRow:
        return MessageRow(id_, 1, id_ - 1 or None, role, parts_of(text), "complete", 0.0, (), 0, 1)

    chat = ConversationRow(1, "why is it blue?", "", 0.0, 0.0, 2, None)
    path = [row(1, "user", "why is it blue?"), row(2, "assistant", "Because.")]
    assert wants_title(chat, path)
    assert not wants_title(replace(chat, title="mine"), path)
    assert not wants_title(replace(chat, deleted_at=1.0), path)
    assert not wants_title(chat, path[:1])
    assert not wants_title(chat, [path[0], replace(path[1], status="stopped")])
    assert not wants_title(chat, [path[0], replace(path[1], parts=())])
    assert not wants_title(chat, path * 4)
    assert not wants_title(chat, [])
