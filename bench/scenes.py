"""Pictures of every screen and dialog, to be looked at: `python -m bench.pictures --every FOLDER`.

One run of the app on the scripted engine for each size and theme; the chats in it are written in
several scripts, with emoji, long words and what would be an escape sequence.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.forms.room import Offer, RoomForm
from chatapp.ui.forms.summary import SummaryForm

if TYPE_CHECKING:
    from bench.pictures import Stage

Play = Callable[["Stage"], Awaitable[None]]

ANSWER = """# A heading, 見出し, כותרת

Prose with **bold**, `code`, a [link](https://example.org/a/long/path), 日本語の文章です。全角文字、
and emoji 👩‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ in a line. مرحبا بالعالم، هذا نص عربي. שלום עולם.

| Name | 値 | Emoji |
|------|----|-------|
| one  | 東京都 | 🎉🎉 |
| two  | مرحبا | ok |

```python
def greet(name: str) -> str:  # a comment that is so long that it has to be wrapped somewhere here
    return f"こんにちは, {name} 🎉"
```

1. first $\\alpha \\le \\beta$
2. second \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202ereversed\u202c

> quoted 引用
"""
TITLES = (
    "日本語の会話のとても長いタイトルです、切られるはずです",
    "🎉🎉 emoji 👩‍👩‍👧‍👦 in a title that is long enough",
    "שיחה בעברית על משהו",
    "مرحبا بالعالم هذا عنوان طويل",
    "A name for a cat",
    "\x1b[31mred\x1b[0m \u202etitle",
)


def write_history(store: Store) -> None:
    """Chats in several scripts, one with two versions of an answer."""
    for number, title in enumerate(TITLES):
        chat = store.create_conversation(title)
        asked = store.add_message(chat, Message.of("user", f"{title}?"), None)
        store.add_message(chat, Message.of("assistant", ANSWER), asked.id)
        if number == 4:
            store.add_message(chat, Message.of("assistant", "Mimi."), asked.id)
            store.labels.set_tags(chat, ["pets", "名前"])


async def play_every(stage: "Stage", take: Callable[[str], None]) -> None:
    """Open every screen, one after the other; `take` takes a picture under a name."""
    for name, play in SCENES.items():
        try:
            await play(stage)
        except TimeoutError:
            name += "-NOT-REACHED"
        take(name)
        await _leave(stage)


async def _leave(stage: "Stage") -> None:
    app = stage.app
    for _ in range(8):
        if len(app.screen_stack) == 1 and app.chat.pane.prompt.has_focus:
            break
        await stage.press("escape")
    while len(app.screen_stack) > 1:
        app.pop_screen()
    app.chat.pane.prompt.set_prompt("")
    app.clear_notifications()
    await stage.press("escape")


def _keys(*keys: str, wait_s: float = 0.3) -> Play:
    async def play(stage: "Stage") -> None:
        await stage.press(*keys)
        await asyncio.sleep(wait_s)

    return play


def _command(line: str, *keys: str, wait_s: float = 0.4) -> Play:
    async def play(stage: "Stage") -> None:
        stage.app.chat.pane.prompt.set_prompt(line)
        await stage.press("enter")
        await asyncio.sleep(wait_s)
        await stage.press(*keys)
        await asyncio.sleep(wait_s)

    return play


async def _open(stage: "Stage") -> None:
    chat = stage.app.setup.store.list_conversations()[-1]
    stage.app.chat.chats.open(chat.id)
    flow = stage.app.chat.flow
    await stage.until(lambda: flow.conversation is not None)
    await asyncio.sleep(0.5)


async def _answering(stage: "Stage") -> None:
    stage.app.chat.pane.prompt.set_prompt("/words 4000\n/delay 20")
    await stage.press("enter")
    await stage.until(lambda: stage.app.chat.flow.answering.row is not None)
    stage.app.chat.pane.prompt.set_prompt("and then, 次の質問")
    await stage.press("enter")
    await asyncio.sleep(0.5)


async def _room(stage: "Stage") -> None:
    async def later() -> Offer:
        return Offer("longer", "A longer context", "16 384 tokens: 1.2 GB more, of 3.4 GB free.")

    offers = [
        Offer("summarise", "Summarise the older turns", "The model writes it, you look at it."),
        Offer("leave out", "Leave out the oldest", "12 messages; they stay in the chat."),
        Offer("longer", "A longer context", "…"),
        Offer("new chat", "A new chat", "With the message, without what was said.", is_open=False),
    ]
    facts = ["The message takes 4 096 tokens more than there is room for, 東京 🎉."]
    stage.app.push_screen(RoomForm("There is no room for the message", facts, offers, later))
    await asyncio.sleep(0.5)


async def _summary(stage: "Stage") -> None:
    async def write(*_: object) -> str:
        await asyncio.sleep(5.0)
        return "要約: a cat called Mimi 🐈, and how to feed it."

    stage.app.push_screen(SummaryForm(12, write))
    await asyncio.sleep(0.6)


SCENES: dict[str, Play] = {
    "01-welcome": _keys(),
    "02-chat": _open,
    "03-chat-top": _keys("ctrl+home"),
    "04-messages": _keys("tab"),
    "05-marked": _keys("alt+up", "alt+up"),
    "06-code": _keys("alt+k"),
    "07-editing": _keys("ctrl+e"),
    "08-find": _command("/find 東京"),
    "09-picker": _keys("/", "s"),
    "10-picker-set": _command("", *"/set t"),
    "11-prompts": _keys("alt+r"),
    "12-files": _keys("@", "R", wait_s=1.0),
    "13-list": _keys("ctrl+b"),
    "14-list-filter": _keys("ctrl+b", "e", "m"),
    "15-empty-bin": _command("/delete", "ctrl+p", *"empty", "enter"),
    "16-search": _keys("ctrl+f", "東", "京", wait_s=0.8),
    "17-rename": _keys("f2"),
    "18-tags": _command("/tag"),
    "19-help": _keys("f1"),
    "20-help-commands": _command("/help"),
    "21-help-files": _keys("f1", "tab", "tab"),
    "22-models": _keys("ctrl+o", wait_s=1.0),
    "23-memory": _keys("ctrl+o", "alt+m", wait_s=1.5),
    "24-fetch": _keys("f4"),
    "25-convert": _keys("f3"),
    "26-settings": _keys("f6"),
    "27-setting": _keys("f6", *"temp", "enter"),
    "28-long-text": _keys("f6", "enter"),
    "29-presets": _keys("f6", *"preset", "enter", wait_s=0.6),
    "30-variables": _keys("f6", *"preset", "enter", *"translate", "enter", wait_s=0.6),
    "31-save-preset": _keys("f6", "ctrl+s"),
    "32-tree": _command("/tree"),
    "33-links": _keys("tab", "l"),
    "34-run": _command("/run"),
    "35-ran": _command("/run", "enter", wait_s=1.5),
    "36-save-code": _command("/save"),
    "37-context": _command("/context", wait_s=0.8),
    "38-room": _room,
    "39-summary": _summary,
    "40-palette": _keys("ctrl+p", wait_s=0.8),
    "41-answering": _answering,
    "42-toast": _command("/nosuch"),
}


def size_of(text: str) -> tuple[int, int]:
    """`80x24` as columns and rows."""
    columns, _, rows = text.partition("x")
    return int(columns), int(rows)


def name_of(folder: Path, size: tuple[int, int], theme: str, scene: str) -> Path:
    """Where a picture goes."""
    return folder / f"{size[0]}x{size[1]}-{theme}-{scene}.svg"
