"""A history of an older version, with marks in its answers, as every reader shows it today."""

import json
import sqlite3
from pathlib import Path

import pytest

from bench.scripted import Turn, Words, write_scripted
from chatapp.conversation import Message
from chatapp.mending import mend
from chatapp.parts import Parts, Reasoning, Text, ToolCall
from chatapp.paths import find_paths
from chatapp.store import Store
from chatapp.store.rows import FinalStatus, MessageRow, NewGeneration, Outcome
from tests.cli.conftest import Run

RAW = "[THINK]Perhaps rain.\n[/THINK]Take a coat."
MENDED = (Reasoning("Perhaps rain."), Text("Take a coat."))
OLD = NewGeneration(model_name="m", template_hash="abc", params_json='{"seed": -1}')


def _keep(
    store: Store,
    text: str = RAW,
    generation: NewGeneration | None = OLD,
    status: FinalStatus = "complete",
) -> MessageRow:
    """A conversation whose answer is `text`, as an older version kept it."""
    chat = store.create_conversation("Weather")
    asked = store.add_message(chat, Message.of("user", "And tomorrow?"))
    row = store.begin_answer(chat, asked.id, generation)
    store.finish_answer(row.id, (Text(text),), (1, 2), status, outcome=Outcome())
    return store.get_message(row.id)


def test_every_reader_shows_it_mended(chatapp: Run, home: Path) -> None:
    with Store.open(find_paths().history) as store:
        chat = _keep(store).conversation_id
    shown = chatapp("history", "show", str(chat)).stdout
    assert "Take a coat." in shown
    assert "THINK" not in shown
    (_, answer) = json.loads(chatapp("history", "show", str(chat), "--json").stdout)["messages"]
    assert answer["content"] == "Take a coat."
    for kind in ("markdown", "html", "json"):
        exported = chatapp("history", "export", str(chat), "--format", kind).stdout
        assert "Take a coat." in exported
        assert "THINK]" not in exported
    found = chatapp("history", "search", "coat").stdout
    assert "coat" in found
    assert "THINK" not in found


def test_reading_changes_nothing_in_the_file(home: Path) -> None:
    with Store.open(find_paths().history, mend=mend) as store:
        row = _keep(store)
        assert row.parts == MENDED
        assert store.get_path(row.conversation_id)[-1].parts == MENDED
        assert store.get_tree(row.conversation_id).messages[-1].parts == MENDED
        assert list(store.read_path(row.conversation_id))[-1].parts == MENDED
        assert list(store.read_tree(row.conversation_id))[-1].parts == MENDED
        assert mend(row) == row
    with Store.open(find_paths().history) as store:
        assert store.get_message(row.id).parts == (Text(RAW),)


@pytest.mark.parametrize(
    "generation",
    [
        pytest.param(None, id="nobody knows who wrote it"),
        pytest.param(NewGeneration(model_name="base"), id="a model that completes text"),
        pytest.param(
            NewGeneration(template_hash="abc", params_json='{"seed":null,"used":{}}'),
            id="a version that knows the marks",
        ),
    ],
)
def test_what_proves_nothing_is_left_alone(generation: NewGeneration | None) -> None:
    with Store.in_memory() as store:
        row = _keep(store, generation=generation)
        assert mend(row) is row


def test_what_people_wrote_is_left_alone() -> None:
    with Store.in_memory() as store:
        chat = store.create_conversation()
        asked = store.add_message(chat, Message.of("user", RAW))
        answer = store.add_message(chat, Message.of("assistant", RAW), asked.id)
        assert mend(asked) is asked
        assert mend(answer) is answer


def test_a_server_has_no_template_that_we_know() -> None:
    with Store.in_memory() as store:
        kept = "It may rain\n</think>\n\nTake a coat."
        row = _keep(store, kept, NewGeneration(model_path="remote:lab"))
        assert mend(row).parts == (Reasoning("It may rain"), Text("Take a coat."))


def test_calls_get_the_same_ids_at_every_reading() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    with Store.in_memory() as store:
        row = _keep(store, f"{call}\n{call}")
        first, second = mend(row).parts
        assert isinstance(first, ToolCall)
        assert isinstance(second, ToolCall)
        assert len({first.id, second.id, ""}) == 3
        assert mend(row) == mend(store.get_message(row.id))


def test_an_answer_that_is_gone_on_with_is_mended_in_the_file(home: Path) -> None:
    more: Parts = (Reasoning("Perhaps rain."), Text("Take a coat. And boots."))
    with Store.open(find_paths().history, mend=mend) as store:
        row = _keep(store, status="stopped")
        taken = store.resume_answer(row.id, OLD)
        assert taken.parts == MENDED
        assert taken.generations[-1].offset == len("Perhaps rain.Take a coat.")
        store.finish_answer(row.id, more, (1, 2, 3), "complete")
        assert [hit.message_id for hit in store.search("boots")] == [row.id]
        assert store.search("rain") == []
        assert [hit.message_id for hit in store.search("rain", reasoning=True)] == [row.id]
    with Store.open(find_paths().history) as store:
        assert store.get_message(row.id).parts == more
        assert store.find_damage() == []


WORDS = Words(control=("<|im_start|>", "<|im_end|>", "[THINK]", "[/THINK]"), eos="<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content and loop.last %}[THINK]{{ message.reasoning_content }}"
    "[/THINK]{% endif %}{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FIRST = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
SECOND = f"{FIRST}Yes.<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("raw", ["[THINK]Hm, well.[/THINK]Yes.", "Hm, well.Yes."])
def test_the_next_turn_is_told_what_was_said(
    chatapp: Run, home: Path, tmp_path: Path, raw: str
) -> None:
    """Once with the marks in the text, once without: older versions lost those that are control
    tokens, and the tokens alone still tell."""
    turns = [
        Turn(FIRST, "[THINK]Hm, well.[/THINK]Yes.<|im_end|>"),
        Turn(SECOND, "Right<|im_end|>"),
    ]
    model = str(write_scripted(tmp_path / "scripted.gguf", WORDS, TEMPLATE, turns))

    def ask(*words: str) -> dict[str, object]:
        done = chatapp(
            *("ask", "-m", model, "--json", "--temperature", "0", *words), CHATAPP_BACKEND="llama"
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert (ask("hello")["reasoning"]) == "Hm, well."
    with sqlite3.connect(find_paths().history) as db:  # as an older version kept it
        db.execute("DELETE FROM parts WHERE kind = 'reasoning'")
        db.execute("UPDATE parts SET text = ?, position = 0 WHERE text = 'Yes.'", (raw,))
        db.execute("UPDATE generations SET params_json = '{}'")
    db.close()
    assert ask("-c", "more")["text"] == "Right"
