"""Chats in the forms that people keep them in, and what is wrong with some of their lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatapp.errors import ChatAppError
from chatapp.train.chats import BadLineError, Complaints, Said, read_chats, read_entry

USER, ANSWER = Said("user", "Why?"), Said("assistant", "Because.")
FORMS: dict[str, Any] = {
    "messages": {
        "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": [{"type": "text", "text": "Because."}]},
        ]
    },
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]
    },
    "alpaca": {"instruction": "Why?", "input": "", "output": "Because."},
    "completion": {"prompt": "Why?", "completion": " Because."},
    "parts": {
        "prompt": [{"role": "user", "content": "Why?"}],
        "completion": [{"role": "assistant", "content": "Because."}],
    },
    "turns": ["Why?", "Because."],
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(name: str, tmp_path: Path) -> None:
    assert read_entry(FORMS[name]) == (USER, ANSWER)
    lines, whole = tmp_path / "chats.jsonl", tmp_path / "chats.json"
    lines.write_text(f"{json.dumps(FORMS[name])}\n\n")
    whole.write_text(json.dumps([FORMS[name]], indent=1))
    for path in (lines, whole):
        complaints = Complaints()
        (chat,) = read_chats([path], complaints)
        assert (chat.messages, chat.path, chat.number) == ((USER, ANSWER), path, 1)
        assert complaints.lines == []


def test_what_the_forms_have_beside_question_and_answer() -> None:
    system = Said("system", "Be brief.")
    alpaca = {
        "system": "Be brief.",
        "instruction": "Sum up.",
        "input": "A long text.",
        "output": "Text.",
        "history": [["Why?", "Because."]],
    }
    asked = Said("user", "Sum up.\n\nA long text.")
    assert read_entry(alpaca) == (system, USER, ANSWER, asked, Said("assistant", "Text."))
    sharegpt = {"system": "Be brief.", **FORMS["sharegpt"]}
    assert read_entry(sharegpt) == (system, USER, ANSWER)
    thought = {"role": "assistant", "content": "Because.", "reasoning_content": "hm", "weight": 0}
    learned = {"role": "assistant", "content": "So."}
    read = read_entry({"messages": [FORMS["messages"]["messages"][0], thought, learned]})
    assert read[1:] == (Said("assistant", "Because.", "hm", False), Said("assistant", "So."))


BAD: dict[str, tuple[Any, str]] = {
    "role": ({"messages": [{"role": "boss", "content": "x"}]}, "has the role 'boss'"),
    "no role": ({"messages": [{"content": "x"}]}, "has the role None"),
    "no answer": ({"messages": [{"role": "user", "content": "x"}]}, "has no answer"),
    "only read": (
        {"messages": [{"role": "assistant", "content": "x", "weight": 0}]},
        "has no answer",
    ),
    "empty": ({"messages": []}, "is empty"),
    "empty message": (["x", " "], "has an empty message, its 2nd"),
    "late system": (
        {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]},
        "has a system message in 2nd place",
    ),
    "no text": ({"messages": [{"role": "user", "content": 5}]}, "whose content is no text: 5"),
    "a picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "is not text alone",
    ),
    "calls": (
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]},
        "calls of tools",
    ),
    "text": ({"text": "x"}, "has none of messages"),
    "number": (5, "is no chat"),
    "alpaca": ({"instruction": "x", "output": None}, "output that is no text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_says_what_is_wrong_with_it(name: str) -> None:
    entry, reason = BAD[name]
    with pytest.raises(BadLineError, match=reason):
        read_entry(entry)


def test_bad_lines_are_named_with_file_and_line_and_left_out_only_when_asked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chats.jsonl"
    bad = [json.dumps(entry) for entry, _ in BAD.values()]
    path.write_text("\n".join(['["a", "b"]', "{half", *bad, '["a", "b"]', '["c", "d"]']))
    complaints = Complaints()
    chats = read_chats([path], complaints)
    assert [chat.number for chat in chats] == [1, len(bad) + 4]  # what is there twice counts once
    with pytest.raises(ChatAppError) as caught:
        complaints.settle(False, print)
    assert f"{path}, line 2 is not JSON" in caught.value.message
    assert f"{path}, line 3 has the role 'boss'" in caught.value.message
    assert f"{len(bad) - 4} more lines have such faults." in caught.value.message
    assert "--skip-bad" in caught.value.hint
    said: list[str] = []
    complaints.settle(True, said.append)
    assert said[-1] == f"{len(bad) + 1} lines are left out."


def test_what_is_no_file_of_chats_is_refused_in_a_sentence(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text('{"format": "chatapp-conversations", "conversations": []}')
    with pytest.raises(ChatAppError, match="whole conversations") as caught:
        read_chats([kept], Complaints())
    assert "--format sft" in caught.value.hint
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ChatAppError, match="no chats"):
        read_chats([tmp_path / "empty.jsonl"], Complaints())
    with pytest.raises(ChatAppError, match="no file"):
        read_chats([tmp_path / "absent.jsonl"], Complaints())
    (tmp_path / "list.json").write_text("[1,")
    with pytest.raises(ChatAppError, match="not JSON"):
        read_chats([tmp_path / "list.json"], Complaints())
