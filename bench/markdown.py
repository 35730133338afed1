"""What streaming Markdown costs: CPU milliseconds for one append of four characters, painted.

Many shapes of text at 8 and 32 kB (with `--all` at 1, 4 and 64 kB too), in our transcript, and for
some in Textual's own `Markdown`, headless at 120x40, each in a process of its own. The cost of an
idle turn of the event loop is measured first and taken off. 400 appends each, lines and blocks
begin and end among them; for code, so does the fence. Reported: median and worst. CPU time is
taken, but a busy machine makes that dearer too (caches, clock), so `--tries` repeats a shape and
takes the middle one of the worst.

    python -m bench.markdown [--quick] [--all] [--tries 3] [--shape NAME ...]
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from chatapp.ui import garbage
from chatapp.ui.widgets import transcript as transcripts
from chatapp.ui.widgets.item import MessageItem
from chatapp.ui.widgets.transcript import Transcript

SENTENCE = (
    "the model reads what came before and says what is likely to come next so a long answer is "
    "only many **short** guesses in `sequence` and each of them is cheap"
)
PYTHON = [
    "def add(a, b):", '    """Sum', '    of two."""', "    return a + b  # plain", "",
    "x = add(1, 2)",
]  # fmt: skip
C = ["/* A block", " * comment. */", "static int add(int a, int b) {", "    return a + b;", "}"]
HTML = ['<div class="row">', "  <!-- a note -->", "  <p>Some <b>bold</b> text</p>", "</div>"]
SHELL = ["for file in *.txt; do", '  echo "$file: $(wc -l < "$file")"', "done"]
BUDGET_MS = 8.0
WORST_MS = 25.0
APPENDS = 400


def words(count: int) -> str:
    """A stretch of prose."""
    return " ".join(islice(cycle(SENTENCE.split()), count))


def nested(n: int) -> str:
    """An item of a list in lists."""
    return "  " * (n % 4) + f"- {words(6)}\n"


def mixed(n: int) -> str:
    """A bit of everything."""
    kinds = (
        f"## {words(4)}\n\n{words(40)}.\n\n",
        "".join(nested(at) for at in range(6)) + "\n",
        "```python\n" + "\n".join(PYTHON * 3) + "\n```\n\n",
        "| a | b |\n|---|---|\n" + f"| {words(3)} | {words(5)} |\n" * 4 + "\n",
        f"> {words(30)}\n\n$$\nx_{n} = \\frac{{a}}{{b}}\n$$\n\n",
    )
    return kinds[n % len(kinds)]


LINES: dict[str, Callable[[int], str]] = {
    "prose": lambda _: words(60) + ".\n\n",
    "one long paragraph": lambda _: words(12) + ". ",
    "python fence": lambda n: PYTHON[n % len(PYTHON)] + "\n",
    "c fence": lambda n: C[n % len(C)] + "\n",
    "html fence": lambda n: HTML[n % len(HTML)] + "\n",
    "shell fence": lambda n: SHELL[n % len(SHELL)] + "\n",
    "plain fence": lambda n: f"{n:>6} {words(9)}\n",
    "bullet list": lambda n: ("  " if n % 3 else "") + f"- {words(6)}\n",
    "numbered list": lambda n: f"{n + 1}. {words(6)}\n" + ("\n" if n % 4 == 0 else ""),
    "nested lists": nested,
    "table": lambda n: f"| {n} | {words(2)} | {words(3)} |\n",
    "wide table": lambda n: "|" + "|".join(f" cell {n} of {c} " for c in range(20)) + "|\n",
    "quote": lambda n: f"> {words(30)}\n" + (">\n" if n % 3 == 0 else ""),
    "maths": lambda n: (
        f"With \\( x_{n} \\) and $y^2$ we have\n\n\\[\n\\sum_{{i=1}}^{{{n}}} \\frac{{a_i}}{{2}}"
        " \\leq \\sqrt{x}\n\\]\n\n"
    ),
    "mixed": mixed,
    "Chinese": lambda _: (
        "模型读取之前的内容，并说出接下来可能出现的内容，所以很长的回答只是许多**短**猜测。" * 2
        + "\n\n"
    ),
    "emoji": lambda n: f"- 👩‍👩‍👧 family 🇳🇱 {words(5)} ❤️ ✔️ 🧪\n" + ("\n" if n % 5 == 0 else ""),
}
OPENINGS = {
    "python fence": "```python\n", "c fence": "```c\n", "html fence": "```html\n",
    "shell fence": "```sh\n", "plain fence": "```\n",
    "table": "| n | first | second |\n|---|---|---|\n",
    "wide table": "|" + "|".join(f" column {c} " for c in range(20)) + "|\n|" + "---|" * 20 + "\n",
}  # fmt: skip


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
        garbage.spare_what_is_loaded()

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
        for _ in range(2 + len(text) // 16_384):  # a long text is read in slices
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


def measure_shape(shape: str, size: int, *, stock: bool) -> tuple[float, float]:
    """`measure` for `APPENDS` appends to `size` characters of a shape (5 for Textual's own)."""
    text = make_text(shape, size + 4 * APPENDS)[: size + 4 * APPENDS]
    text, more = text[:size], text[size:]
    if shape.endswith("fence"):
        more = more[:-200] + "\n```\n" + words(40)
    pieces = [more[n : n + 4] for n in range(0, len(more), 4)]
    transcripts.FLUSH_S = 3_600.0  # only an append draws, however long it takes here
    app: Callable[[], OurApp | StockApp] = StockApp if stock else OurApp
    return asyncio.run(measure(app, text, pieces[:5] if stock else pieces))


def in_child(shape: str, size: int, *, stock: bool = False) -> tuple[float, float]:
    """`measure_shape` in a process of its own, so that no app before it is still in memory."""
    command = [sys.executable, "-m", "bench.markdown", "--child", shape, str(size)]
    done = subprocess.run(
        [*command, *(["--stock"] if stock else [])], check=True, capture_output=True, text=True
    )
    middle, worst = done.stdout.split()
    return float(middle), float(worst)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave Textual's own widget out")
    parser.add_argument("--all", action="store_true", help="1, 4 and 64 kB too")
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--shape", nargs="*", choices=list(LINES))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--stock", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(*measure_shape(options.child[0], int(options.child[1]), stock=options.stock))
        return
    print(f"{'shape':<20}{'kB':>4}{'ours: median':>14}{'worst':>8}{'stock: median':>15}")
    over = []
    for shape in options.shape or LINES:
        for size in (1, 4, 8, 32, 64) if options.all else (8, 32):
            tries = [in_child(shape, size * 1024) for _ in range(options.tries)]
            middle, worst = (statistics.median(figures) for figures in zip(*tries, strict=True))
            if middle > BUDGET_MS or worst > WORST_MS:
                over.append(f"{shape} at {size} kB")
            row = f"{shape:<20}{size:>4}{middle:>14.1f}{worst:>8.1f}"
            if not options.quick and size == 8:
                row += f"{in_child(shape, size * 1024, stock=True)[0]:>15.1f}"
            print(row, flush=True)
    text = make_text("prose", 2048)
    for before in (0, 20, 150):
        ours = asyncio.run(measure(OurApp, text, [" abc"] * 40, before))
        print(f"prose, 2 kB, {before:>3} old messages: {ours[0]:.1f} (worst {ours[1]:.1f})")
    print(f"over budget: {', '.join(over)}" if over else "within budget")


if __name__ == "__main__":
    main()
