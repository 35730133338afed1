"""The window of the transcript: few widgets, wherever one looks."""

from textual.app import App
from textual.pilot import Pilot

from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.widgets.transcript import Transcript
from chatapp.ui.widgets.window import MAX, SIZE
from tests.ui.widgets.test_transcript import Harness, chat, drawn, screen_rows, settle


def text_rows(app: App[None]) -> list[str]:
    """Without the scrollbar."""
    return [row[:55].rstrip() for row in screen_rows(app)]


async def test_a_message_is_marked_step_by_step() -> None:
    app = Harness()
    async with app.run_test(size=(60, 12)) as pilot:
        transcript = app.transcript
        transcript.show(chat(200))
        await settle(pilot)
        transcript.mark_next(-1)
        assert transcript.marked == 199
        for _ in range(130):
            transcript.mark_next(-1)
            await pilot.pause()
        assert transcript.marked == 69
        assert "message 69" in drawn(app)
        assert len(app.query(".-marked")) == 1
        transcript.go_to_end()
        await settle(pilot)
        transcript.marked = 199
        transcript.mark_next(1)
        assert transcript.marked is None
        transcript.go_to_start()
        await settle(pilot)
        transcript.mark_next(-1)
        assert transcript.marked in (1, 2, 3), "one that can be seen"


async def scroll_until(pilot: Pilot[None], text: str, step: int) -> int:
    """Page on until `text` is drawn; the most widgets there were meanwhile."""
    transcript = pilot.app.query_one(Transcript)
    most = 0
    for _ in range(1000):
        most = max(most, len([view for view in pilot.app.query(MessageView) if view.display]))
        if text in drawn(pilot.app):
            return most
        (transcript.scroll_page_up if step < 0 else transcript.scroll_page_down)(animate=False)
        await settle(pilot)
    raise AssertionError(f"{text!r} was never seen")


async def test_only_a_window_has_widgets_wherever_one_looks() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.transcript
        transcript.show(chat(300))
        await settle(pilot)
        assert len(app.query(MessageView)) == SIZE
        assert "message 299" in drawn(app)
        assert await scroll_until(pilot, "message 0", -1) <= MAX + 20
        assert await scroll_until(pilot, "message 299", 1) <= MAX + 20
        await settle(pilot)
        assert len(app.query(MessageView)) <= MAX
        transcript.append(MessageItem(900, "user", "new"))
        await settle(pilot)
        assert "new" in drawn(app), "it sticks to the end again"


async def test_scrolling_shows_every_message_once_and_in_order() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        items = [MessageItem(n, "assistant", f"number {n}.\n\n" * (n % 7 + 1)) for n in range(100)]
        app.transcript.show(items)
        app.transcript.go_to_start()
        await settle(pilot)
        assert "number 0." in screen_rows(app)[1]
        rows_seen = text_rows(app)
        for _ in range(3000):
            before = text_rows(app)
            app.transcript.scroll_relative(y=9, animate=False)
            await settle(pilot)
            now = text_rows(app)
            moved = next(n for n in range(10) if now[: 20 - n] == before[n:])
            rows_seen += now[20 - moved :]
            if not moved:
                break
        numbers = [row.split()[1] for row in rows_seen if "number" in row]
        expected = [f"{n}." for n in range(100) for _ in range(n % 7 + 1)]
        assert numbers == expected


async def test_any_message_is_reached_at_the_same_cost() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.transcript
        transcript.show(chat(20_000))
        for wanted in (0, 10_000, 19_999, 3, 19_000):
            transcript.reveal(wanted)
            await settle(pilot)
            await settle(pilot)
            assert f"message {wanted}" in drawn(app)
            assert transcript.marked == wanted
            assert len(app.query(MessageView)) <= MAX


async def test_an_answer_that_streams_out_of_sight_is_whole_when_one_comes_back() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.transcript
        transcript.show(chat(300))
        transcript.begin_answer(MessageItem(900, "assistant", "", "streaming"))
        transcript.write(900, "one ")
        transcript.flush()
        transcript.reveal(3)
        await settle(pilot)
        transcript.write(900, "one **two** ", "because")
        transcript.flush()
        await settle(pilot)
        assert "message 3" in drawn(app), "what one looks at stays"
        assert transcript.item(900).content == "one **two** "
        transcript.go_to_end()
        await settle(pilot)
        transcript.write(900, "one **two** three", "because")
        transcript.flush()
        await settle(pilot)
        assert "one two three" in drawn(app)
        assert "thought" in drawn(app)
        transcript.reveal(3)
        await settle(pilot)
        transcript.finish(900, MessageItem(900, "assistant", "one **two** three", "complete"))
        transcript.go_to_end()
        await settle(pilot)
        assert "one two three" in drawn(app)
        assert transcript.item(900).status == "complete"
