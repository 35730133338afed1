"""Versions of answers and messages: nothing is overwritten, everything can be reached."""


async def test_regenerate_adds_a_sibling(run):
    async with run() as ui:
        await ui.say("again")
        first = ui.path()[1]
        await ui.press("ctrl+r")
        await ui.wait(lambda: ui.path()[-1].id != first.id and not ui.flow.answering.busy)
        second = ui.path()[1]
        assert (second.sibling_index, second.sibling_count) == (1, 2)
        assert ui.store.siblings(second.id) == [first.id, second.id]
        shown = ui.pane.transcript.item(second.id)
        assert (shown.sibling_index, shown.sibling_count) == (1, 2)


async def test_arrows_walk_through_the_versions(run):
    async with run() as ui:
        await ui.say("again")
        first = ui.path()[1].id
        await ui.press("ctrl+r")
        await ui.wait(lambda: ui.path()[-1].id != first and not ui.flow.answering.busy)
        second = ui.path()[1].id
        await ui.press("alt+left")
        await ui.wait(lambda: ui.flow.rows[-1].id == first)
        assert ui.path()[-1].id == first, "the choice is remembered"
        await ui.press("alt+left")
        await ui.press("alt+right")
        await ui.wait(lambda: ui.flow.rows[-1].id == second)


async def test_switching_brings_what_was_said_below(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        await ui.press("ctrl+e")
        await ui.write("another two")
        await ui.wait(lambda: ui.said() == ["one", "one", "another two", "another two"])
        await ui.idle()
        await ui.press("alt+left")
        await ui.wait(lambda: ui.said() == ["one", "one", "two", "two"])


async def test_edit_makes_a_branch_and_keeps_the_draft(run):
    async with run() as ui:
        await ui.say("one")
        await ui.say("two")
        ui.pane.prompt.set_prompt("my draft")
        ui.app.chat.action_edit()  # as the palette does
        assert ui.pane.prompt.prompt == "two"
        assert "Esc cancels" in ui.status.activity
        await ui.press("escape")
        assert ui.pane.prompt.prompt == "my draft"
        assert ui.status.activity == ""
        ui.app.chat.action_edit()
        await ui.write("three")
        await ui.wait(lambda: ui.said() == ["one", "one", "three", "three"])
        await ui.idle()
        assert ui.pane.prompt.prompt == "my draft"
        assert ui.path()[2].sibling_count == 2
        assert ui.store.count_messages() == 6


async def test_the_first_message_can_be_edited(run):
    async with run() as ui:
        await ui.say("one")
        await ui.press("ctrl+e")
        await ui.write("first")
        await ui.wait(lambda: ui.said() == ["first", "first"])
        assert ui.path()[0].sibling_count == 2


async def test_an_answer_goes_on_while_another_chat_is_open(run):
    async with run() as ui:
        await ui.write("/words 80\n/delay 10")
        await ui.streaming()
        answering = ui.app.chat.open_id
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        ui.app.chat.chats.open(answering)
        await ui.wait(lambda: ui.app.chat.open_id == answering)
        await ui.idle()
        whole = " ".join(f"word{i}" for i in range(1, 81))
        answer = ui.path()[-1]
        assert (answer.content, answer.status) == (whole, "complete")
        await ui.wait(lambda: ui.pane.transcript.item(answer.id).content == whole)
