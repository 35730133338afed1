"""The transcript in a real, headless Textual app."""

from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.look import Look
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.widgets.transcript import Transcript

LIST = "".join(f"- item {n}\n" for n in range(60))


class Harness(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.posted: list[object] = []

    def compose(self) -> ComposeResult:
        yield Transcript()

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    def on_transcript_sibling_requested(self, event: Transcript.SiblingRequested) -> None:
        self.posted.append(("sibling", event.message_id, event.step))

    def on_transcript_continue_requested(self, event: Transcript.ContinueRequested) -> None:
        self.posted.append(("continue", event.message_id))

    def on_transcript_link_clicked(self, event: Transcript.LinkClicked) -> None:
        self.posted.append(("link", event.href))


def chat(count: int) -> list[MessageItem]:
    return [MessageItem(n, "assistant" if n % 2 else "user", f"message {n}") for n in range(count)]


def rows(view: MessageView) -> list[str]:
    width = view.content_size.width
    lines = [view.get_line(y, width) for y in range(view.count_lines(width))]
    return ["".join(run.text for run in line.runs).rstrip() for line in lines]


def screen_rows(app: App[None]) -> list[str]:
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def drawn(app: App[None]) -> str:
    return "\n".join(screen_rows(app))


def say(transcript: Transcript, message_id: int, text: str) -> None:
    """More of an answer."""
    so_far = transcript.item(message_id).content
    transcript.write(message_id, so_far + text)


async def settle(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()


async def test_what_is_drawn_while_it_is_written_is_what_is_drawn_at_the_end():
    text = (
        "Some **prose that wraps** at the width of the window, and then `goes on` for a while.\n"
        "A title below it\n---\n\n- one\n- two **bold\n  rest** of it\n\n| a | b |\n|---|---|\n"
        "| 1 | a cell that is wide |\n\n```python\nx = '''\ny = 1\n'''\nz = x\n```\n\nThe *end*."
    )
    app = Harness()
    async with app.run_test(size=(40, 40)) as pilot:
        transcript = app.transcript
        transcript.begin_answer(MessageItem(1, "assistant", "", status="streaming"))
        await settle(pilot)
        for end in range(1, len(text) + 1, 3):
            transcript.write(1, text[:end])
            transcript.flush()
            await pilot.pause()
            view = app.query_one(MessageView)
            shown = [row.strip() for row in screen_rows(app)]
            assert [row for row in shown if row] == [row.strip() for row in rows(view) if row]


async def test_only_the_rows_that_read_otherwise_are_drawn_again():
    app = Harness()
    async with app.run_test(size=(40, 20)) as pilot:
        transcript = app.transcript
        transcript.begin_answer(MessageItem(1, "assistant", "", status="streaming"))
        say(transcript, 1, "A paragraph that takes three rows, since it is longer than two. ")
        transcript.flush()
        await settle(pilot)
        view = app.query_one(MessageView)
        rows_before = rows(view)
        drawn_again: list[int] = []
        draw = view._draw
        view._draw = lambda y, *rest: (drawn_again.append(y), draw(y, *rest))[1]
        say(transcript, 1, "Yes")
        transcript.flush()
        await settle(pilot)
        assert len(rows(view)) == len(rows_before)
        assert drawn_again == [len(rows_before) - 1]


async def test_a_thought_takes_the_place_of_the_progress_before_it():
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.transcript
        transcript.begin_answer(MessageItem(1, "assistant", "", status="streaming", reasoning="hm"))
        transcript.set_progress(1, "reading 20/20")
        await pilot.pause()
        view = app.query_one(MessageView)
        assert "reading 20/20" in rows(view)
        transcript.write(1, "", "hm")
        transcript.flush()
        assert "reading 20/20" in rows(view)
        transcript.write(1, "", "hm, so")
        transcript.flush()
        assert [row for row in rows(view) if row] == ["Assistant", "▸ thinking · about 1 words"]
        await settle(pilot)
        assert "▸ thinking" in drawn(app)
        transcript.write(1, "Yes", "hm, so")
        transcript.flush()
        await settle(pilot)
        assert "▸ thought · about 1 words" in drawn(app)


async def test_what_is_drawn_is_what_was_streamed() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show([MessageItem(1, "user", "*as typed*")])
        app.transcript.begin_answer(MessageItem(2, "assistant", "", "streaming"))
        app.transcript.set_progress(2, "reading 10 / 20")
        await settle(pilot)
        assert "reading 10 / 20" in drawn(app)
        for piece in ("Hello **wo", "rld**\n\n", "- a\n- ", "b\n\n```py\nx = 1\n", "```\n"):
            say(app.transcript, 2, piece)
            app.transcript.flush()
            await settle(pilot)
            view = app.query(MessageView).last()
            assert [row for row in rows(view) if row not in drawn(app)] == []
        text = drawn(app)
        assert "reading" not in text
        assert "*as typed*" in text
        assert "Hello world" in text
        assert "• b" in text
        assert app.transcript.item(2).content.startswith("Hello **world**")


async def test_streamed_text_is_drawn_by_the_timer() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.transcript.begin_answer(MessageItem(2, "assistant", "", "streaming"))
        say(app.transcript, 2, "tick")
        for _ in range(100):
            await pilot.pause(0.01)
            if "tick" in drawn(app):
                break
        assert "tick" in drawn(app)


async def test_an_answer_finished_looks_like_one_that_was_loaded() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        whole = MessageItem(2, "assistant", LIST + "*end*", "stopped", note="31 tok/s")
        app.transcript.begin_answer(MessageItem(2, "assistant", "", "streaming"))
        for start in range(0, len(whole.content), 7):
            say(app.transcript, 2, whole.content[start : start + 7])
        app.transcript.finish(2, whole)
        await settle(pilot)
        streamed = drawn(app)
        app.transcript.show([whole])
        await settle(pilot)
        assert drawn(app) == streamed
        assert "■ stopped – Ctrl+G continues  31 tok/s" in streamed


async def test_a_stopped_answer_goes_on_where_it_was() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show([MessageItem(2, "assistant", "```\none\ntw", "stopped")])
        await settle(pilot)
        app.transcript.begin_answer(MessageItem(2, "assistant", "```\none\ntw", "streaming"))
        say(app.transcript, 2, "o\nthree\n```\n")
        app.transcript.flush()
        await settle(pilot)
        view = app.query_one(MessageView)
        assert rows(view)[1:] == [" one", " two", " three"]


async def test_marks_siblings_errors_and_reasoning() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show([
            MessageItem(1, "assistant", "a", "complete", 1, 3),
            MessageItem(2, "assistant", "b", "failed", note="out of\nmemory"),
            MessageItem(3, "assistant", "c", "interrupted", reasoning="because\n\nof this"),
        ])  # fmt: skip
        await settle(pilot)
        text = drawn(app)
        assert "◂ 2/3 ▸" in text
        assert "✗ failed: out of memory" in text
        assert "■ interrupted – Ctrl+G continues" in text
        assert "▸ thought" in text
        assert "because" not in text
        app.transcript.fold(3)
        await settle(pilot)
        assert "│ because" in drawn(app)


async def test_clicks_ask_and_open_nothing() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show([MessageItem(7, "assistant", "[x](http://a.b/)", "stopped", 0, 2)])
        await settle(pilot)
        opened: list[str] = []
        app.open_url = lambda url, *, new_tab=True: opened.append(url)  # type: ignore[method-assign]
        for text in ("▸", "◂", "Ctrl+G", "http://a.b"):
            y = next(y for y, row in enumerate(screen_rows(app)) if text in row)
            x = screen_rows(app)[y].index(text)
            await pilot.click(offset=Offset(x, y))
            await settle(pilot)
        assert app.posted == [
            ("sibling", 7, 1), ("sibling", 7, -1), ("continue", 7), ("link", "http://a.b/"),
        ]  # fmt: skip
        assert opened == []


async def test_the_end_stays_in_sight_until_the_user_scrolls() -> None:
    app = Harness()
    async with app.run_test(size=(60, 15)) as pilot:
        transcript = app.transcript
        transcript.show(chat(30))
        transcript.begin_answer(MessageItem(50, "assistant", "", "streaming"))
        say(transcript, 50, LIST)
        transcript.flush()
        await settle(pilot)
        assert "item 59" in drawn(app)
        transcript.scroll_page_up(animate=False)
        await settle(pilot)
        before = transcript.scroll_y
        say(transcript, 50, LIST + "\nthe end")
        transcript.flush()
        await settle(pilot)
        assert transcript.scroll_y == before
        transcript.go_to_end()
        await settle(pilot)
        transcript.scroll_page_down(animate=False)
        await settle(pilot)
        say(transcript, 50, " is near")
        transcript.flush()
        await settle(pilot)
        assert "the end is near" in drawn(app)


async def test_a_short_chat_starts_at_the_top() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show(chat(2))
        await settle(pilot)
        assert "You" in screen_rows(app)[0]


async def test_messages_after_an_edited_one_go() -> None:
    app = Harness()
    async with app.run_test(size=(60, 20)) as pilot:
        app.transcript.show(chat(100))
        await settle(pilot)
        app.transcript.remove_after(97)
        await settle(pilot)
        assert "message 97" in drawn(app)
        assert "message 98" not in drawn(app)
        app.transcript.remove_after(5)
        await settle(pilot)
        assert [item.id for item in app.transcript.items] == [0, 1, 2, 3, 4, 5]
        assert "message 5" in drawn(app)


async def test_text_for_a_chat_that_was_left_is_ignored() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.transcript.begin_answer(MessageItem(9, "assistant", "", "streaming"))
        say(app.transcript, 9, "old")
        app.transcript.show(chat(3))
        app.transcript.write(9, "old chat")
        app.transcript.set_progress(9, "old chat")
        app.transcript.finish(9, MessageItem(9, "assistant", "old chat"))
        app.transcript.flush()
        await settle(pilot)
        assert "old" not in drawn(app)
        assert len(app.transcript.items) == 3


async def test_nothing_a_model_says_reaches_the_terminal_as_control() -> None:
    app = Harness()
    evil = "\x1b]52;c;aGk=\x07\x1b[2Jhi\x9b31m \u202eevil\x00\r\nx [a](http://b/\x1b[0m) &#27;"
    async with app.run_test() as pilot:
        app.transcript.show([
            MessageItem(1, "user", evil),
            MessageItem(3, evil, evil, "failed", note=evil, reasoning=evil),
        ])  # fmt: skip
        app.transcript.begin_answer(MessageItem(2, "assistant", "", "streaming"))
        for char in evil:
            say(app.transcript, 2, char)
            app.transcript.flush()
        app.transcript.set_progress(2, evil)
        await settle(pilot)
        text = drawn(app)
        assert "hi" in text
        assert not any(
            c == "\u202e" or (c < " " and c != "\n") or "\x7f" <= c < "\xa0" for c in text
        )


async def test_a_huge_text_is_read_in_slices_and_a_huge_prompt_is_cut() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.transcript.show([
            MessageItem(1, "user", "line\n" * 400_000),
            MessageItem(2, "assistant", "word " * 20_000 + "last"),
        ])  # fmt: skip
        views = list(app.query(MessageView))
        assert views[1].is_behind
        await settle(pilot)
        assert "and 1 999 701 more characters" in rows(views[0])[-1]
        for _ in range(100):
            app.transcript.flush()
            await pilot.pause()
            if not views[1].is_behind:
                break
        assert rows(views[1])[-1].endswith("last")


async def test_selected_text_is_copied_as_it_was_written() -> None:
    app = Harness()
    async with app.run_test(size=(30, 20)) as pilot:
        code = "x = '" + "long " * 8 + "'"
        app.transcript.show([MessageItem(1, "assistant", f"```\n{code}\n```\n" + "word " * 9)])
        await settle(pilot)
        view = app.query_one(MessageView)
        copied = view.get_selection(Selection(Offset(0, 1), None))
        assert copied is not None
        assert copied[0].split("\n") == [code, ("word " * 9).strip()]


async def test_themes_and_sizes_change_while_an_answer_streams() -> None:
    app = Harness()
    async with app.run_test(size=(80, 24)) as pilot:
        app.transcript.show(chat(5))
        app.transcript.begin_answer(MessageItem(50, "assistant", "", "streaming"))
        for step in range(12):
            say(app.transcript, 50, LIST[step * 20 : step * 20 + 20])
            app.theme = "textual-light" if step % 2 else "textual-dark"
            await pilot.resize_terminal(20 + step * 9 % 70, 5 + step * 7 % 30)
            app.transcript.flush()
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        view = app.query(MessageView).last()
        assert [row for row in rows(view)[-5:] if row not in drawn(app)] == []


async def test_the_key_that_unfolds_a_thought_stands_beside_the_one_it_unfolds() -> None:
    app = Harness()
    async with app.run_test(size=(80, 30)) as pilot:
        app.transcript.look = Look(fold_key="Alt+T")
        thought = [
            MessageItem(n, "assistant", f"answer {n}", reasoning="so many words") for n in range(3)
        ]
        app.transcript.show(thought)
        await settle(pilot)

        def told() -> list[int]:
            views = app.query(MessageView)
            return [
                view.item.id for view in views if any("Alt+T shows it" in r for r in rows(view))
            ]

        assert told() == [2]
        app.transcript.marked = 0
        await settle(pilot)
        assert told() == [0]
        app.transcript.fold(0)
        assert any("Alt+T hides it" in row for row in rows(app.query(MessageView).first()))
        app.transcript.marked = None
        app.transcript.append(MessageItem(3, "assistant", "x", reasoning="more of them"))
        await settle(pilot)
        assert told() == [3]
