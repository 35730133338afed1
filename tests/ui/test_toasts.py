"""Notices: the same one once, few at a time, and none over what is being read or written."""

import pytest
from textual.widgets._toast import Toast, ToastHolder

from chatapp.ui.toasts import MOST


def drawn(ui) -> list[Toast]:
    return [toast for toast in ui.app.screen.query(Toast) if toast.region]


async def test_the_same_notice_is_told_once_and_counted(run):
    async with run() as ui:
        for _ in range(5):
            ui.app.notify("It failed.\nDo this.", severity="warning", markup=False, timeout=5)
        await ui.wait(lambda: ui.notices() == ["It failed.\nDo this. (×5)"])
        await ui.wait(lambda: len(drawn(ui)) == 1)
        [first] = ui.app._notifications
        ui.app.notify("It failed.\nDo this.", severity="warning", markup=False, timeout=500)
        await ui.wait(lambda: ui.notices() == ["It failed.\nDo this. (×6)"])
        [again] = ui.app._notifications
        assert again.time_left > first.timeout  # the whole time of the last
        ui.app.notify("It failed.\nDo this.", severity="error", markup=False)
        ui.app.notify("It failed.\nDo this.", title="Load", severity="warning", markup=False)
        await ui.wait(lambda: len(ui.notices()) == 3)  # another kind, another title
        await ui.wait(lambda: len(drawn(ui)) == 3)


async def test_after_its_time_a_notice_is_a_new_one(run):
    async with run() as ui:
        ui.app.notify("Once.", timeout=0.2)
        await ui.wait(lambda: ui.notices() == ["Once."])
        await ui.wait(lambda: ui.notices() == [])
        ui.app.notify("Once.")
        await ui.wait(lambda: ui.notices() == ["Once."])


async def test_of_many_the_last_are_there_and_no_row_is_left_behind(run):
    async with run() as ui:
        for number in range(10):
            ui.app.notify(f"number {number}", timeout=100)
        await ui.wait(lambda: ui.notices() == [f"number {n}" for n in range(10 - MOST, 10)])
        await ui.wait(lambda: len(drawn(ui)) == MOST)
        await ui.wait(lambda: len(ui.app.screen.query(ToastHolder)) == MOST)
        assert ui.app.screen.query_one("#main").region.y == MOST
        ui.app.clear_notifications()
        await ui.wait(lambda: ui.app.screen.query_one("#main").region.y == 0)


LONG = (
    "The model pebble.gguf was not loaded: it needs 41 GB, and 12 GB of memory are free on this "
    "machine.\nChoose a smaller model or quantisation, or a shorter context with --n-ctx 2048."
)


@pytest.mark.parametrize("size", [(80, 24), (40, 20), (120, 40)])
async def test_a_notice_covers_neither_what_is_read_nor_what_is_written(run, size):
    async with run(size=size) as ui:
        await ui.say("/words 400")
        transcript, prompt = ui.pane.transcript, ui.pane.prompt
        last_row = transcript.region.bottom
        ui.app.notify(LONG, severity="error", markup=False, timeout=100)
        await ui.wait(lambda: bool(drawn(ui)))
        [toast] = drawn(ui)
        assert not toast.region.overlaps(transcript.region)
        assert not toast.region.overlaps(prompt.region)
        assert transcript.region.bottom == last_row  # the prompt stays where it was
        await ui.wait(lambda: transcript.scroll_offset.y == transcript.max_scroll_y)
        words = "".join(LONG.split())
        rows = [
            strip.crop(toast.region.x, toast.region.right).text
            for strip in ui.app.screen._compositor.render_strips()[: toast.region.bottom]
        ]
        assert words in "".join("".join(rows).replace("▌", "").split())


async def test_in_a_dialog_a_notice_lies_at_the_top(run):
    async with run() as ui:
        await ui.press("f2")
        await ui.press("ctrl+o")
        await ui.wait(lambda: len(ui.app.screen_stack) == 2)
        ui.app.notify("Something.", timeout=100)
        await ui.wait(lambda: bool(drawn(ui)))
        assert drawn(ui)[0].region.y == 0
