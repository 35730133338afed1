"""The list of chats: rename, delete and undo, filter, pages, search."""

from textual.widgets import Input, OptionList

from chatapp.conversation import Message
from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.ui.forms.empty_bin import EmptyBinForm
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
        await ui.wait(lambda: any("U in the list" in text for text in ui.notices()))
        await ui.press("U")
        await ui.wait(lambda: [row.id for row in ui.store.list_conversations()] == [kept])
        await ui.wait(lambda: len(ui.app.chat.sidebar.chats.rows) == 1)


async def test_deleting_the_chat_that_answers_stops_the_answer(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        conversation = ui.app.chat.open_id
        ui.app.chat.action_delete()
        await ui.wait(lambda: ui.store.list_conversations() == [])
        assert not ui.flow.answering.busy
        assert ui.store.get_path(conversation)[-1].status == "stopped"


async def test_the_answer_of_another_chat_is_told_apart(run):
    async with run() as ui:
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        answering = ui.app.chat.open_id
        await ui.wait(lambda: ui.status.activity == "answering – Esc stops")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.wait(lambda: ui.status.activity == "answering in another chat")
        said = len(ui.flow.answering.row.content)
        await ui.wait(lambda: len(ui.flow.answering.row.content) > said + 20)
        assert ui.status.line.n_past == 0, "the new chat has nothing in its context"
        ui.app.chat.chats.open(answering)
        await ui.wait(lambda: ui.status.activity == "answering – Esc stops")
        await ui.wait(lambda: ui.status.line.n_past > 20)
        ui.app.chat.action_new()
        await ui.wait(lambda: ui.app.chat.open_id is None)
        ui.flow.answering.stop()
        await ui.idle()
        await ui.wait(lambda: ui.status.activity == "")
        assert ui.status.line.n_past == 0
        await ui.say("of this chat")
        assert ui.status.line.n_past > 0


def fill(store: Store, count: int) -> None:
    for number in range(count):
        conversation = store.create_conversation(f"chat number {number}")
        store.add_message(conversation, Message.of("user", f"content {number} 北京欢迎你"), None)


async def test_the_list_is_paged_and_newest_first(run, paths):
    store = Store.open(paths.history)
    fill(store, 150)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 100)
        newest = store.list_conversations(1)[0].id
        assert chats.rows[0].id == newest
        chats.focus()
        chats.highlighted = 99
        await ui.wait(lambda: len(chats.rows) == 150)


async def test_the_list_follows_what_is_said_without_being_read_anew(run, paths, monkeypatch):
    store = Store.open(paths.history)
    fill(store, 230)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        for count in (100, 200, 230):
            await ui.wait(lambda count=count: len(chats.rows) == count)
            chats.highlighted = count
        read: list[tuple[int, int]] = []
        list_conversations = store.list_conversations

        def count_rows(limit: int = 100, offset: int = 0, query: str = "", **more):
            rows = list_conversations(limit, offset, query, **more)
            read.append((offset, len(rows)))
            return rows

        monkeypatch.setattr(store, "list_conversations", count_rows)
        oldest = chats.rows[-1].id
        ui.app.chat.chats.open(oldest)
        await ui.wait(lambda: ui.app.chat.open_id == oldest)
        await ui.say("once more")
        await ui.wait(lambda: chats.rows[0].id == oldest)
        await ui.wait(lambda: chats.chosen_id == oldest)
        assert set(read) == {(0, 100)}, "only the newest page"
        assert [row.id for row in chats.rows] == [row.id for row in list_conversations(1000)]


async def test_what_changes_deep_in_the_list_changes_in_its_place(run, paths):
    store = Store.open(paths.history)
    fill(store, 150)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 100)
        chats.focus()
        await ui.press("end")
        await ui.wait(lambda: len(chats.rows) == 150)
        chats.highlighted = 130
        deep = chats.chosen_id
        await ui.press("delete")
        await ui.wait(lambda: deep not in [row.id for row in chats.rows])
        assert chats.highlighted == 130
        await ui.press("U")
        await ui.wait(lambda: chats.rows[130].id == deep)
        await ui.press("up")
        assert chats.chosen_id == deep, "the highlight stayed with its chat"
        await ui.press("f2")
        await ui.wait(lambda: isinstance(ui.app.screen, RenameForm) and bool(ui.app.focused))
        ui.app.screen.query_one(Input).value = "new name"
        await ui.press("enter")
        await ui.wait(lambda: chats.rows[130].title == "new name")
        assert [row.id for row in chats.rows] == [row.id for row in store.list_conversations(1000)]


async def test_chats_of_another_window_come_and_go(run, paths):
    store, other = Store.open(paths.history), Store.open(paths.history)
    fill(store, 120)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 100)
        other.delete_conversation(chats.rows[3].id)
        fill(other, 2)
        await ui.say("hello")
        await ui.wait(lambda: len(chats.rows) >= 102)
        shown = [row.id for row in chats.rows]
        assert shown == [row.id for row in store.list_conversations(len(shown))]
    other.close()


async def test_a_list_that_cannot_be_read_keeps_what_it_shows(run, paths, monkeypatch):
    store = Store.open(paths.history)
    fill(store, 12)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 12)

        def fail(*args, **kwargs):
            raise StoreError("The history is locked.", "Close the other program.")

        monkeypatch.setattr(store, "list_conversations", fail)
        ui.app.chat.sidebar.refresh_newest()
        await ui.wait(lambda: any("is locked" in text for text in ui.notices()))
        assert len(chats.rows) == 12
        chats.focus()
        await ui.press("end", "enter")
        await ui.wait(lambda: ui.app.chat.open_id == chats.rows[-1].id)


async def test_a_click_opens_a_chat(run, paths):
    store = Store.open(paths.history)
    fill(store, 12)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 12)
        await ui.pilot.click(chats, offset=(5, 5))
        await ui.wait(lambda: ui.app.chat.open_id == chats.rows[4].id)


async def test_filter_and_open(run, paths):
    store = Store.open(paths.history)
    fill(store, 12)
    async with run(store=store, size=(120, 30)) as ui:
        chats = ui.app.chat.sidebar.chats
        await ui.wait(lambda: len(chats.rows) == 12)
        chats.focus()
        await ui.press("slash")
        ui.app.chat.query_one("#chat-filter", Input).value = "number 7"
        await ui.wait(lambda: len(chats.rows) == 1)
        await ui.press("enter")
        await ui.wait(lambda: ui.app.chat.open_id is not None)
        assert ui.said() == ["content 7 北京欢迎你"]
        asked = ui.path()[0].id
        await ui.wait(lambda: [item.id for item in ui.pane.transcript.items] == [asked])
        assert "Ctrl+R" in ui.pane.transcript.item(asked).note


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


async def test_a_search_that_fails_leaves_no_rows_behind(run, paths, monkeypatch):
    store = Store.open(paths.history)
    fill(store, 3)
    async with run(store=store) as ui:
        await ui.press("ctrl+f")
        await ui.wait(lambda: isinstance(ui.app.screen, SearchScreen) and bool(ui.app.focused))
        screen = ui.app.screen
        hits = screen.query_one(OptionList)
        screen.query_one(Input).value = "content"
        await ui.wait(lambda: hits.option_count == 3)

        def fail(*args, **kwargs):
            raise StoreError("The history is locked.", "Close the other program.")

        with monkeypatch.context() as broken:
            broken.setattr(store, "search", fail)
            screen.query_one(Input).value = "content 2"
            await ui.wait(lambda: "is locked" in str(screen.query_one("#dialog-note").render()))
            assert hits.option_count == 0
            await ui.press("enter", "down", "enter", "up")
        screen.query_one(Input).value = "content 1"
        await ui.wait(lambda: hits.option_count == 1)
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
        ui.app.chat.chats.open(hit.conversation_id, hit.message_id)
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
        ui.app.chat.chats.open(hit.conversation_id, hit.message_id)
        transcript = ui.pane.transcript
        await ui.wait(lambda: transcript.marked == hit.message_id)
        await ui.wait(
            lambda: any(
                view.item.id == hit.message_id and transcript.region.overlaps(view.region)
                for view in transcript.query(MessageView)
            )
        )


async def test_the_bin_is_emptied_from_the_palette_after_a_question(run):
    async with run() as ui:
        await ui.say("throw me away")
        thrown = ui.app.chat.open_id
        ui.app.chat.action_delete()
        await ui.wait(lambda: ui.store.list_conversations() == [])
        for keys, left in ((("enter",), [thrown]), (("down", "enter"), [])):
            await ui.press("ctrl+p")
            await ui.pilot.press(*"empty bin")
            await ui.pilot.press("enter")
            await ui.wait(lambda: isinstance(ui.app.screen, EmptyBinForm) and bool(ui.app.focused))
            for key in keys:
                await ui.press(key)
            await ui.wait(lambda: len(ui.app.screen_stack) == 1)
            await ui.wait(lambda left=left: [row.id for row in ui.store.list_deleted()] == left)
        await ui.wait(lambda: any("removed for good" in text for text in ui.notices()))


async def test_what_was_deleted_long_ago_is_gone_after_the_start(run, paths):
    with Store.open(paths.history) as store:
        old, new = store.create_conversation("long ago"), store.create_conversation("now")
        for conversation in (old, new):
            store.delete_conversation(conversation)
        with store.session.writing() as db:
            db.execute("UPDATE conversations SET deleted_at = 1000 WHERE id = ?", (old,))
    async with run() as ui:
        await ui.wait(lambda: [row.id for row in ui.store.list_deleted()] == [new])
