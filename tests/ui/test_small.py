"""Few rows and columns: what is written and what is read have them, and modes are still drawn."""

import pytest

from chatapp.store.rows import is_temporary
from chatapp.ui.widgets.hint_line import HintLine, key_hints
from chatapp.ui.widgets.status_line import StatusLine
from tests.ui.widgets.test_transcript import screen_rows

SIZES = [(20, 6), (20, 4), (20, 8), (40, 7), (80, 5), (40, 10), (80, 24)]


def rows(ui) -> list[str]:
    return screen_rows(ui.app)


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_written_and_what_is_read_have_a_row_each(run, size):
    async with run(size=size) as ui:
        prompt, transcript = ui.pane.prompt, ui.pane.transcript
        await ui.say("hi")
        await ui.wait(lambda: prompt.region.height > 0)
        ui.pane.prompt.set_prompt("xylophone")
        await ui.wait(lambda: any("xylophone" in row for row in rows(ui)))
        assert prompt.content_size.height >= 1
        assert transcript.region.height >= 1
        assert prompt.region.bottom <= size[1]
        ui.pane.prompt.set_prompt("\n".join(["many"] * 30 + ["last"]))
        await ui.wait(lambda: any("last" in row for row in rows(ui)))
        assert transcript.region.height >= 1


async def test_few_rows_are_shared_by_status_and_hints(run):
    async with run(size=(20, 6)) as ui:
        screen = ui.app.screen
        status, hints = screen.query_one(StatusLine), screen.query_one(HintLine)
        await ui.wait(lambda: status.display and not hints.display)
        await ui.write("/words 4000\n/delay 20")
        await ui.streaming()
        await ui.wait(lambda: hints.display and not status.display)
        assert ui.pane.prompt.content_size.height >= 1
        await ui.press("escape")
        await ui.idle()
        await ui.wait(lambda: status.display and not hints.display)
        await ui.press("tab")  # a mode, whose keys have to be seen
        await ui.wait(lambda: hints.display and "Esc Back" in rows(ui)[-1])


async def test_a_temporary_chat_is_seen_without_its_frame(run):
    async with run(size=(20, 6)) as ui:
        before = ui.pane.prompt.background_colors[1]
        await ui.write("/temporary")
        await ui.wait(lambda: is_temporary(ui.app.chat.open_id))
        await ui.wait(lambda: "temporary" in rows(ui)[-1])
        assert ui.pane.prompt.background_colors[1] != before


@pytest.mark.parametrize("columns", [40, 20])
async def test_the_list_gives_way_to_the_chat_until_there_is_room(run, columns):
    async with run(size=(120, 30)) as ui:
        await ui.say("hello")
        sidebar = ui.app.chat.sidebar
        assert sidebar.display
        ui.pane.prompt.focus()
        await ui.pilot.resize_terminal(columns, 20)
        await ui.wait(lambda: not sidebar.display and ui.pane.transcript.region.width == columns)
        await ui.press("ctrl+b")  # asked for, it may have all of the window
        await ui.wait(lambda: sidebar.display and sidebar.region.width == columns)
        await ui.wait(lambda: "Esc Back" in rows(ui)[-1])
        await ui.press("escape")
        await ui.wait(lambda: not sidebar.display and ui.pane.prompt.has_focus)
        await ui.pilot.resize_terminal(120, 30)
        await ui.wait(lambda: sidebar.display and sidebar.region.width < 60)


async def test_a_list_that_is_used_stays_and_one_that_was_hidden_stays_hidden(run):
    async with run(size=(120, 30)) as ui:
        sidebar = ui.app.chat.sidebar
        await ui.press("ctrl+b")
        await ui.wait(lambda: sidebar.has_keys)
        await ui.pilot.resize_terminal(40, 20)
        await ui.wait(lambda: sidebar.covers)
        assert sidebar.display
        await ui.press("ctrl+b")
        await ui.wait(lambda: not sidebar.display)
        await ui.pilot.resize_terminal(120, 30)
        await ui.wait(lambda: not sidebar.covers)
        assert not sidebar.display


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (78, ["Esc Back", "c Copy", "e Edit", "r Again", "j Code", "x Run", "? Keys"]),
        (60, ["Esc Back", "c Copy", "e Edit", "r Again", "j Code", "? Keys"]),
        (38, ["Esc Back", "c Copy", "e Edit", "? Keys"]),
        (18, ["Esc Back", "? Keys"]),
        (8, ["Esc Back"]),
    ],
)
def test_the_keys_of_the_messages_are_whole_and_lead_to_the_rest(width, shown):
    line = key_hints("message", {}, width).plain
    assert len(line) <= width
    assert [one for one in shown if one not in line] == []
    everything = key_hints("message", {}, 1000).plain.split("  ")
    assert set(line.split("  ")) <= {*everything, "? Keys"}


async def test_the_key_for_all_keys_opens_the_help(run):
    async with run() as ui:
        await ui.say("hi")
        await ui.press("tab", "question_mark")
        await ui.wait(lambda: type(ui.app.screen).__name__ == "HelpScreen")


@pytest.mark.parametrize("scope", ["chat", "message", "sidebar", "filter", "find", "tree"])
def test_hints_are_never_cut(scope):
    whole = set(key_hints(scope, {}, 1000).plain.split("  ")) | {"? Keys", ""}
    for width in range(1, 130):
        line = key_hints(scope, {}, width).plain
        assert len(line) <= width
        assert set(line.split("  ")) <= whole
