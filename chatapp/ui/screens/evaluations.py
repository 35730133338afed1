"""What was measured: a list, one of them in full, and two side by side.

Space marks one; the one under the cursor is then compared with it, in a thread, since a thousand
draws take a moment.
"""

import asyncio
from datetime import UTC, datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chatapp.errors import ChatAppError
from chatapp.evaluate.wording import compare_rows, describe, name_model, name_subject, summarise
from chatapp.store import Store
from chatapp.store.evaluations import EvaluationRow
from chatapp.ui.wording import clean_line, explain

_MOST = 500
_KEYS = "Space marks one to compare with · ←→ scroll the text · Esc closes"
_KEYS_MARKED = "● is compared with the one under the cursor · Esc takes the mark away"


class EvaluationsScreen(ModalScreen[None]):
    """Dismissed with nothing: it shows what there is."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark"),
        Binding("left", "scroll_text(-1)", "Text up"),
        Binding("right", "scroll_text(1)", "Text down"),
        Binding("escape,q", "leave", "Close"),
    ]
    AUTO_FOCUS = "#evaluation-list"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._rows: list[EvaluationRow] = []
        self._marked: EvaluationRow | None = None

    def compose(self) -> ComposeResult:
        """The list, and below it what is known of the one under the cursor."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Evaluations"
            dialog.border_subtitle = _KEYS
            yield OptionList(id="evaluation-list", markup=False)
            with VerticalScroll(id="evaluation-scroll", can_focus=False):
                yield Static("", id="evaluation-text", markup=False)

    async def on_mount(self) -> None:
        """Read the evaluations that are kept, and show them."""
        try:
            self._rows = await asyncio.to_thread(self._store.evaluations.find, _MOST)
        except ChatAppError as error:
            self._tell(Content(explain(error)))
            return
        self._fill(0)
        if not self._rows:
            self._tell(
                Content("Nothing was measured yet. In a shell: chatapp eval tasks MODEL translate")
            )

    def action_mark(self) -> None:
        """Mark the one under the cursor as the one that others are compared with, or no longer."""
        row = self._under_cursor()
        if row is None:
            self.app.bell()
            return
        self._marked = None if row == self._marked else row
        self._fill(self._rows.index(row))

    def action_leave(self) -> None:
        """Take the mark away; without one, close."""
        if self._marked is None:
            self.dismiss(None)
            return
        row, self._marked = self._under_cursor(), None
        self._fill(self._rows.index(row) if row else 0)

    def action_scroll_text(self, step: int) -> None:
        """Show what of the text below does not fit."""
        self.query_one(VerticalScroll).scroll_relative(y=5 * step, animate=False)

    @on(OptionList.OptionHighlighted)
    def _follow(self) -> None:
        row, marked = self._under_cursor(), self._marked
        if row is None:
            return
        if marked is None or row == marked:
            self._tell(_describe(row))
        else:
            self._tell(Content("Comparing …"))
            self._compare(marked, row)

    @on(OptionList.OptionSelected)
    def _choose(self) -> None:
        self.action_mark()

    @work(exclusive=True)
    async def _compare(self, a: EvaluationRow, b: EvaluationRow) -> None:
        said = await asyncio.to_thread(compare_rows, a, b)
        heads = [
            Content.assemble(
                (f"{label}  ", "bold"), clean_line(f"{name_model(row)}, {name_subject(row)}")
            )
            for label, row in (("A", a), ("B", b))
        ]
        self._tell(Content("\n").join([*heads, *(Content(clean_line(line)) for line in said)]))

    def _under_cursor(self) -> EvaluationRow | None:
        place = self.query_one(OptionList).highlighted
        return self._rows[place] if place is not None and place < len(self._rows) else None

    def _fill(self, place: int) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._entry(row)) for row in self._rows])
        options.highlighted = place if self._rows else None
        self.query_one("#dialog").border_subtitle = _KEYS if self._marked is None else _KEYS_MARKED

    def _entry(self, row: EvaluationRow) -> Content:
        mark = "● " if row == self._marked else "  "
        when = datetime.fromtimestamp(row.created_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        facts = f"{row.id} · {row.kind} · {name_subject(row)} · {when}"
        return Content.assemble(
            mark,
            (clean_line(summarise(row.results)), "bold"),
            f"  {clean_line(name_model(row))}\n",
            (f"  {clean_line(facts)}", "dim"),
        )

    def _tell(self, text: Content) -> None:
        self.query_one("#evaluation-text", Static).update(text)
        self.query_one(VerticalScroll).scroll_home(animate=False)


def _describe(row: EvaluationRow) -> Content:
    rows = [(clean_line(name), clean_line(said)) for name, said in describe(row)]
    width = max(len(name) for name, _ in rows)
    return Content("\n").join(
        Content.assemble((f"{name:<{width}}  ", "dim"), said) for name, said in rows
    )
