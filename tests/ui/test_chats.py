"""The list of chats: rename, delete and undo, filter, pages, search."""

from textual.widgets import Input, OptionList

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.forms.rename import RenameForm
from chatapp.ui.screens.search import SearchScreen
from chatapp.ui.widgets.message import MessageView


async def test_rename(run):
    async with run() as ui:
        await ui.say("old name")
        await ui.press("f2")
        await ui.wait(lambda: isinstance(ui.app.screen, RenameForm) and bool(ui.app.focused))
        ui.app.screen.query_one(Input).value = "new name"
        await ui.press("enter")
        await ui.wait(lambda: ui.store.list_conversations()[0].title == "new name")


async def test_escape_leaves_the_name(run):
    async with run() as ui:
        await ui.say("old name")
        await ui.press("f2")
        await ui.wait(lambda: isinstance(ui.app.screen, RenameForm) and bool(ui.app.focused))
        ui.app.screen.query_one(Input).value = "new name"
        await ui.press("escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)
        assert ui.store.list_conversations()[0].title == "old name"


async def test_delete_and_undo(run):
    async with run() as ui:
        await ui.say("keep me")
        kept = ui.app.chat.open_id
        await ui.press("ctrl+b")
        await ui.wait(lambda: ui.app.chat.sidebar.chats.chosen_id == kept)
        await ui.press("delete")
        await ui.wait(lambda: ui.store.list_conversations() == [])
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert any("Ctrl+Z" in text for text in ui.notices())
        await ui.press("ctrl+z")
        await ui.wait(lambda: [row.id for row in ui.store.list_conversations()] == [kept])
        await ui.wait(lambda: ui.app.chat.sidebar.chats.option_count == 1)


async def test_deleting_the_chat_that_answers_stops_the_answer(run):
    async with run() as ui:
        await ui.write("/words 500\n/delay 20")
        await ui.streaming()
        conversation = ui.app.chat.open_id
        ui.app.chat.action_delete()
        await ui.wait(lambda: ui.store.list_conversations() == [])
        assert not ui.flow.answering.busy
        assert ui.store.get_path(conversation)[-1].status == "stopped"


def fill(store: Store, count: int) -> None:
    for number in range(count):
        conversation = store.create_conversation(f"chat number {number}")
        store.add_message(conversation, Message.of("user", f"content {number} 北京欢迎你"), None)


async def test_the_list_is_paged_and_newest_first(run, paths):
    store = Store.open(paths.history)
    fill(store, 150)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: chats.option_count == 100)
        newest = store.list_conversations(1)[0].id
        assert chats.options[0].id == str(newest)
        chats.focus()
        chats.highlighted = 99
        await ui.wait(lambda: chats.option_count == 150)


async def test_filter_and_open(run, paths):
    store = Store.open(paths.history)
    fill(store, 12)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: chats.option_count == 12)
        chats.focus()
        await ui.press("slash")
        ui.app.chat.query_one("#chat-filter", Input).value = "number 7"
        await ui.wait(lambda: chats.option_count == 1)
        await ui.press("enter", "enter")
        await ui.wait(lambda: ui.app.chat.open_id is not None)
        assert ui.said() == ["content 7 北京欢迎你"]
        assert "Ctrl+R" in ui.pane.transcript.item(ui.path()[0].id).note


async def test_the_sidebar_starts_hidden_on_a_narrow_terminal(run):
    async with run(size=(80, 24)) as ui:
        assert not ui.app.chat.sidebar.display
        await ui.press("ctrl+b")
        assert ui.app.chat.sidebar.display


async def test_search_jumps_to_the_message(run, paths):
    store = Store.open(paths.history)
    fill(store, 3)
    async with run(store=store) as ui:
        await ui.press("ctrl+f")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen) and bool(ui.app.focused))
        screen = ui.app.screen
        screen.query_one(Input).value = "content 1 北京"
        await ui.wait(lambda: screen.query_one(OptionList).option_count == 1)
        await ui.press("enter")
        await ui.wait(lambda: ui.app.chat.open_id is not None)
        assert ui.said() == ["content 1 北京欢迎你"]


async def test_search_finds_a_branch_that_is_not_shown(run):
    async with run() as ui:
        await ui.say("pineapple")
        hidden = ui.path()[1].id
        await ui.press("ctrl+e")
        await ui.write("banana")
        await ui.wait(lambda: ui.said() == ["banana", "banana"])
        await ui.idle()
        hit = next(hit for hit in ui.store.search("pineapple") if hit.message_id == hidden)
        ui.app.chat.open_conversation(hit.conversation_id, hit.message_id)
        await ui.wait(lambda: ui.said() == ["pineapple", "pineapple"])


async def test_search_survives_syntax(run):
    async with run() as ui:
        await ui.say("hello")
        await ui.press("ctrl+f")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen) and bool(ui.app.focused))
        screen = ui.app.screen
        screen.query_one(Input).value = '"AND ( NEAR'
        await ui.wait(lambda: "Nothing found" in str(screen.query_one("#dialog-note").render()))
        await ui.press("escape")
        await ui.wait(lambda: len(ui.app.screen_stack) == 1)


async def test_search_goes_far_back_in_a_long_chat(run, paths):
    store = Store.open(paths.history)
    conversation = store.create_conversation("long")
    parent = None
    for number in range(120):
        said = Message.of("user", f"message {number}" + " needle" * (number == 3))
        parent = store.add_message(conversation, said, parent).id
    async with run(store=store) as ui:
        hit = store.search("needle")[0]
        ui.app.chat.open_conversation(hit.conversation_id, hit.message_id)
        transcript = ui.pane.transcript
        await ui.wait(lambda: transcript.marked == hit.message_id)
        await ui.wait(
            lambda: any(
                view.item.id == hit.message_id and transcript.region.overlaps(view.region)
                for view in transcript.query(MessageView)
            )
        )
