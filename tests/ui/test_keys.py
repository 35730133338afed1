"""What keys do: nothing invisible, nothing lost, none overtakes another."""

import threading

import pytest
from textual import events
from textual.geometry import Offset
from textual.keys import key_to_character
from textual.widgets import Input

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.forms.rename import RenameForm
from chatapp.ui.keymap import KEYS
from chatapp.ui.screens.search import SearchScreen
from chatapp.ui.widgets.message import MessageView


def burst(ui, *keys: str) -> None:
    """All keys at once, before the app has looked at the first."""
    for key in keys:
        character = key if len(key) == 1 else key_to_character(key)
        ui.app.post_message(events.Key(key, character))


def long_chat(store: Store, count: int) -> int:
    conversation = store.create_conversation("long")
    parent = None
    for number in range(count):
        said = Message.of("user", f"message {number}")
        parent = store.add_message(conversation, said, parent).id
    return conversation


async def click_message(ui, message_id: int) -> None:
    await ui.wait(lambda: any(view.item.id == message_id for view in ui.app.query(MessageView)))
    view = next(view for view in ui.app.query(MessageView) if view.item.id == message_id)
    await ui.wait(lambda: view.region.height > 0)
    await ui.pilot.click(view, offset=Offset(3, 1))
    await ui.wait(lambda: ui.pane.transcript.marked == message_id)


# The mark


async def test_escape_removes_the_mark_and_the_keys_act_on_the_last_answer_again(run):
    async with run() as ui:
        await ui.say("old one")
        await ui.say("new one")
        first = ui.path()[0].id
        await click_message(ui, first)
        await ui.wait(lambda: "Esc removes the mark" in ui.status.activity)
        await ui.press("alt+c")
        assert ui.app.clipboard == "old one"
        await ui.press("escape")
        assert ui.pane.transcript.marked is None
        await ui.wait(lambda: ui.status.activity == "")
        await ui.press("alt+c")
        assert ui.app.clipboard == "new one"
        await ui.press("ctrl+e")
        assert ui.pane.prompt.prompt == "new one"


async def test_sending_removes_the_mark(run):
    async with run() as ui:
        await ui.say("old one")
        await ui.say("new one")
        await click_message(ui, ui.path()[0].id)
        await ui.press(*"newest", "enter")
        await ui.wait(lambda: len(ui.flow.rows) == 6)
        await ui.idle()
        assert ui.pane.transcript.marked is None
        await ui.press("alt+c")
        await ui.wait(lambda: ui.app.clipboard == "newest")


@pytest.mark.parametrize("key", ["ctrl+r", "ctrl+g", "ctrl+n"])
async def test_an_answer_and_another_chat_remove_the_mark(run, key):
    async with run() as ui:
        await ui.say("one")
        await click_message(ui, ui.path()[0].id)
        await ui.press(key)
        await ui.wait(lambda: ui.pane.transcript.marked is None)
        await ui.idle()


async def test_another_chat_is_opened_without_a_mark(run):
    async with run() as ui:
        await ui.say("one")
        first = ui.app.chat.open_id
        await ui.press("ctrl+n")
        await ui.say("two")
        await click_message(ui, ui.path()[0].id)
        ui.app.chat.chats.open(first)
        await ui.wait(lambda: ui.app.chat.open_id == first)
        await ui.wait(lambda: ui.pane.transcript.marked is None)


async def test_escape_goes_back_one_step_at_a_time(run):
    async with run() as ui:
        await ui.say("one")
        asked = ui.path()[0].id
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        assert "Esc stops" in ui.status.activity
        await ui.press("ctrl+e")
        assert "Esc stops" not in ui.status.activity
        assert "Esc cancels" in ui.status.activity
        await click_message(ui, asked)
        await ui.wait(lambda: "Esc removes the mark" in ui.status.activity)
        assert "Esc cancels" not in ui.status.activity
        await ui.press("escape")
        assert (ui.pane.transcript.marked, ui.pane.editing is None) == (None, False)
        assert ui.flow.answering.busy
        await ui.press("escape")
        assert ui.pane.editing is None
        assert ui.flow.answering.busy
        await ui.press("escape")
        await ui.idle()
        assert ui.path()[-1].status == "stopped"


async def test_a_marked_answer_can_be_edited_and_gone_on_with(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        answer = ui.path()[1].id
        await click_message(ui, answer)
        await ui.press("ctrl+e")
        assert ui.pane.editing == answer
        assert ui.pane.transcript.marked is None, "the mark has done its work"
        await ui.write("my own words")
        await ui.wait(lambda: ui.said() == ["one", "my own words"])
        edited = ui.path()[1]
        assert (edited.role, edited.status, edited.sibling_count) == ("assistant", "complete", 2)
        await ui.wait(lambda: [item.content for item in ui.pane.transcript.items] == ui.said())
        await ui.press("ctrl+g")
        await ui.wait(lambda: bool(ui.path()[1].generations) and not ui.flow.answering.busy)
        assert ui.path()[1].content.startswith("my own words")


async def test_a_message_is_marked_from_the_prompt(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        await ui.press("alt+up", "alt+up", "alt+up", "alt+c")
        assert ui.app.clipboard == "one"
        await ui.press("alt+down", "alt+c")
        assert ui.app.clipboard == "two"
        await ui.press("alt+down", "alt+down")
        assert ui.pane.transcript.marked is None
        assert ui.pane.prompt.has_focus


# Letters and pastes


async def test_letters_after_a_click_go_to_the_prompt(run):
    async with run() as ui:
        await ui.say("one")
        await click_message(ui, ui.path()[1].id)
        await ui.press(*"ecygt/ é")
        assert ui.pane.prompt.text == "ecygt/ é"
        assert ui.pane.editing is None
        assert ui.app.clipboard == ""
        ui.app.post_message(events.Paste("and\na paste"))
        await ui.wait(lambda: ui.pane.prompt.text == "ecygt/ éand\na paste")


@pytest.mark.parametrize("part", ["#welcome", "#status", "#hints", "#prompt"])
async def test_no_part_of_the_screen_swallows_a_letter(run, part):
    async with run(size=(120, 40)) as ui:
        await ui.pilot.click(part)
        await ui.press(*"ec")
        assert ui.pane.prompt.text.endswith("ec")


async def test_letters_and_pastes_in_the_list_go_to_its_filter(run):
    async with run(size=(120, 40)) as ui:
        await ui.say("one")
        chats, sidebar = ui.app.chat.sidebar.chats, ui.app.chat.sidebar
        chats.focus()
        for key in "one":
            ui.app.simulate_key(key)  # a burst
        await ui.wait(lambda: sidebar.filter.value == "one")
        await ui.press("escape")
        assert (sidebar.filter.value, chats.has_focus) == ("", True)
        ui.app.post_message(events.Paste("fg\nh"))
        await ui.wait(lambda: sidebar.filter.value == "fg h")
        await ui.press("down", "x", "U")
        assert sidebar.filter.value == "fg hxU", "typing in a filtered list goes on with it"
        await ui.press("escape", "slash", *"xy")
        assert sidebar.filter.value == "xy"
        await ui.press("escape", "escape", *"back")
        assert ui.pane.prompt.text == "back"


async def test_letters_are_commands_only_in_modes_that_are_drawn():
    letters = {key.scope for key in KEYS for part in key.keys.split(",") if len(part) == 1}
    assert letters <= {"message", "sidebar", "find", "tree", "sides"}


# Bursts

BURSTS = [
    ([*"teh", "backspace", "backspace", *"he"], "the"),
    ([*"abc", "ctrl+a", "X"], "Xabc"),
    ([*"alpha", "space", *"beta", "ctrl+w", "X"], "alpha X"),
    ([*"abc", "left", "left", "Y", "end", "Z"], "aYbcZ"),
    ([*"one", "ctrl+j", *"two", "up", "home", "T"], "Tone\ntwo"),
    ([*"abc", "ctrl+u", *"de"], "de"),
    ([*"abc", "ctrl+a", "ctrl+k", *"de"], "de"),
    ([*"abc", "ctrl+a", "delete", "delete", "x"], "xc"),
    ([*"ab", "shift+left", "shift+left", "x"], "x"),
    ([*"abc", "ctrl+c", *"de"], "de"),
    ([*"abc", "escape", *"de"], "abcde"),
    ([*"abc", "pageup", *"de"], "abcde"),
]


@pytest.mark.parametrize(("keys", "text"), BURSTS)
async def test_a_burst_ends_as_typed_slowly(run, keys, text):
    async with run() as ui:
        burst(ui, *keys)
        await ui.wait(lambda: ui.pane.prompt.text == text)
        ui.pane.prompt.set_prompt("")
        for key in keys:
            before = ui.app.keys.n_dispatched
            burst(ui, key)
            await ui.wait(lambda before=before: ui.app.keys.n_dispatched > before)
            await ui.wait(lambda: ui.app.keys.idle)
        await ui.wait(lambda: ui.pane.prompt.text == text)


async def test_a_paste_among_keys_keeps_its_place(run):
    async with run() as ui:
        burst(ui, *"ab", "backspace")
        ui.app.post_message(events.Paste("<one\ntwo>"))
        burst(ui, "space", *"cd", "ctrl+w", "x")
        await ui.wait(lambda: ui.pane.prompt.text == "a<one\ntwo> x")


async def test_a_burst_while_an_answer_streams(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        burst(ui, *"teh", "backspace", "backspace", *"he", "ctrl+a", "X", "end", "enter", "Y")
        await ui.wait(lambda: ui.pane.prompt.text == "Y")
        assert [queued.text for queued in ui.flow.queue] == ["Xthe"], "what is sent waits"


async def test_enter_in_a_burst_sends_what_was_before_it(run):
    async with run() as ui:
        burst(ui, *"hello", "enter", *"next")
        await ui.wait(lambda: len(ui.flow.rows) == 2)
        await ui.idle()
        assert ui.said() == ["hello", "hello"]
        assert ui.pane.prompt.text == "next"


async def test_what_follows_an_edit_in_a_burst_is_not_lost_to_the_draft(run):
    async with run() as ui:
        await ui.say("one")
        burst(ui, "ctrl+e", "backspace", "X", "enter", *"more")
        await ui.wait(lambda: len(ui.flow.rows) == 2 and ui.said() == ["onX", "onX"])
        await ui.idle()
        assert ui.pane.prompt.text == "more"


@pytest.mark.parametrize(
    ("keys", "text", "editing"),
    [
        (["ctrl+e", "X"], "oneX", True),
        ([*"ab", "left", "ctrl+e", "X"], "abX", False),
        ([*"ab", "ctrl+u", "ctrl+e", "X"], "oneX", True),
        ([*"ab", "ctrl+u", "ctrl+y", "ctrl+a", "ctrl+e", "X"], "abX", False),
    ],
)
async def test_of_keys_that_depend_on_the_text_each_sees_what_the_one_before_left(
    run, keys, text, editing
):
    async with run() as ui:
        await ui.say("one")
        burst(ui, *keys)
        await ui.wait(lambda: ui.pane.prompt.text == text)
        assert (ui.pane.editing is not None) is editing


async def test_undo_brings_back_what_ctrl_c_cleared(run):
    async with run() as ui:
        burst(ui, *"alpha", "space", *"beta", "ctrl+c")
        await ui.wait(lambda: ui.app.keys.idle and ui.pane.prompt.text == "")
        await ui.press("ctrl+underscore")
        assert ui.pane.prompt.text == "alpha beta"


async def test_a_key_that_opens_a_dialog_opens_it_for_the_keys_behind_it(run):
    async with run() as ui:
        await ui.say("needle")
        burst(ui, *"ab", "ctrl+f", *"need")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen))
        await ui.wait(lambda: ui.app.screen.query_one(Input).value == "need")
        burst(ui, "escape", *"cd")
        await ui.wait(lambda: ui.pane.prompt.text == "abcd")
        burst(ui, "ctrl+a", "f2", "end", "X", "enter", "e")
        await ui.wait(lambda: ui.store.list_conversations()[0].title == "needleX")
        await ui.wait(lambda: ui.pane.prompt.text == "eabcd")
        assert not isinstance(ui.app.screen, RenameForm)


async def test_a_new_chat_in_a_burst_comes_after_what_was_sent(run):
    async with run() as ui:
        burst(ui, *"one", "enter", *"more", "ctrl+n", *"two")
        await ui.wait(lambda: ui.app.keys.idle and ui.pane.prompt.text == "two")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.wait(lambda: not ui.flow.answering.busy)
        (chat,) = ui.store.list_conversations()
        assert [row.content for row in ui.store.get_path(chat.id)] == ["one", "one"]
        ui.app.chat.chats.open(chat.id)
        await ui.wait(lambda: ui.pane.prompt.text == "more")


async def test_a_new_chat_is_turned_to_before_the_first_message_of_another_is_stored(
    run, monkeypatch
):
    async with run() as ui:
        stored = threading.Event()
        create = ui.store.create_conversation

        def create_late(*args, **kwargs):
            stored.wait(60)
            return create(*args, **kwargs)

        monkeypatch.setattr(ui.store, "create_conversation", create_late)
        burst(ui, *"one", "enter", *"more", "ctrl+n", *"two")
        await ui.wait(lambda: ui.app.keys.idle and ui.pane.prompt.text == "two")
        stored.set()
        await ui.wait(
            lambda: len(ui.store.list_conversations()) == 1 and not ui.flow.answering.busy
        )
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert ui.pane.prompt.text == "two"
        (chat,) = ui.store.list_conversations()
        ui.app.chat.chats.open(chat.id)
        await ui.wait(lambda: ui.pane.prompt.text == "more")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.pane.prompt.text == "two")


async def test_keys_go_on_after_a_widget_went_away_with_one(run):
    async with run() as ui:
        await ui.press("f1")
        await ui.wait(lambda: len(ui.app.screen_stack) == 2)
        burst(ui, "escape", "f1", "escape", *"ab")
        await ui.wait(lambda: ui.pane.prompt.text == "ab")
        assert len(ui.app.screen_stack) == 1


# Scrolling


async def test_page_keys_scroll_the_conversation_from_the_prompt(run, paths):
    store = Store.open(paths.history)
    conversation = long_chat(store, 60)
    async with run(store=store, conversation_id=conversation) as ui:
        transcript = ui.pane.transcript
        await ui.wait(lambda: transcript.max_scroll_y > 40)
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y)
        rows = transcript.size.height
        ui.pane.prompt.set_prompt("one\ntwo\nthree")
        await ui.wait(lambda: transcript.size.height == rows - 2)
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y)
        end = transcript.scroll_y
        await ui.press("pageup")
        await ui.wait(lambda: 10 < end - transcript.scroll_y < 24)
        await ui.press("pagedown")
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y)
        assert ui.pane.prompt.has_focus
        assert ui.pane.prompt.cursor_location == (2, 5)
        await ui.press("ctrl+home")
        await ui.wait(lambda: transcript.scroll_y == 0)
        await ui.press("ctrl+end")
        await ui.wait(lambda: transcript.scroll_y == transcript.max_scroll_y)
