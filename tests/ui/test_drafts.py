"""What was begun is gone on with as what it was: a new message, or another version of one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from chatapp.store import Store
from tests.ui.conftest import until

ROOT = Path(__file__).parents[2]


def draft_of(store: Store, chat: int) -> tuple[str, bool, str]:
    draft = store.prompts.get_draft(chat)
    return (draft.text, draft.replaces is not None, draft.waits) if draft else ("", False, "")


async def begin(ui, said: str, draft: str) -> int:
    """Say something, begin something else, and edit what was said."""
    await ui.say(said)
    ui.pane.prompt.set_prompt(draft)
    ui.app.chat.action_edit()
    await ui.press(*" and more")
    return ui.app.chat.open_id


async def test_an_edit_is_gone_on_with_after_the_end_of_the_app(run):
    async with run() as ui:
        chat = await begin(ui, "one", "my draft")
        await ui.wait(lambda: draft_of(ui.store, chat) == ("one and more", True, "my draft"))
        await ui.press("ctrl+q")
        await ui.wait(lambda: ui.app.return_code is not None)
    async with run(conversation_id=chat) as ui:
        await ui.wait(lambda: ui.pane.prompt.prompt == "one and more")
        await ui.wait(lambda: "Esc cancels" in ui.status.activity)
        assert ui.pane.editing == ui.flow.rows[0].id
        await ui.press("enter")
        await ui.wait(lambda: ui.said() == ["one and more", "one and more"])
        assert ui.path()[0].sibling_count == 2, "no new message below the old one"
        await ui.wait(lambda: ui.pane.prompt.prompt == "my draft")


async def test_an_edit_is_gone_on_with_after_another_chat_was_opened(run):
    async with run() as ui:
        chat = await begin(ui, "one", "my draft")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert (ui.pane.prompt.prompt, ui.pane.editing) == ("", None)
        ui.app.chat.chats.open(chat)
        await ui.wait(lambda: ui.app.chat.open_id == chat)
        await ui.wait(lambda: "Esc cancels" in ui.status.activity)
        assert ui.pane.prompt.prompt == "one and more"
        await ui.press("escape")
        assert ui.pane.prompt.prompt == "my draft"


async def test_an_edit_of_what_is_no_longer_shown_keeps_its_text(run):
    async with run() as ui:
        chat = await begin(ui, "one", "my draft")
        (edited, *_) = ui.flow.rows
        other = ui.store.branches.edit(edited.id, edited.parts).id  # as another window does
        ui.app.chat.chats.open(chat, other)
        await ui.wait(lambda: ui.flow.rows[0].id == other)
        await ui.wait(lambda: ui.pane.editing is None)
        assert ui.pane.prompt.prompt == "my draft\none and more"


async def test_a_version_that_waits_to_be_sent_is_one_after_the_end_too(run):
    async with run() as ui:
        await ui.say("one")
        chat = ui.app.chat.open_id
        await ui.write("/words 5000\n/delay 20")
        await ui.streaming()
        ui.app.chat.acting._pane.start_editing(ui.flow.rows[0].id, "one, otherwise")
        await ui.press("enter")
        await ui.wait(lambda: len(ui.flow.queue) == 1)
        await ui.press(*"next")
        await ui.wait(lambda: draft_of(ui.store, chat) == ("one, otherwise", True, "next"))


async def test_what_was_edited_is_known_after_a_kill(run, paths):
    variables = {"CHATAPP_HOME": str(paths.data), "CHATAPP_BACKEND": "echo"}
    child = subprocess.Popen(
        [sys.executable, "-m", "chatapp", "--plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdin is not None
        child.stdin.write(b"one\n/key Ctrl+E s\n")
        child.stdin.flush()
        await until(paths.history.exists)
        with Store.open(paths.history) as store:
            await until(lambda: any(one.text for one in store.prompts.list_drafts()))
            await until(lambda: [d.text for d in store.prompts.list_drafts()] == ["ones"])
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Store.open(paths.history) as store:
        (chat,) = [row.id for row in store.list_conversations()]
    async with run(conversation_id=chat) as ui:
        await ui.wait(lambda: ui.pane.prompt.prompt == "ones")
        assert ui.pane.editing == ui.flow.rows[0].id
        await ui.press("enter")
        await ui.wait(lambda: ui.said() == ["ones", "ones"])
        assert ui.path()[0].sibling_count == 2
