"""Find a model and fetch it: three suggestions for this machine, one that needs no hub, a search.

Enter on a repository shows its quantisations with the recommended one chosen; Enter again fetches.
No request is made before the first Enter. Once the hub has not answered, what needs none comes
first.
"""

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chatapp.engine.probe import look_at_machine
from chatapp.errors import ChatAppError, HubSilentError
from chatapp.gguf.fit import Machine, guess_size, rough_mark
from chatapp.gguf.size import size_text
from chatapp.library.offers import Offer, Repository, Spec, choose, parse_spec
from chatapp.library.packages import PackagedModel, find_packaged
from chatapp.library.suggestions import WITHOUT_HUB, suggest
from chatapp.ui.fetches import Fetch, Fetches
from chatapp.ui.wording import clean_line, describe_machine

_TICK_S = 0.3


class FetchScreen(ModalScreen[None]):
    """Dismissed when a download begins, or by Esc."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f4", "back", "Back", priority=True),
        Binding("down", "move(1)", "Next", show=False),
        Binding("up", "move(-1)", "Previous", show=False),
    ]
    AUTO_FOCUS = "#fetch-input"

    def __init__(self, fetches: Fetches, *, offline: bool) -> None:
        super().__init__()
        self._offline = offline
        self._fetches = fetches
        self._machine: Machine | None = None
        self._rows: list[str | Offer | Fetch] = []
        """What the options stand for; a text is a repository."""
        self._repository: Repository | None = None
        self._at_start = True
        """The suggestions are shown, not what was looked for."""
        self._silent = False
        """The hub did not answer."""

    def compose(self) -> ComposeResult:
        """Field, list, what is going on."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Fetch a model"
            dialog.border_subtitle = "Enter chooses · Esc goes back"
            yield Input(placeholder="Search the hub, or owner/name", id="fetch-input", compact=True)
            yield OptionList(id="fetch-list", markup=False)
            yield Static("", id="dialog-note", markup=False)

    def on_mount(self) -> None:
        """Suggestions, once the machine is known."""
        self._suggest()
        self.set_interval(_TICK_S, self._tick)

    @work(exclusive=True)
    async def _suggest(self, trouble: str = "") -> None:
        if self._machine is None:
            self._note("Looking at this machine…")
            self._machine = await asyncio.to_thread(look_at_machine)
        self._repository = None
        rows: list[tuple[str | Offer | Fetch, Content]] = [
            (fetch, self._fetch_entry(fetch)) for fetch in self._fetches.all
        ]
        hub = suggest(self._machine)
        suggested = [WITHOUT_HUB, *hub] if self._silent else [*hub, WITHOUT_HUB]
        for one in [] if self._offline else suggested:
            facts = (f"about {size_text(one.size_bytes)}", self._mark(one.size_bytes), one.licence)
            rows.append((one.repo, _entry(one.repo, facts, one.about)))
        self._fill(rows, 0)
        self._at_start = True
        if self._offline:
            self._note("Offline: nothing can be fetched. Ctrl+O shows what is on this machine.")
            return
        told = trouble or describe_machine(self._machine)
        what = "Enter fetches" if self._silent else "Enter asks the hub for"
        self._note(f"{told} {what} the one marked.")

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        options = self.query_one(OptionList)
        if event.value.strip():
            text = event.value.strip()
            if packaged := find_packaged(text):
                self._start(packaged)
            elif "/" in text:
                self._look_into(text)
            else:
                self._search(text)
        elif options.highlighted is not None:
            self._choose(options.highlighted)

    @on(OptionList.OptionSelected)
    def _select(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)

    def _choose(self, index: int) -> None:
        row = self._rows[index] if index < len(self._rows) else None
        if isinstance(row, Fetch):
            self._rows[index] = self._fetches.toggle(row)
        elif isinstance(row, str):
            packaged = find_packaged(row)
            if packaged is None:
                self._look_into(row)
            else:
                self._start(packaged)
        elif row is not None and self._repository is not None:
            self._fetches.start(self._repository, row)
            self.dismiss(None)

    def _start(self, packaged: PackagedModel) -> None:
        """Nothing has to be asked first: all is known of it."""
        self._fetches.start(packaged.repository, packaged.offer)
        self.dismiss(None)

    def _fail(self, error: ChatAppError) -> None:
        """Say why nothing is shown; where the hub is silent, offer what comes without it."""
        self._note(clean_line(str(error)))
        if isinstance(error, HubSilentError) and not self._silent and not self._offline:
            self._silent = True
            if self._at_start:
                self._suggest(clean_line(error.message))

    @work(exclusive=True)
    async def _search(self, words: str) -> None:
        self._note(f"Searching for {words}…")
        try:
            from chatapp.library.hub import Hub

            found = await asyncio.to_thread(lambda: Hub().search(words))
        except ChatAppError as error:
            self._fail(error)
            return
        rows: list[tuple[str | Offer | Fetch, Content]] = []
        for one in found:
            n_bytes = guess_size(one.n_params)
            facts = [f"about {size_text(n_bytes)}", self._mark(n_bytes)] if n_bytes else []
            facts += [one.licence, "gated" if one.gated else "", f"{one.downloads:,} downloads"]
            rows.append((one.id, _entry(one.id, facts)))
        self._fill(rows, 0)
        self._at_start, self._repository = False, None
        if found:  # words that found nothing are there to be changed
            self.query_one(Input).clear()
        self._note(
            f"{len(found)} found."
            if found
            else f"Nothing was found for {words}. Fewer words find more."
        )

    @work(exclusive=True)
    async def _look_into(self, text: str) -> None:
        self._note(f"Asking for {clean_line(text)}…")
        try:
            from chatapp.library.hub import Hub

            spec = parse_spec(text)
            found = await asyncio.to_thread(lambda: Hub().look_into(spec.repo))
            best = choose(found, Spec(found.id, spec.quant, spec.file), self._machine)
        except ChatAppError as error:
            self._fail(error)
            return
        self._repository, self._at_start = found, False
        self.query_one(Input).clear()
        rows: list[tuple[str | Offer | Fetch, Content]] = []
        for offer in found.offers:
            facts = [size_text(offer.size_bytes), self._mark(offer.size_bytes)]
            rows.append((offer, _entry(offer.name, facts, "recommended" * (offer is best))))
        self._fill(rows, found.offers.index(best))
        gate = " Gated: its licence must be accepted on the hub." if found.gated else ""
        licence = clean_line(found.licence) or "not said"
        self._note(f"{clean_line(found.id)} · licence: {licence}.{gate} Enter fetches.")

    def action_back(self) -> None:
        """From a repository or a search to the suggestions, from these to the chat."""
        if self._at_start:
            self.dismiss(None)
        else:
            self._suggest()

    def action_move(self, step: int) -> None:
        """Move in the list while the field keeps the focus."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def _tick(self) -> None:
        options = self.query_one(OptionList)
        for index, row in enumerate(self._rows):
            if isinstance(row, Fetch):
                options.replace_option_prompt_at_index(index, self._fetch_entry(row))

    def _fill(self, rows: list[tuple[str | Offer | Fetch, Content]], chosen: int) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        self._rows = [row for row, _ in rows]
        options.add_options(Option(entry) for _, entry in rows)
        options.highlighted = chosen if rows else None

    def _fetch_entry(self, fetch: Fetch) -> Content:
        what = "Enter pauses" if fetch.running else "Enter goes on"
        if fetch.done:
            what = "It is here: Ctrl+O shows it"
        return Content.assemble((fetch.text, "bold"), (f"\n  {what}", "dim"))

    def _mark(self, n_bytes: int) -> str:
        return rough_mark(n_bytes, self._machine)

    def _note(self, text: str) -> None:
        self.query_one("#dialog-note", Static).update(text)


def _entry(name: str, facts: list[str] | tuple[str, ...], more: str = "") -> Content:
    text = " · ".join(clean_line(fact) for fact in facts if fact)
    head = f"  {clean_line(more)}" if more else ""
    return Content.assemble((clean_line(name), "bold"), (f"{head}\n  {text}", "dim"))
