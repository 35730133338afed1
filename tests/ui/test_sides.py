"""Several answers to one question: asked for, written side by side, compared, one kept."""

import os
import signal

import pytest

from chatapp.ui.screens.sides import SidesScreen

WORDS = "/words 5000\n/delay 2"


def screen(ui) -> SidesScreen:
    assert isinstance(ui.app.screen, SidesScreen)
    return ui.app.screen


async def open_sides(ui, command: str) -> SidesScreen:
    await ui.write(command)
    await ui.wait(lambda: isinstance(ui.app.screen, SidesScreen) and screen(ui).is_mounted)
    return screen(ui)


async def closed(ui) -> None:
    await ui.wait(lambda: len(ui.app.screen_stack) == 1)


def versions(ui):
    """All answers to the last question, as the store has them."""
    return [ui.store.get_message(one) for one in ui.store.siblings(ui.path()[-1].id)]


async def begin(ui, n: int = 3) -> SidesScreen:
    """`n` answers that are being written, each of which has said something."""
    await ui.write(WORDS)
    await ui.streaming()
    await ui.press("escape")
    await ui.idle()
    sides = await open_sides(ui, f"/regenerate {n}")
    await ui.wait(
        lambda: sum(len(one.view.item.content) > 20 for one in sides.sides if is_new(one)) == n
    )
    return sides


def is_new(side) -> bool:
    return side.row.status == "streaming"


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 50)])
async def test_several_are_written_side_by_side_and_a_digit_keeps_one(run, size):
    async with run(size=size) as ui:
        sides = await begin(ui)
        wide = size[0] >= 100
        assert len(sides.in_view) == (4 if wide else 1)
        assert sides.marked.id == ui.path()[-1].id
        text = sides.in_view[0].view.item.content
        assert text.startswith("word1 ")
        await ui.press("ctrl+c")
        await ui.idle()
        await ui.wait(lambda: not any(map(is_new, sides.sides)))
        rows = versions(ui)
        assert [row.status for row in rows] == ["stopped"] * 4
        assert [side.view.item.content for side in sides.sides] == [row.content for row in rows]
        await ui.press("3")
        await closed(ui)
        await ui.wait(lambda: ui.path()[-1].id == rows[2].id)
        await ui.wait(lambda: ui.pane.transcript.items[-1].id == rows[2].id)
        item = ui.pane.transcript.items[-1]
        assert item.content == rows[2].content
        assert (item.sibling_index, item.sibling_count) == (2, 4)
        assert ui.pane.transcript.marked is None
        assert [row.id for row in versions(ui)] == [row.id for row in rows]


async def test_one_that_is_kept_while_all_are_written_goes_on_in_the_chat(run):
    async with run() as ui:
        sides = await begin(ui)
        await ui.press("right", "enter")
        await closed(ui)
        kept = sides.sides[2].row.id
        await ui.wait(lambda: ui.flow.rows[-1].id == kept and ui.flow.answering.row.id == kept)
        shown = len(ui.pane.transcript.item(kept).content)
        await ui.wait(lambda: len(ui.pane.transcript.item(kept).content) > shown + 20)
        await ui.press("escape")
        await ui.idle()
        rows = versions(ui)
        assert [row.status for row in rows] == ["stopped"] * 4
        assert all(len(row.content) > 20 for row in rows[1:])
        assert ui.path()[-1].id == kept
        await ui.wait(lambda: ui.pane.transcript.items[-1].content == rows[2].content)
        assert [item.role for item in ui.pane.transcript.items] == ["user", "assistant"]


async def test_escape_leaves_the_first_which_goes_on_and_compare_shows_them_again(run):
    async with run(size=(120, 30)) as ui:
        sides = await begin(ui)
        first = sides.marked.id
        await ui.press("right", "escape")
        await closed(ui)
        assert ui.flow.answering.row.id == first
        sides = await open_sides(ui, "/compare")
        before = len(sides.sides[1].view.item.content)
        await ui.wait(lambda: len(sides.sides[1].view.item.content) > before)
        await ui.press("ctrl+c")
        await ui.idle()
        await ui.press("ctrl+c")
        await closed(ui)
        assert ui.path()[-1].id == first


async def test_a_dead_engine_keeps_what_each_has_said(run):
    async with run(size=(120, 30)) as ui:
        sides = await begin(ui, 2)
        os.kill(ui.client.pid, signal.SIGKILL)
        await ui.idle()
        await ui.wait(lambda: not any(map(is_new, sides.sides)))
        rows = versions(ui)
        assert [row.status for row in rows] == ["stopped", "interrupted", "interrupted"]
        assert all(row.content for row in rows)
        assert [one.view.item.content for one in sides.sides] == [row.content for row in rows]


async def test_those_that_never_began_are_not_shown_any_more(run):
    async with run() as ui:
        await ui.write("/prefill 30000\nhello")
        await ui.wait(lambda: "reading" in ui.status.activity)
        await ui.press("escape")
        await ui.idle()
        sides = await open_sides(ui, "/regenerate 3")
        await ui.press("ctrl+c")
        await ui.idle()
        await ui.wait(lambda: len(sides.sides) == 2)
        assert [row.status for row in versions(ui)] == ["stopped"] * 2
        await ui.wait(lambda: ui.pane.transcript.items[-1].sibling_count == 2)
        assert ui.pane.transcript.items[-1].sibling_index == 1


async def test_n_in_the_messages_asks_for_three(run):
    async with run() as ui:
        await ui.say("hello")
        await ui.press("tab", "up", "n")
        await ui.wait(lambda: isinstance(ui.app.screen, SidesScreen))
        await ui.idle()
        await ui.wait(lambda: not any(map(is_new, screen(ui).sides)))
        assert [row.content for row in versions(ui)] == ["hello"] * 4
        assert [row.generation.completion_tokens for row in versions(ui)] == [5] * 4


async def test_versions_are_compared_and_scrolled(run):
    async with run(size=(120, 20)) as ui:
        await ui.say("/markdown")
        await ui.write("/regenerate")
        await ui.wait(lambda: len(versions(ui)) == 2)
        await ui.idle()
        sides = await open_sides(ui, "/compare")
        assert [side.border_title for side in sides.sides] == ["1", "2 · shown"]
        assert sides.query_one("#sides").border_title == "2 answers · /markdown"
        one, two = sides.sides
        await ui.wait(lambda: two.max_scroll_y > 0)
        assert two.scroll_y == 0, "what was written is read from its beginning"
        await ui.press("pagedown", "down")
        await ui.wait(lambda: two.scroll_y > 1)
        await ui.press("left")
        await ui.wait(lambda: sides.marked.id == one.row.id)
        await ui.press("9")
        assert isinstance(ui.app.screen, SidesScreen), "there is no ninth"
        await ui.press("enter")
        await closed(ui)
        await ui.wait(lambda: ui.path()[-1].id == one.row.id)


async def test_more_than_fit_are_walked_through(run):
    async with run(size=(100, 24)) as ui:
        await ui.say("hello")
        sides = await open_sides(ui, "/regenerate 8")
        await ui.idle()
        await ui.wait(lambda: not any(map(is_new, sides.sides)))
        assert [one.number for one in sides.in_view] == [2, 3]
        await ui.press("left")
        await ui.wait(lambda: [one.number for one in sides.in_view] == [1, 2])
        await ui.press(*["right"] * 9)
        await ui.wait(lambda: [one.number for one in sides.in_view] == [8, 9])
        assert sides.marked.sibling_index == 8
        assert sides.in_view[-1].border_title == "9 of 9"


async def test_choose_shows_a_version_by_its_number(run):
    async with run() as ui:
        await ui.say("hello")
        await ui.write("/regenerate")
        await ui.wait(lambda: len(versions(ui)) == 2)
        await ui.idle()
        await ui.write("/choose 1")
        await ui.wait(lambda: ui.path()[-1].sibling_index == 0)
        await ui.write("/choose 5")
        await ui.wait(lambda: any("There is no version 5" in text for text in ui.notices()))


async def test_what_cannot_be_is_said(run):
    async with run() as ui:
        await ui.write("/compare")
        await ui.wait(lambda: any("no answer to compare" in text for text in ui.notices()))
        await ui.write("/choose 2")
        await ui.wait(lambda: any("no answer to choose" in text for text in ui.notices()))
        await ui.say("hello")
        await ui.write("/compare")
        await ui.wait(lambda: any("There is one version" in text for text in ui.notices()))
        await ui.write("/regenerate 9")
        await ui.wait(lambda: any("takes 8 at most" in text for text in ui.notices()))
        assert ui.pane.prompt.prompt == "/regenerate 9"
        assert len(versions(ui)) == 1


async def test_a_temperature_of_zero_is_said(run):
    async with run() as ui:
        await ui.say("hello")
        await ui.write("/set temperature 0")
        await ui.wait(lambda: ui.flow.layers.given.temperature == 0)
        await open_sides(ui, "/regenerate 2")
        await ui.wait(lambda: any("will be alike" in text for text in ui.notices()))
        await ui.idle()


async def test_under_something_else_they_wait_for_compare(run):
    async with run() as ui:
        await ui.say("hello")
        ui.flow.answering.set_model_ready(False)
        await ui.write("/regenerate 2")
        await ui.wait(lambda: ui.flow.answering.waiting)
        await ui.press("f1")
        ui.flow.answering.set_model_ready(True)
        await ui.wait(lambda: any("/compare shows them" in text for text in ui.notices()))
        await ui.idle()
        assert not isinstance(ui.app.screen, SidesScreen)
        assert len(versions(ui)) == 3


@pytest.mark.parametrize("edited", [True, False])
async def test_an_answer_that_ends_on_another_branch_is_not_drawn_on_this_one(run, edited):
    async with run() as ui:
        await ui.write(WORDS)
        await ui.streaming()
        await ui.press("escape")
        await ui.idle()
        said = ui.said()
        first = ui.path()[-1].id
        if edited:
            await ui.press("ctrl+e", "enter")
        else:
            await ui.press("ctrl+r")
        await ui.wait(lambda: ui.flow.answering.row is not None)
        await ui.streaming()
        ui.app.chat.chats.open(ui.app.chat.open_id, first)
        await ui.wait(lambda: ui.flow.rows[-1].id == first)
        ui.flow.answering.stop()
        await ui.idle()
        await ui.press("left")
        assert [item.content for item in ui.pane.transcript.items] == said
        assert [row.content for row in ui.flow.rows] == said == ui.said()
