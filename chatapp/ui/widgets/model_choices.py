"""The first run's panel: what this machine has, models already on it, three that suit it, and one
that needs no hub.

It never takes the focus: arrows and Enter reach it while the prompt is empty, so that one can write
at any moment. Nothing is asked of the network before Enter on a suggestion; that shows exactly what
would come, and Enter again fetches it. Of the one that needs no hub all is known: one Enter fetches
it, and it comes first when the hub does not answer and no model is here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from chatapp.errors import ChatAppError, HubSilentError
from chatapp.gguf.size import size_text
from chatapp.paths import Paths
from chatapp.ui.wording import clean_line, describe_machine

if TYPE_CHECKING:  # imported where they are used: the first paint is not held up by them
    from chatapp.gguf.fit import Machine
    from chatapp.library.offers import Offer, Repository
    from chatapp.library.suggestions import Suggestion

_FROM_INDEX = "To fetch through pip or uv, without the hub"
_HOW = (
    "↑ ↓ and Enter choose; before that, nothing is asked of the network. Or just write: the "
    "built-in model answers."
)


class ModelChoices(Vertical, can_focus=False):
    """Hidden until `begin`."""

    DEFAULT_CSS = """
    ModelChoices { display: none; height: auto; max-width: 76; margin-top: 1; }
    ModelChoices > OptionList {
        height: auto; max-height: 12; border: none; padding: 0; background: $background;
        scrollbar-size-vertical: 1;
    }
    ModelChoices > Static { height: auto; color: $foreground 70%; }
    ModelChoices > #choices-note { margin-top: 1; }
    """

    @dataclass
    class ModelChosen(Message):
        """A model that is here is to be loaded."""

        path: Path

    @dataclass
    class FetchChosen(Message):
        """A model is to be fetched."""

        repository: Repository
        offer: Offer

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Suggestion | Path | None] = []
        """What the options stand for; None is a heading."""
        self._here: list[tuple[Suggestion | Path | None, Content]] = []
        self._from_hub: list[tuple[Suggestion | Path | None, Content]] = []
        self._from_index: list[tuple[Suggestion | Path | None, Content]] = []
        self._machine: Machine | None = None
        self._found: tuple[Suggestion, Repository, Offer] | None = None
        """What Enter fetches, once the hub has said what there is."""
        self._fetching = False
        self._wanted = False

    def compose(self) -> ComposeResult:
        """The machine, the choices, what Enter does."""
        yield Static("", id="choices-machine", markup=False)
        choices = OptionList(id="choices", markup=False, compact=True)
        choices.can_focus = False
        yield choices
        yield Static("", id="choices-note", markup=False)

    @property
    def _options(self) -> OptionList:
        return self.query_one(OptionList)

    def begin(self, paths: Paths, folders: Sequence[str], *, offline: bool) -> None:
        """Look around, beside everything else, and show what was found."""
        self._wanted = True
        if self._rows:
            self._fetching, self._found = False, None
            self._note(_HOW)
            self.display = True
        else:
            self._gather(paths, folders, offline=offline)

    def hide(self) -> None:
        """Another model is there, or about to be."""
        self._wanted = self.display = False

    @work(exclusive=True)
    async def _gather(self, paths: Paths, folders: Sequence[str], *, offline: bool) -> None:
        from chatapp.engine.probe import look_at_machine
        from chatapp.library.suggestions import WITHOUT_HUB, find_here, suggest

        self._machine = await asyncio.to_thread(look_at_machine)
        here = await asyncio.to_thread(find_here, paths, folders, self._machine)
        self._here = [
            (one.file.path, _entry(one.name, (size_text(one.file.size_bytes), one.mark)))
            for one in here
        ]
        if not offline:
            self._from_hub = [(one, self._suggestion(one)) for one in suggest(self._machine)]
            self._from_index = [(WITHOUT_HUB, self._suggestion(WITHOUT_HUB))]
        self._fill(hub_first=not os.environ.get("HF_HUB_OFFLINE", "0").strip("0"))
        self._say("#choices-machine", describe_machine(self._machine))
        offline_note = f"Offline: put a .gguf file into {paths.models}, and Ctrl+O shows it."
        self._note(_HOW if self._rows else offline_note)
        self.display = self._wanted
        self._show_end()

    def _fill(self, *, hub_first: bool) -> None:
        """Show what there is to choose from, the first one marked."""
        groups = [("To fetch from the hub", self._from_hub), (_FROM_INDEX, self._from_index)]
        rows: list[tuple[Suggestion | Path | None, Content]] = []
        for title, entries in [
            ("Already on this machine", self._here),
            *(groups if hub_first else reversed(groups)),
        ]:
            if entries:
                rows += [(None, Content.styled(title, "bold")), *entries]
        self._rows = [row for row, _ in rows]
        self._options.clear_options()
        self._options.add_options(Option(text, disabled=row is None) for row, text in rows)
        self._options.highlighted = 1 if rows else None

    def _suggestion(self, one: Suggestion) -> Content:
        from chatapp.gguf.fit import rough_mark
        from chatapp.library.packages import find_packaged

        packaged = find_packaged(one.repo)
        name = packaged.title if packaged else one.repo.partition("/")[2].removesuffix("-GGUF")
        mark = rough_mark(one.size_bytes, self._machine)
        licence = one.licence if packaged else ""
        return _entry(name, (size_text(one.size_bytes), mark, licence, one.about))

    def step(self, step: int) -> None:
        """To the next choice, or the one before."""
        if not self.display or self._fetching:
            return
        if step > 0:
            self._options.action_cursor_down()
        else:
            self._options.action_cursor_up()
        self._show_end()

    @on(OptionList.OptionHighlighted)
    def _forget(self) -> None:
        if self._found is not None and self._found[0] is not self._chosen:
            self._found = None
            self._note("Enter asks the hub what there is.")

    @on(OptionList.OptionSelected)
    def _click(self) -> None:
        self.choose()

    @property
    def _chosen(self) -> Suggestion | Path | None:
        index = self._options.highlighted
        return self._rows[index] if index is not None and index < len(self._rows) else None

    @property
    def _is_packaged(self) -> bool:
        """What is highlighted needs no hub."""
        return any(self._chosen is row for row, _ in self._from_index)

    def choose(self) -> None:
        """Load the highlighted model, or ask the hub for it, or fetch what the hub has said."""
        # called by an ancestor: a message that is made in its handler would not rise above it
        self.call_next(self._choose)

    def _choose(self) -> None:
        from chatapp.library.packages import find_packaged

        row = self._chosen
        if not self.display or self._fetching or row is None:
            return
        if isinstance(row, Path):
            self._note("Loading it…")
            self.post_message(self.ModelChosen(row))
        elif self._found is not None:
            _, repository, offer = self._found
            self._fetching, self._found = True, None
            self.post_message(self.FetchChosen(repository, offer))
        elif packaged := find_packaged(row.repo):
            self._fetching = True
            self.post_message(self.FetchChosen(packaged.repository, packaged.offer))
        else:
            self._ask(row)

    @work(exclusive=True)
    async def _ask(self, row: Suggestion) -> None:
        from chatapp.library.offers import Spec, choose

        self._note(f"Asking the hub for {row.repo}…")
        try:
            from chatapp.library.hub import Hub

            repository = await asyncio.to_thread(lambda: Hub().look_into(row.repo))
            offer = choose(repository, Spec(repository.id), self._machine)
        except HubSilentError as error:
            self._do_without_hub(error)
            return
        except ChatAppError as error:
            self._note(clean_line(str(error)))
            return
        if row is not self._chosen:
            return
        self._found = (row, repository, offer)
        gate = " It is gated: accept its licence on the hub first." if repository.gated else ""
        facts = f"{clean_line(offer.name)}, {size_text(offer.size_bytes)}"
        licence = clean_line(repository.licence) or "not said"
        self._note(
            f"{clean_line(repository.id)}: {facts}, licence {licence}.{gate} Enter fetches it."
        )

    def _do_without_hub(self, error: HubSilentError) -> None:
        """Offer what comes without it, first if no model is here."""
        if not self._here:
            self._fill(hub_first=False)
            self._note(f"{clean_line(error.message)} Enter fetches the one that needs no hub.")
        else:
            self._note(clean_line(str(error)))

    def forget(self) -> None:
        """Esc: what the hub said is not fetched."""
        if self._found is not None:
            self._found = None
            self._note(_HOW)

    def show_progress(self, text: str, *, waits: bool) -> None:
        """How far the download is, and whether messages wait for it."""
        if not self.display:
            return
        self._fetching = waits
        more = "your message waits for it" if waits else "the built-in model answers until then"
        self._note(f"{text}\nYou can write already: {more}. F4 pauses.")

    def end_progress(self, error: ChatAppError | None) -> None:
        """The download was paused, or has failed."""
        if self._fetching:
            self._fetching = False
            again = "Enter begins again." if self._is_packaged else "Enter asks, and goes on."
            self._note(clean_line(str(error)) if error else f"Paused. {again}")

    def _note(self, text: str) -> None:
        self._say("#choices-note", text)
        self._show_end()

    def _show_end(self) -> None:
        """On a small terminal, what one chooses from is what has to be seen."""
        if isinstance(self.parent, VerticalScroll):
            self.call_after_refresh(self.parent.scroll_end, animate=False)

    def _say(self, selector: str, text: str) -> None:
        self.query_one(selector, Static).update(text)


def _entry(name: str, facts: Sequence[str]) -> Content:
    text = " · ".join(clean_line(fact) for fact in facts if fact)
    return Content.assemble("  ", clean_line(name), (f"  {text}", "dim"))
