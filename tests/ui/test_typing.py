"""Keys in any chunks end as those typed slowly, in a real terminal, while an answer streams.

What is in the prompt is seen through `$EDITOR`: an editor that copies what it is given and leaves
nothing. The oracle is the prompt alone, in an app without a queue of keys, which is given one key
and then left until it has done all that the key does.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult

from chatapp.store import Store
from chatapp.ui.widgets.prompt import PromptBox
from tests.ui.terminal import Terminal, open_terminal

ASKED = "/words 50000\n/delay 20"

LETTERS = [
    *"abc de.-_/",
    "é",
    "ß",
    "北京",
    "한",
    "👍",
    "👩‍👩‍👧",
    "می\u200cخواهم",
    "\u3000",
    "\u00a0",
]
EDITS = {
    "backspace": "\x7f", "delete": "\x1b[3~", "left": "\x1b[D", "right": "\x1b[C",
    "up": "\x1b[A", "down": "\x1b[B", "home": "\x1b[H", "end": "\x1b[F", "home of ss3": "\x1bOH",
    "ctrl+left": "\x1b[1;5D", "ctrl+right": "\x1b[1;5C",
    "ctrl+a": "\x01", "ctrl+e": "\x05", "ctrl+w": "\x17", "ctrl+u": "\x15", "ctrl+k": "\x0b",
    "ctrl+y": "\x19", "ctrl+d": "\x04", "alt+b": "\x1bb", "alt+f": "\x1bf", "alt+d": "\x1bd",
    "alt+y": "\x1by", "alt+backspace": "\x1b\x7f", "alt+q": "\x1bq",
    "ctrl+j": "\n", "alt+enter": "\x1b\r", "kitty's shift+enter": "\x1b[13;2u",
    "xterm's shift+enter": "\x1b[27;2;13~",
    "paste": "\x1b[200~one two\rthree\x1b[201~", "paste of a word": "\x1b[200~word\x1b[201~",
}  # fmt: skip
UNDO = "\x1f"
UNBRACKETED = "fünf 六\rseven\r"


@dataclass(frozen=True)
class Typed:
    """Keys, and after which of them a chunk ends."""

    keys: tuple[str, ...]
    cuts: frozenset[int]

    def chunks(self) -> list[str]:
        found = [""]
        for number, key in enumerate(self.keys):
            if key == UNBRACKETED:  # together with other keys it is no paste
                found += [key, ""]
                continue
            found[-1] += key
            if number in self.cuts:
                found.append("")
        return [chunk for chunk in found if chunk]


def typed(extra: str) -> st.SearchStrategy[Typed]:
    keys = st.one_of(st.sampled_from(LETTERS), st.sampled_from([*EDITS.values()]), st.just(extra))
    return st.builds(
        Typed,
        st.lists(keys, min_size=3, max_size=25).map(tuple),
        st.frozensets(st.integers(0, 24), max_size=6),
    )


class Slow(App[None]):
    """The prompt alone. Ctrl+E in an empty one edits what was asked, as in the chat."""

    def compose(self) -> ComposeResult:
        yield PromptBox(earlier=[ASKED])

    @property
    def box(self) -> PromptBox:
        return self.query_one(PromptBox)

    def on_mount(self) -> None:
        self.box.focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "ctrl+e":
            self.box.set_prompt(ASKED)

    async def type(self, pilot, key: str) -> None:
        sent = [events.Paste(key)] if key == UNBRACKETED else XTermParser().feed(key)
        for event in sent:
            self.post_message(event)
            await pilot.pause()


async def type_slowly(examples: list[Typed]) -> list[str]:
    app, texts = Slow(), []
    async with app.run_test(size=(80, 24)) as pilot:
        for example in examples:
            for key in example.keys:
                await app.type(pilot, key)
            texts.append(app.box.prompt)
            if texts[-1]:
                app.box.replace_all("")
            await pilot.pause()
    return texts


def type_in_chunks(terminal: Terminal, examples: list[Typed], seen: Path) -> list[str]:
    texts = []
    for example in examples:
        for chunk in example.chunks():
            terminal.type(chunk.encode())
        terminal.type(b"\x18\x05")
        terminal.until(seen.exists, "the editor was not opened")
        texts.append(seen.read_text())
        seen.unlink()
        terminal.until(lambda: terminal.is_raw, "the terminal was not taken back")
    return texts


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "editor"
    path.write_text('#!/bin/sh\ncp "$1" "$SEEN.part"\n: > "$1"\nmv "$SEEN.part" "$SEEN"\n')
    path.chmod(0o755)
    return path


def compare(home: Path, editor: Path, examples: list[Typed]) -> None:
    seen = home.parent / "seen"
    with open_terminal(home, EDITOR=str(editor), VISUAL="", SEEN=str(seen)) as terminal:
        terminal.type(ASKED.encode() + b"\r")
        terminal.read_until(b"word3")
        found = type_in_chunks(terminal, examples, seen)
        with Store.open(home / "history.db") as store:
            rows = store.get_path(store.list_conversations()[0].id)
    assert [row.content for row in rows[:1]] == [ASKED]
    assert rows[1].status == "streaming", "it was written all the time"
    assert len(rows) == 2, "nothing was sent"
    assert found == asyncio.run(type_slowly(examples))


CHOSEN = [
    ("teh", EDITS["backspace"], EDITS["backspace"], "he"),
    ("abc", EDITS["ctrl+a"], "X"),
    ("alpha beta", EDITS["ctrl+w"], "X"),
    ("alpha beta", EDITS["alt+backspace"], UNDO, EDITS["alt+b"], EDITS["alt+d"], "X"),
    ("one two", EDITS["ctrl+u"], "three ", EDITS["ctrl+y"], EDITS["alt+y"], EDITS["alt+q"], "!"),
    ("one", EDITS["alt+enter"], "two", EDITS["up"], EDITS["home"], EDITS["ctrl+k"], "T"),
    (EDITS["ctrl+e"], "X", EDITS["ctrl+a"], EDITS["ctrl+k"], EDITS["ctrl+e"], "Y"),
    ("北京👍", EDITS["left"], EDITS["paste"], EDITS["left"], "é", UNDO, UNDO, "z"),
]


def test_chosen_bursts_end_as_typed_slowly(home, editor):
    compare(home, editor, [Typed(keys, frozenset()) for keys in CHOSEN])


@pytest.mark.parametrize("extra", [UNDO, UNBRACKETED], ids=["undo", "unbracketed"])
def test_any_keys_in_any_chunks_end_as_typed_slowly(home, editor, extra):
    count = 0

    @settings(max_examples=3)
    @given(st.lists(typed(extra), min_size=8, max_size=12))
    def check(examples: list[Typed]) -> None:
        nonlocal count
        count += 1
        compare(home / str(count), editor, examples)

    check()
    assert count
