"""What chatapp knows of itself stands folded before a question, in the chat too."""

from chatapp.guide.wording import NAME, known_in
from chatapp.parts import File, parts_of
from chatapp.store.rows import MessageRow
from chatapp.ui.messages import Informed, MessageStored, TextReturned
from chatapp.ui.plain.hearing import Hearing
from chatapp.ui.plain.rereading import Rereading
from chatapp.ui.widgets.message import MessageView
from tests.guide.program import real_guide
from tests.ui.conftest import Driver


def known(ui: Driver, place: int = 0) -> str:
    return known_in(ui.path()[place].parts)


def drawn(ui: Driver, message_id: int) -> str:
    view = next(one for one in ui.app.chat.query(MessageView) if one.item.id == message_id)
    width = view.content_size.width
    lines = [view.get_line(y, width) for y in range(view.count_lines(width))]
    return "\n".join("".join(run.text for run in line.runs) for line in lines)


async def test_a_question_behind_help_is_asked_with_what_is_known(run):
    async with run(get_guide=real_guide) as ui:
        await ui.ready()
        await ui.say("/help how do i quit")
        assert ui.said() == ["how do i quit", "how do i quit"]
        assert known(ui).startswith("• Ctrl+Q or /quit leaves")
        asked = ui.flow.rows[0]
        assert asked == ui.path()[0]
        assert f"▸ {NAME}" in drawn(ui, asked.id)
        assert "leaves chatapp" not in drawn(ui, asked.id)
        ui.pane.transcript.fold(asked.id)
        await ui.wait(lambda: "leaves chatapp" in drawn(ui, asked.id))


async def test_editing_it_finds_what_is_known_anew_and_asking_again_does_not(run):
    async with run(get_guide=real_guide) as ui:
        await ui.ready()
        await ui.say("/help how do i quit")
        before = known(ui)
        await ui.press("ctrl+r")
        await ui.wait(lambda: ui.path()[-1].sibling_count == 2)
        await ui.idle()
        assert known(ui) == before
        await ui.press("ctrl+e")
        await ui.wait(lambda: ui.pane.prompt.prompt == "how do i quit")
        await ui.say("how do i rename a chat")
        assert known(ui).startswith("• F2 or /title TITLE renames")
        assert before not in known(ui)


async def test_a_question_behind_help_that_waits_comes_back_as_it_was_written(run):
    async with run(get_guide=real_guide) as ui:
        await ui.ready()
        await ui.write("/words 5000\n/delay 20")
        await ui.wait(lambda: ui.flow.answering.busy)
        await ui.write("/help how do i quit")
        await ui.wait(lambda: bool(ui.flow.queue))
        assert ui.app.chat.acting.take_back()
        assert ui.pane.prompt.prompt == "/help how do i quit"
        ui.app.chat.acting.stop()
        await ui.idle()


def test_what_is_known_is_told_line_by_line_too():
    said: list[str] = []
    hearing = Hearing(lambda: 1, Rereading(list, said.append), said.append)
    parts = (File(NAME, "Ctrl+Q leaves."), *parts_of("how do i quit"))
    row = MessageRow(2, 1, None, "user", parts, "complete", 0.0, (), 0, 1)
    hearing.hear(Informed(row))
    assert said == [f"({NAME}:\nCtrl+Q leaves.)"]
    hearing.hear(TextReturned(1, "/help how do i quit", None))
    hearing.hear(MessageStored(row, shown=True))
    assert hearing.came_back == []


async def test_a_plain_question_has_nothing_before_it_and_help_names_commands(run):
    async with run(get_guide=real_guide) as ui:
        await ui.ready()
        await ui.say("how do i quit")
        assert known(ui) == ""
        await ui.write("/help quit")
        await ui.wait(lambda: any("/quit: Leave" in said for said in ui.notices()))
        await ui.write("/help qiut")
        await ui.wait(lambda: any("Did you mean /quit" in said for said in ui.notices()))
        assert len(ui.path()) == 2
