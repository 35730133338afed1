"""Messages and branches are deleted and brought back, in the order of a pile."""

from chatapp.conversation import Message
from chatapp.store import Store


async def test_a_message_and_a_branch_come_back_the_last_first(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        whole = ui.said()
        await ui.press("alt+up", "alt+up")  # the question `two`
        await ui.wait(lambda: ui.pane.transcript.marked == ui.path()[2].id)
        await ui.write("/delete message")
        await ui.wait(lambda: ui.said() == [whole[0], whole[1], whole[3]])
        await ui.wait(lambda: len(ui.pane.transcript.items) == 3)
        await ui.wait(lambda: any("Deleted your message of" in text for text in ui.notices()))
        await ui.press("alt+up", "alt+up")  # the answer to `one`
        await ui.write("/delete branch")
        await ui.wait(lambda: ui.said() == [whole[0]])
        await ui.wait(lambda: any("and all below it" in text for text in ui.notices()))
        await ui.write("/undo")
        await ui.wait(lambda: ui.said() == [whole[0], whole[1], whole[3]])
        await ui.write("/undo")
        await ui.wait(lambda: ui.said() == whole)
        await ui.wait(lambda: len(ui.pane.transcript.items) == 4)
        await ui.write("/undo")
        await ui.wait(lambda: any("Nothing was deleted" in text for text in ui.notices()))
        assert ui.pane.prompt.text == ""


async def test_an_undo_goes_through_chats_and_messages(run, paths):
    store = Store.open(paths.history)
    other = store.create_conversation("other")
    store.add_message(other, Message.of("user", "there"), None)
    async with run(store=store, size=(120, 30)) as ui:
        await ui.say("here")
        mine = ui.app.chat.open_id
        await ui.write("/delete message")
        await ui.wait(lambda: ui.said() == ["here"])
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id == other)
        await ui.press("ctrl+b", "U")
        await ui.wait(lambda: ui.app.chat.open_id == mine)
        await ui.press("U")
        await ui.wait(lambda: ui.said() == ["here", "here"])


async def test_nothing_is_deleted_under_an_answer(run):
    async with run() as ui:
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        await ui.write("/delete message")
        await ui.wait(lambda: any("still being written" in text for text in ui.notices()))
        assert len(ui.path()) == 2
        ui.flow.answering.stop()
        await ui.idle()


async def test_a_chat_without_messages_is_an_empty_chat(run):
    async with run() as ui:
        await ui.say("only")
        await ui.press("alt+up", "alt+up")
        await ui.write("/delete branch")
        await ui.wait(lambda: ui.flow.rows == [])
        await ui.say("again")
        assert ui.said() == ["again", "again"]
        await ui.write("/delete nonsense")
        await ui.wait(lambda: any("`chat`, `message` or `branch`" in t for t in ui.notices()))


async def test_what_another_window_has_purged_is_said_once(run):
    async with run() as ui:
        await ui.say("gone")
        chat = ui.app.chat.open_id
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        ui.store.empty_bin()
        await ui.write("/undo")
        await ui.wait(lambda: any(f"conversation {chat}" in text for text in ui.notices()))
        await ui.write("/undo")
        await ui.wait(lambda: any("Nothing was deleted" in text for text in ui.notices()))


async def test_what_waits_in_a_chat_that_is_deleted_is_its_draft(run):
    async with run() as ui:
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        chat = ui.app.chat.open_id
        await ui.write("said later")
        await ui.wait(lambda: len(ui.flow.queue) == 1)
        await ui.write("/delete")
        await ui.wait(lambda: any("Deleted" in text for text in ui.notices()))
        await ui.wait(lambda: ui.pane.conversation_id is None and not ui.pane.prompt.text)
        await ui.idle()
        assert ui.flow.queue == []
        assert len(ui.path_of(chat)) == 2, "nothing was asked in a deleted chat"
        await ui.write("/undo")
        await ui.wait(lambda: ui.app.chat.open_id == chat)
        await ui.wait(lambda: "said later" in ui.pane.prompt.text)


def fill(paths, count: int) -> Store:
    store = Store.open(paths.history)
    for number in range(count):
        chat = store.create_conversation(f"chat {number}")
        store.add_message(chat, Message.of("user", "there"), None)
    return store


async def test_chats_are_deleted_all_or_none_and_what_is_deleted_can_be_undone(run, paths):
    store = fill(paths, 3)
    ids = [row.id for row in store.list_conversations()]
    refuses = f"""CREATE TRIGGER refuses BEFORE UPDATE OF deleted_at ON conversations
        WHEN OLD.id = {ids[1]} BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"""
    with store.session.writing() as db:
        db.execute(refuses)
    async with run(store=store, size=(120, 30)) as ui:
        removing = ui.app.chat.removing
        removing.delete_chats(ids)
        await ui.wait(lambda: any("disk is full" in text for text in ui.notices()))
        assert [row.id for row in store.list_conversations()] == ids
        await ui.write("/undo")
        await ui.wait(lambda: any("Nothing was deleted" in text for text in ui.notices()))
        with store.session.writing() as db:
            db.execute("DROP TRIGGER refuses")
        removing.delete_chats(ids)
        await ui.wait(lambda: not store.list_conversations())
        await ui.write("/undo")
        await ui.wait(lambda: [row.id for row in store.list_conversations()] == ids)


async def test_of_several_chats_those_that_are_there_come_back(run, paths):
    store = fill(paths, 3)
    ids = [row.id for row in store.list_conversations()]
    async with run(store=store) as ui:
        ui.app.chat.removing.delete_chats(ids)
        await ui.wait(lambda: any("Deleted 3 chats" in text for text in ui.notices()))
        with store.session.writing() as db:
            db.execute("UPDATE conversations SET deleted_at = 1 WHERE id = ?", [ids[1]])
        store.purge_deleted(30)  # as another window does
        await ui.write("/undo")
        await ui.wait(lambda: any("2 of 3 chats: back again" in text for text in ui.notices()))
        assert [row.id for row in store.list_conversations()] == [ids[0], ids[2]]


async def test_what_was_deleted_can_be_undone_though_the_next_chat_cannot_be_opened(run, paths):
    store = fill(paths, 2)
    newest, other = [row.id for row in store.list_conversations()]
    async with run(store=store, size=(120, 30), conversation_id=newest) as ui:
        await ui.wait(lambda: ui.app.chat.open_id == newest)
        await ui.wait(lambda: ui.app.chat.chats.neighbour([newest]) == other)
        store.delete_conversation(other)  # as another window does
        store.empty_bin()
        ui.app.chat.removing.delete_chats([newest])
        await ui.wait(lambda: any(f"conversation {other}" in text for text in ui.notices()))
        await ui.write("/undo")
        await ui.wait(lambda: [row.id for row in store.list_conversations()] == [newest])


async def test_a_chat_that_another_window_has_deleted_is_left_and_can_be_brought_back(run):
    async with run() as ui:
        await ui.say("one")
        mine = ui.app.chat.open_id
        ui.store.delete_conversation(mine)
        await ui.write("/delete")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        await ui.wait(lambda: any("Another window has deleted" in text for text in ui.notices()))
        await ui.write("/undo")
        await ui.wait(lambda: ui.app.chat.open_id == mine)
        assert ui.said() == ["one", "one"]
