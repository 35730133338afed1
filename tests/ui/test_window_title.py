"""The title of the window: what it says, when it is left alone, how it is given back."""

import os
import signal
from dataclasses import replace

import pytest
from textual.events import AppBlur, AppFocus

from chatapp.config import Config
from chatapp.ui.window_title import WindowTitle
from tests.ui.terminal import open_terminal

KEEP = "\x1b[22;2t"
BACK = "\x1b]2;\x07\x1b[23;2t"


def titled(title: str) -> str:
    return f"\x1b]2;{title}\x07"


def test_nothing_is_written_where_nobody_asked():
    written: list[str] = []
    title = WindowTitle("off", written.append)
    title.show("a chat")
    title.tell_end()
    title.give_back()
    assert written == []


def test_a_name_of_a_chat_holds_no_sequence_of_its_own():
    written: list[str] = []
    title = WindowTitle("chat", written.append)
    title.show("a\x07\x1b]0;evil\x1b\\b\x9c\u202e\nc" + "d" * 200)
    (one,) = written
    assert one.startswith(f"{KEEP}\x1b]2;a")
    assert one.endswith(" – chatapp\x07")
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in one[len(KEEP) + 4 : -1])
    assert "\u202e" not in one
    assert len(one) < 100


def test_only_what_changes_is_written_and_the_old_title_is_kept_once():
    written: list[str] = []
    title = WindowTitle("chat", written.append)
    for name in ("", "one", "one", "two"):
        title.show(name)
    assert written[0] == KEEP + titled("chatapp")
    assert written[1:] == [titled("one – chatapp"), titled("two – chatapp")]
    title.give_back()
    title.show("three")
    assert written[3:] == [BACK]


@pytest.mark.parametrize(("when", "watched"), [("answers", 0), ("answers", 1), ("chat", 0)])
async def test_an_answer_that_ends_unwatched_is_told_until_somebody_looks(
    run, monkeypatch, when, watched
):
    written: list[str] = []
    config = replace(Config(), ui=replace(Config().ui, window_title=when))
    async with run(config=config) as ui:
        monkeypatch.setattr(ui.app, "write_to_terminal", written.append)
        await ui.write("pear\n/words 40\n/delay 30")
        await ui.streaming()
        ui.app.post_message(AppFocus() if watched else AppBlur())
        await ui.wait(lambda: ui.app.app_focus == bool(watched))
        await ui.idle()
        told = [one for one in written if "✓ pear" in one]
        assert bool(told) == (not watched)
        ui.app.post_message(AppFocus())
        await ui.wait(lambda: ui.app.app_focus)
        if when == "answers":
            await ui.wait(lambda: not written or written[-1] == BACK)
            assert len(written) == (0 if watched else 2)
        else:
            await ui.wait(lambda: "✓" not in written[-1])
            assert written[-1].endswith("chatapp\x07")


async def test_a_chat_that_is_renamed_names_the_window(run, monkeypatch):
    written: list[str] = []
    config = replace(Config(), ui=replace(Config().ui, window_title="chat"))
    async with run(config=config) as ui:
        monkeypatch.setattr(ui.app, "write_to_terminal", written.append)
        await ui.say("hello")
        await ui.wait(lambda: written[-1] == titled("hello – chatapp"))
        await ui.write("/title pears")
        await ui.wait(lambda: written[-1] == titled("pears – chatapp"))
        await ui.press("ctrl+n")
        await ui.wait(lambda: written[-1] == titled("chatapp"))


async def test_a_temporary_chat_is_not_named(run, monkeypatch):
    written: list[str] = []
    config = replace(Config(), ui=replace(Config().ui, window_title="chat"))
    async with run(config=config, temporary=True) as ui:
        monkeypatch.setattr(ui.app, "write_to_terminal", written.append)
        await ui.say("my secret")
        await ui.press("ctrl+n")
        await ui.wait(lambda: ui.app.chat.open_id is None)
        assert not any("secret" in one for one in written)


@pytest.mark.skipif(os.name == "nt", reason="has no terminal to give back")
def test_a_terminal_gets_its_title_back(home):
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text('[ui]\nwindow_title = "chat"\n')
    with open_terminal(home) as terminal:
        terminal.read_until(f"{KEEP}{titled('chatapp')}".encode())
        os.write(terminal.fd, b"hello\r")
        terminal.read_until(titled("hello – chatapp").encode())
        os.write(terminal.fd, b"\x1a")
        terminal.read_until(BACK.encode())
        os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.seen = b""
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.read_until(titled("hello – chatapp").encode())
        terminal.seen = b""
        os.write(terminal.fd, b"\x11")
        assert terminal.wait() == 0
        assert BACK.encode() in terminal.seen
