"""What streaming Markdown costs: CPU milliseconds for one append of four characters, painted.

Six shapes of text at several lengths, in our transcript and in Textual's own `Markdown`, headless
at 120x40. The cost of an idle turn of the event loop is measured first and taken off. Run
`python bench/markdown.py [--quick]`; the budget is 8 ms at any length.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.transcript import Transcript

SENTENCE = (
    "the model reads what came before and says what is likely to come next so a long answer is "
    "only many **short** guesses in `sequence` and each of them is cheap"
)
CODE = ["def add(a, b):", '    """Sum."""', "    return a + b  # plain", "", "x = add(1, 2)"]
BUDGET_MS = 8.0


def words(count: int) -> str:
    """A stretch of prose."""
    return " ".join(islice(cycle(SENTENCE.split()), count))


LINES: dict[str, Callable[[int], str]] = {
    "prose": lambda _: words(60) + ".\n\n",
    "one long paragraph": lambda _: words(12) + ". ",
    "code fence": lambda n: CODE[n % len(CODE)] + "\n",
    "bullet list": lambda n: ("  " if n % 3 else "") + f"- {words(6)}\n",
    "numbered list": lambda n: f"{n + 1}. {words(6)}\n" + ("\n" if n % 4 == 0 else ""),
    "table": lambda n: f"| {n} | {words(2)} | {words(3)} |\n",
}
OPENINGS = {"code fence": "```python\n", "table": "| n | first | second |\n|---|---|---|\n"}


def make_text(shape: str, size: int) -> str:
    """At least `size` characters of `shape`."""
    text, line = OPENINGS.get(shape, ""), 0
    while len(text) < size:
        text += LINES[shape](line)
        line += 1
    return text


class OurApp(App[None]):
    """The transcript with one streaming answer."""

    def compose(self) -> ComposeResult:
        yield Transcript()

    def begin(self, text: str, before: int) -> Callable[[str], Awaitable[None]]:
        transcript = self.query_one(Transcript)
        old = [MessageItem(n + 2, "assistant", make_text("prose", 1000)) for n in range(before)]
        transcript.show([*old, MessageItem(1, "assistant", text, "streaming")])

        so_far = text

        async def append(piece: str) -> None:
            nonlocal so_far
            so_far += piece
            transcript.write(1, so_far)
            transcript.flush()

        return append


class StockApp(App[None]):
    """Textual's own Markdown in a scroll."""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown()

    def begin(self, text: str, _before: int) -> Callable[[str], Awaitable[None]]:
        self.query_one(VerticalScroll).anchor()
        markdown = self.query_one(Markdown)
        # Appended, because after `update` it reads an open fence or list wrongly.
        started = markdown.append(text)

        async def append(piece: str) -> None:
            await started
            await markdown.append(piece)

        return append


async def measure(
    make_app: Callable[[], OurApp | StockApp], text: str, pieces: list[str], before: int = 0
) -> tuple[float, float]:
    """Median and worst CPU milliseconds for one of `pieces` appended to `text`."""
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        append = app.begin(text, before)
        await append(" ")
        await pilot.pause(0.1)
        idle = []
        for _ in range(10):
            start = time.process_time()
            await pilot.pause()
            idle.append(time.process_time() - start)
        costs = []
        for piece in pieces:
            start = time.process_time()
            await append(piece)
            await pilot.pause()
            costs.append((time.process_time() - start - statistics.median(idle)) * 1000)
    return statistics.median(costs), max(costs)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave Textual's own widget out")
    options = parser.parse_args()
    print(f"{'shape':<20}{'kB':>4}{'ours: median':>14}{'worst':>8}{'stock: median':>15}")
    over = 0
    for shape in LINES:
        for size in (1, 4, 8, 64):
            text = make_text(shape, size * 1024)
            more = make_text(shape, size * 1024 + 400)[size * 1024 :]
            text = text[: size * 1024]
            pieces = [more[n : n + 4] for n in range(0, 160, 4)]
            ours = await measure(OurApp, text, pieces)
            over += ours[0] > BUDGET_MS
            row = f"{shape:<20}{size:>4}{ours[0]:>14.1f}{ours[1]:>8.1f}"
            if not options.quick and size <= 8:
                row += f"{(await measure(StockApp, text, pieces[:5]))[0]:>15.1f}"
            print(row, flush=True)
    text = make_text("prose", 2048)
    for before in (0, 20, 150):
        ours = await measure(OurApp, text, [" abc"] * 40, before)
        print(f"prose, 2 kB, {before:>3} old messages: {ours[0]:.1f} (worst {ours[1]:.1f})")
    print("within budget" if not over else f"over budget in {over} cases")


if __name__ == "__main__":
    asyncio.run(main())
