"""Code out of an answer: shown, asked about, run, and what came of it. Nothing runs unasked."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp.errors import ChatAppError
from chatapp.running.run import CodeRun, End, Outcome
from chatapp.ui.wording import clean_line, count_lines, explain

_MOST = 20_000
"""Characters of code and of output that are drawn."""

_WAYS = "Enter runs it · Esc closes"
_WAYS_RUNNING = "Esc stops it"
_WAYS_ENDED = "C copies the output · Q quotes it in the prompt · Esc closes"


class RunScreen(ModalScreen[str | None]):
    """Dismissed with the output that is to be quoted, or None."""

    CSS_PATH = "reading.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Close"),
        Binding("enter", "run", "Run"),
        Binding("c", "copy", "Copy"),
        Binding("q", "quote", "Quote"),
    ]
    AUTO_FOCUS = "#run-scroll"

    def __init__(self, run: CodeRun, words: str, *, copy: Callable[[str, str], object]) -> None:
        """`words`: what the code is called in a sentence."""
        super().__init__()
        self._code = run
        self._words = words
        self._copy = copy
        self._state: Outcome | CodeRun | None = None
        """Nothing has run; it runs; how it ended."""

    @property
    def busy(self) -> bool:
        """Whether the code runs."""
        return isinstance(self._state, CodeRun)

    def compose(self) -> ComposeResult:
        """What would be done, with what, and what comes of it."""
        run = self._code
        command = " ".join(clean_line(word) for word in run.program.command)
        with Vertical(id="reading-dialog") as dialog:
            dialog.border_title = f"Run {self._words}?"
            dialog.border_subtitle = _WAYS
            facts = (
                f"{run.program.language}, {count_lines(run.code)}: {command}\n"
                f"in {run.folder}, for {run.limit_s:g} s at most. "
                "It may do whatever you may do here: read it first."
            )
            with VerticalScroll(id="run-scroll"):
                yield Static(facts, id="run-facts", markup=False)
                yield Static(_shown(run.code), id="run-text", markup=False)
            yield Static("", id="run-note", markup=False)

    def action_run(self) -> None:
        """Run it, once."""
        if self._state is None:
            self._state = self._code
            self._describe("Running…", _WAYS_RUNNING)
            self.query_one("#run-facts", Static).display = False
            self.query_one("#run-text", Static).update("")
            self.run_worker(self._work(), group="run")

    async def _work(self) -> None:
        try:
            self._state = await self._code.run(self._show_output)
        except ChatAppError as error:
            self._state = Outcome(End.STOPPED, 1, 0.0)
            self._describe(explain(error), _WAYS_ENDED)
            return
        self._show_output()
        left = self._code.left
        note = describe(self._state, self._code.limit_s)
        if left:
            names = ", ".join(clean_line(name) for name in left[:5])
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            note += f" It wrote {names}{more}, in {self._code.folder}: gone when this is closed."
        self._describe(note, _WAYS_ENDED)

    def _show_output(self) -> None:
        if self.is_attached:
            self.query_one("#run-text", Static).update(_shown(self._code.output, end=True))
            self.query_one("#run-scroll", VerticalScroll).scroll_end(animate=False)

    def _describe(self, note: str, ways: str) -> None:
        if self.is_attached:
            dialog = self.query_one("#reading-dialog", Vertical)
            dialog.border_title = self._words[:1].upper() + self._words[1:]
            dialog.border_subtitle = ways
            self.query_one("#run-note", Static).update(note)

    def action_back(self) -> None:
        """Stop it if it runs, else close."""
        if self.busy:
            self._code.stop()
        else:
            self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the output."""
        if isinstance(self._state, Outcome):
            self._copy(self._code.output, "the output")

    def action_quote(self) -> None:
        """Put the output into the prompt."""
        if isinstance(self._state, Outcome):
            self.dismiss(self._code.output or None)

    def on_unmount(self) -> None:
        """However it is left, nothing runs on and nothing is left."""
        self._code.close()


def describe(outcome: Outcome, limit_s: float) -> str:
    """How it ended, in a sentence."""
    match outcome.end:
        case End.TIME:
            return f"Stopped after {limit_s:g} s, the limit ([ui] run_seconds)."
        case End.OUTPUT:
            return "Stopped: more output than 64 kB."
        case End.STOPPED:
            return "Stopped."
    if outcome.status > 128:
        return f"Ended by signal {outcome.status - 128} after {outcome.seconds:.1f} s."
    how = "Done" if outcome.status == 0 else f"Ended with status {outcome.status}"
    return f"{how} after {outcome.seconds:.1f} s."


def _shown(text: str, *, end: bool = False) -> str:
    shown = text.expandtabs(4).rstrip("\n")
    if len(shown) <= _MOST:
        return shown
    return "… " + shown[-_MOST:] if end else shown[:_MOST] + " …"
