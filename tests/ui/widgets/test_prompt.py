"""The prompt box in a real, headless Textual app."""

import pytest
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll

from chatapp.ui.widgets.prompt import MAX_ROWS, PromptBox
from tests.ui.conftest import until


class Harness(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield VerticalScroll()
        yield PromptBox(placeholder="Ask")

    @property
    def box(self) -> PromptBox:
        return self.query_one(PromptBox)

    def on_mount(self) -> None:
        self.box.focus()

    def on_prompt_box_submitted(self, event: PromptBox.Submitted) -> None:
        self.sent.append(event.text)


async def test_enter_sends_and_empties() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        await pilot.press("enter", "space", "enter")
        assert app.sent == []
        await pilot.press(*"hi", "enter")
        assert app.sent == ["hi"]
        assert app.box.text == ""


@pytest.mark.parametrize("key", ["shift+enter", "alt+enter", "ctrl+j"])
async def test_other_enters_start_a_line(key: str) -> None:
    app = Harness()
    async with app.run_test() as pilot:
        await pilot.press("a", key, "b", "enter")
        assert app.sent == ["a\nb"]


@pytest.mark.parametrize("sequence", ["\x1b\r", "\x1b[13;2u", "\x1b[13;3u", "\x1b[27;2;13~", "\n"])
async def test_what_terminals_send_for_a_new_line_is_one(sequence: str) -> None:
    app = Harness()
    async with app.run_test() as pilot:
        keys = [event for event in XTermParser().feed(sequence) if isinstance(event, events.Key)]
        assert len(keys) == 1
        app.box.set_prompt("a")
        app.box.post_message(keys[0])
        await pilot.press("b", "enter")
        assert app.sent == ["a\nb"]


@pytest.mark.parametrize(
    ("burst", "sent"),
    [
        ("teh\x7f\x7fhe\r", "the"),
        ("abc\x01X\r", "Xabc"),
        ("alpha beta\x17X\r", "alpha X"),
        ("ab\x1b[D\x1b[3~c\x1b[Fd\r", "acd"),
        ("one\ntwo\x1b[A\x1b[HT\r", "Tone\ntwo"),
        ("abc\x15\x1ae\r", "abce"),
        ("abc\x01\x0bd\r", "d"),
        ("ab\x1b[1;2D\x18\x16\x16\r", "abb"),
    ],
)
async def test_keys_that_come_at_once_are_taken_one_after_the_other(burst: str, sent: str) -> None:
    app = Harness()
    async with app.run_test():
        for event in XTermParser().feed(burst + "next"):
            app.post_message(event)
        await until(lambda: app.sent == [sent] and app.box.text == "next")
        assert app.sent == [sent]


async def test_the_box_grows_to_a_third_of_the_screen_and_shrinks_again() -> None:
    app = Harness()
    async with app.run_test(size=(80, 24)) as pilot:
        one = app.box.size.height
        await pilot.press("a", "ctrl+j", "b", "ctrl+j", "c")
        await pilot.pause()
        assert app.box.content_size.height == 3
        for _ in range(15):
            await pilot.press("ctrl+j")
        await pilot.pause()
        assert app.box.outer_size.height == 24 // 3
        assert app.box.cursor_screen_offset.y < 24
        await pilot.resize_terminal(80, 60)
        await pilot.pause()
        assert app.box.content_size.height == MAX_ROWS
        app.box.set_prompt("")
        await pilot.pause()
        assert app.box.size.height == one


async def test_wrapped_lines_count_as_rows() -> None:
    app = Harness()
    async with app.run_test(size=(40, 24)) as pilot:
        app.box.set_prompt("北京" * 30)
        await pilot.pause()
        assert app.box.content_size.height > 2


async def test_up_recalls_and_down_comes_back_to_the_draft() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.box.earlier = ["first", "second\nline"]
        await pilot.press(*"draft", "up")
        assert app.box.text == "second\nline"
        await pilot.press("up", "up")
        assert app.box.text == "first"
        await pilot.press("up")
        assert app.box.text == "first"
        await pilot.press("down")
        assert app.box.text == "second\nline"
        await pilot.press("down")
        assert app.box.text == "draft"
        await pilot.press("down")
        assert app.box.text == "draft"


async def test_up_moves_within_a_wrapped_line_first() -> None:
    app = Harness()
    async with app.run_test(size=(40, 24)) as pilot:
        app.box.earlier = ["first"]
        app.box.set_prompt("word " * 20)
        await pilot.pause()
        await pilot.press("up")
        assert app.box.text == "word " * 20
        await pilot.press("up", "up", "up")
        assert app.box.text == "first"


async def test_what_was_sent_can_be_recalled_once() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        await pilot.press("a", "enter", "a", "enter", "b", "enter", "up", "up")
        assert app.box.text == "a"
        assert app.box.earlier == ["a", "b"]


async def test_a_large_paste_is_folded_and_sent_whole() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        text = "x" * 99 + "\n"
        big = text * 20_000  # 2 MB
        await pilot.press(*"see ")
        app.box.post_message(events.Paste(big))
        await pilot.pause()
        assert app.box.text == "see [pasted 20001 lines]"
        app.box.post_message(events.Paste(big[:-1] + "!"))
        await pilot.pause()
        assert app.box.document.line_count == 1
        await pilot.press("enter")
        assert app.sent == [f"see {big}{big[:-1]}!"]
        await pilot.press("up")
        assert len(app.box.text) < 100
        assert app.box.prompt == app.sent[0]


async def test_a_prompt_that_comes_back_can_be_edited() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.box.earlier = ["older"]
        app.box.post_message(events.Paste("x\n" * 100))
        await pilot.pause()
        await pilot.press("up", "down")
        assert app.box.text == "[pasted 101 lines]"
        assert app.box.prompt == "x\n" * 100
        app.box.set_prompt("y\n" * 100)
        assert app.box.text == "y\n" * 100


async def test_two_pastes_of_one_size_stay_apart() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        for char in "ab":
            app.box.post_message(events.Paste(char * 5000))
        await pilot.pause()
        assert app.box.prompt == "a" * 5000 + "b" * 5000
        assert app.box.text.count("[pasted") == 2


async def test_a_small_paste_is_text_without_controls() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.box.post_message(events.Paste("a\r\nb\x1b[31m\x07 👩‍👩‍👧 北京"))
        await pilot.pause()
        assert app.box.text == "a\nb 👩‍👩‍👧 北京"
        await pilot.press("enter")
        assert app.sent == ["a\nb 👩‍👩‍👧 北京"]


async def test_typed_brackets_are_only_text() -> None:
    app = Harness()
    async with app.run_test() as pilot:
        app.box.set_prompt("[pasted 9 lines]")
        await pilot.press("enter")
        assert app.sent == ["[pasted 9 lines]"]
