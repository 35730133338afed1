"""Parts that are neither said nor thought, on the screen."""

from dataclasses import replace

from chatapp.conversation import Message
from chatapp.parts import File, Image, Reasoning, Text, ToolCall, ToolResult
from chatapp.store import Store
from chatapp.ui.items import describe_parts, item_of
from chatapp.ui.widgets.message import MessageView


def test_every_kind_of_part_is_named_and_none_can_draw() -> None:
    store = Store.in_memory()
    chat = store.create_conversation("parts")
    asked = store.add_message(
        chat,
        Message("user", (File("a\x1b[2J.txt", "x"), Image(b"12345", name="cat.png"), Text("look"))),
    )
    called = store.add_message(
        chat,
        Message("assistant", (Reasoning("hm"), ToolCall("1", "weather", '{"place":\n "北京"}'))),
        asked.id,
    )
    given = store.add_message(
        chat, Message("tool", (ToolResult("1", (Text("rain " * 99),), is_error=True),)), called.id
    )
    file, image = item_of(asked).attached
    assert file == "File a.txt"
    assert "cat.png" in image
    assert item_of(asked).content == "look"
    assert item_of(called).attached == ('Tool call weather: {"place": "北京"}',)
    assert item_of(called).reasoning == "hm"
    [result] = item_of(given).attached
    assert result.startswith("Tool result (an error): rain rain")
    assert len(result) < 160


async def test_they_stand_in_the_chat(run):
    async with run() as ui:
        store = ui.app.setup.store
        chat = store.create_conversation("parts")
        store.add_message(chat, Message("user", (File("notes.txt", "x"), Text("look at this"))))
        ui.app.chat.chats.open(chat)
        await ui.wait(lambda: ui.pane.transcript.items)
        [item] = ui.pane.transcript.items
        view = ui.app.query_one(MessageView)
        await ui.wait(lambda: view.content_size.width)
        rows = [view.get_line(y, 60) for y in range(view.count_lines(60))]
        texts = ["".join(run.text for run in row.runs).strip() for row in rows]
        assert texts[0].startswith("You · ")
        assert texts[1:3] == ["▪ File notes.txt", "look at this"]
        assert item.content == "look at this"


async def test_a_call_is_shown_while_it_is_written_and_behind_what_is_said(run):
    async with run() as ui:
        store = ui.app.setup.store
        chat = store.create_conversation("calls")
        asked = store.add_message(chat, Message("user", (Text("look it up"),)))
        call = ToolCall("1", "look_up", '{"word": "a"}')
        store.add_message(chat, Message("assistant", (Text("One moment."), call)), asked.id)
        ui.app.chat.chats.open(chat)
        await ui.wait(lambda: len(ui.pane.transcript.items) == 2)
        view = list(ui.app.query(MessageView))[-1]
        await ui.wait(lambda: view.content_size.width)

        def texts() -> list[str]:
            rows = [view.get_line(y, 60) for y in range(view.count_lines(60))]
            return [line for row in rows if (line := "".join(run.text for run in row.runs).strip())]

        assert texts()[1:3] == ["One moment.", '▪ Tool call look_up: {"word": "a"}']
        view.item = replace(view.item, status="streaming")
        view.write("One moment.", "", describe_parts((Text("One moment."), call, call)))
        view.flush()
        assert texts()[2:4] == ['▪ Tool call look_up: {"word": "a"}'] * 2
