"""What much history costs the screen: a chat of many messages, a list of many chats.

The widgets themselves in a headless Textual app of 120x40: how long it takes to open a chat, to go
to its first message and to scroll a page there, until it is laid out; how many messages have
widgets; and for how long the event loop is held while the list takes over the end of an answer.

    python -m bench.long [--messages 100000] [--chats 10000]
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from chatapp.conversation import Message
from chatapp.store import Store
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.message import MessageView
from chatapp.ui.widgets.sidebar import Sidebar
from chatapp.ui.widgets.transcript import Transcript

TEXT = "Some **text** of a message.\n\n- one\n- two\n\n```python\nx = 1\n```\n" * 3
_BEAT_S = 0.002


class Long(App[None]):
    """Both parts side by side."""

    CSS = "Screen { layout: horizontal; } Transcript { width: 1fr; }"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def compose(self) -> ComposeResult:
        """List and conversation."""
        yield Sidebar(self._store, str)
        yield Transcript()


async def laid_out(pilot: Pilot[None], act: Callable[[], object]) -> float:
    """Seconds from `act` until the app has nothing left to do."""
    started = time.perf_counter()
    act()
    await pilot.pause()
    await pilot.pause()
    return time.perf_counter() - started


async def longest_hold(work: Awaitable[None]) -> float:
    """The longest time that the event loop did not come round while `work` was done."""
    worst, task = 0.0, asyncio.ensure_future(work)
    while not task.done():
        started = time.perf_counter()
        await asyncio.sleep(_BEAT_S)
        worst = max(worst, time.perf_counter() - started - _BEAT_S)
    return worst


async def time_messages(pilot: Pilot[None], count: int) -> None:
    """A chat of `count` messages."""
    app = pilot.app
    transcript = app.query_one(Transcript)
    items = [MessageItem(n, "assistant" if n % 2 else "user", TEXT) for n in range(count)]
    steps: dict[str, Callable[[], object]] = {
        "open": lambda: transcript.show(items),
        "to the first": lambda: transcript.reveal(0),
        "a page there": lambda: transcript.scroll_page_down(animate=False),
        "to the middle": lambda: transcript.reveal(count // 2),
        "to the end": transcript.go_to_end,
    }
    took = [f"{name} {await laid_out(pilot, act) * 1000:.0f} ms" for name, act in steps.items()]
    print(f"{count:>7} messages: {', '.join(took)}; {len(app.query(MessageView))} widgets")


async def time_chats(pilot: Pilot[None], store: Store, count: int) -> None:
    """A list that `count` chats were paged into, at the end of an answer in the oldest."""
    sidebar = pilot.app.query_one(Sidebar)
    sidebar.show_open(None)
    while len(sidebar.chats.rows) < count:
        await pilot.pause(0.02)
        sidebar.chats.action_last()
    oldest = sidebar.chats.rows[-1].id

    async def take_over() -> None:
        await asyncio.to_thread(store.add_message, oldest, Message.of("user", "again"), None)
        sidebar.show_open(oldest)
        await asyncio.sleep(1.0)
        assert sidebar.chats.rows[0].id == oldest

    held = await longest_hold(take_over())
    print(f"{count:>7} chats: the event loop is held for at most {held * 1000:.1f} ms")


async def measure(messages: int, chats: int) -> None:
    """Measure and print."""
    with Store.in_memory() as store:
        for number in range(chats):
            store.create_conversation(f"chat number {number} about things")
        async with Long(store).run_test(size=(120, 40)) as pilot:
            for count in (1000, messages):
                await time_messages(pilot, count)
            await time_chats(pilot, store, chats)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--chats", type=int, default=10_000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.messages, arguments.chats))


if __name__ == "__main__":
    main()
