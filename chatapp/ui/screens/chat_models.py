"""What the chat screen does with models: choose, plan, convert, fetch, load, and the first run.

A model that was chosen is the one chatapp opens with from then on. A message that is written while
a model is fetched on the first run waits for it, unless the built-in model is asked to answer.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from chatapp.errors import ChatAppError
from chatapp.library.local import BUILTIN_NAMES
from chatapp.paths import BUILTIN_MODEL, spell_path
from chatapp.ui.chat_status import ChatStatus
from chatapp.ui.fetches import Fetch, FetchEnded, Fetches, FetchMoved
from chatapp.ui.messages import AnswerEnded, ModelFailed, ModelReady, Notice, Problem
from chatapp.ui.model_host import ModelHost
from chatapp.ui.screens.chat_list import ChatListScreen
from chatapp.ui.setup import ChatSetup
from chatapp.ui.widgets.model_choices import ModelChoices
from chatapp.ui.widgets.prompt import PromptBox
from chatapp.ui.widgets.welcome import Welcome, gather_facts
from chatapp.ui.wording import clean_line, explain

if TYPE_CHECKING:  # screens are loaded when they are opened
    from chatapp.ui.screens.plan import Choice


class ChatModelsScreen(ChatListScreen):
    """Models, beside the conversations."""

    fetches: Fetches
    host: ModelHost
    status: ChatStatus

    def __init__(self, setup: ChatSetup) -> None:
        super().__init__(setup)
        self._awaited: Fetch | None = None
        """The download that messages wait for."""
        self._first: tuple[str, str] | None = None
        """Repository and offer that were chosen in the first run, unless messages need not wait."""
        self._has_chosen = bool(setup.config.engine.model)
        self._chosen_at = 0.0
        """When a model was chosen last: a download that began before does not replace it."""
        self._next: Path | None = None
        """A model that is loaded when the answer has ended."""

    @abstractmethod
    def show_status(self) -> None:
        """Draw the status line and the hints."""

    @abstractmethod
    def show_status_soon(self) -> None:
        """The same, a few times a second at most."""

    # Choosing

    def action_models(self) -> None:
        """Choose a model file."""
        self.choose_model()

    def choose_model(self, note: str = "") -> None:
        """Open the list of models, with what is to be known first."""
        from chatapp.ui.screens.models import ModelsScreen

        current = self.setup.client.model
        self.app.clear_notifications()  # they would lie over the list
        self.app.push_screen(
            ModelsScreen(
                self.setup.paths,
                current.path if current else "",
                folders=self.setup.config.library.folders,
                keymap=self.setup.config.keys,
                convert=self.action_convert,
                note=note,
            ),
            self._switch_as,
        )

    def action_convert(self) -> None:
        """Make a model file of a checkpoint."""
        from chatapp.ui.screens.convert import ConvertScreen

        self.app.push_screen(ConvertScreen(self.setup.paths, self.setup.converter), self._switch_to)

    def action_fetch(self) -> None:
        """Find a model on the hub."""
        from chatapp.ui.screens.fetch import FetchScreen

        self.app.push_screen(FetchScreen(self.fetches, offline=self.setup.offline))

    def _switch_as(self, choice: Choice | None) -> None:
        if choice is not None:
            self.host.plan(choice.path, choice.n_ctx, choice.kv_type)
            self._switch_to(choice.path)

    def _switch_to(self, path: Path | None) -> None:
        if path is not None:
            self._chosen_at, self._next = time.monotonic(), None
            self.run_worker(self._switch_model(path), group="model", exclusive=True)

    async def _switch_model(self, path: Path) -> None:
        if not await self.load_model(path) or self.setup.temporary:
            return
        from chatapp.config import save_setting

        self._has_chosen = True
        name = BUILTIN_NAMES[0] if path == BUILTIN_MODEL else spell_path(path)
        try:
            await asyncio.to_thread(save_setting, self.setup.paths, "engine", "model", name)
        except ChatAppError as error:
            self.post_message(Notice(f"The choice holds for now only. {error}"))

    async def load_model(self, path: Path) -> bool:
        """Stop the answer, keep what waits, put another model into the engine."""
        self.flow.answering.set_model_ready(False)
        if not self.flow.answering.waiting:
            self.flow.answering.stop()
            await self.flow.answering.idle.wait()
        loaded = await self.host.load(path)
        self.flow.answering.set_model_ready(self.host.model is not None)
        return loaded

    @on(ModelReady)
    def _greet(self, event: ModelReady) -> None:
        setup = self.setup
        facts = gather_facts(setup, event.model, chosen=self._has_chosen)
        self.query_one(Welcome).show(facts)
        if facts.choosing:
            self.query_one(ModelChoices).begin(
                setup.paths, setup.config.library.folders, offline=setup.offline
            )
        if self.flow.rows:  # the welcome, which says these too, is not on the screen
            for notice in event.model.notices:
                self.post_message(Notice(notice))

    @on(ModelFailed)
    def _explain_model(self, event: ModelFailed) -> None:
        self.query_one(Welcome).show(gather_facts(self.setup, None, failed=True))
        self.app.notify(
            explain(event.error),
            title="Model not loaded",
            severity="warning",
            timeout=12,
            markup=False,
        )

    # The first run

    @on(ModelChoices.ModelChosen)
    def _load_chosen(self, event: ModelChoices.ModelChosen) -> None:
        self._switch_to(event.path)

    @on(ModelChoices.FetchChosen)
    def _fetch_chosen(self, event: ModelChoices.FetchChosen) -> None:
        self._first = (event.repository.id, event.offer.name)
        self._await(self.fetches.start(event.repository, event.offer))

    def _await(self, fetch: Fetch | None) -> None:
        """Let messages wait for a download; None: they go to the model that is loaded."""
        self._awaited = fetch
        self.status.awaited = clean_line(fetch.repository.name) if fetch else ""
        self.flow.answering.set_model_ready(fetch is None and self.host.model is not None)
        self.show_status()

    @on(PromptBox.Blank)
    def _ask_now(self) -> None:
        """Enter in an empty prompt: what waits for a download need not, or is tried again."""
        answering = self.flow.answering
        if not answering.waiting or answering.busy_in != self.open_id:
            return
        if self._awaited is not None:
            self._first = None
            self._await(None)
        self.load_again()

    def load_again(self) -> None:
        """Try the model again that did not load, when there is no other."""
        if self.host.failed is not None:
            self.run_worker(self.load_model(self.host.failed), group="model", exclusive=True)

    # Downloads

    @on(FetchMoved)
    def _follow(self, event: FetchMoved) -> None:
        fetch = event.fetch
        paused_before = self._awaited is None and fetch.running
        if paused_before and (fetch.repository.id, fetch.offer.name) == self._first:
            self._await(fetch)
        self._show_fetch()

    def _show_fetch(self) -> None:
        running = self.fetches.running
        text = running[0].short if running else ""
        more = f" (+{len(running) - 1})" if len(running) > 1 else ""
        self.status.line = replace(self.status.line, fetching=f"{text}{more}")
        if running:
            shown = self._awaited or running[0]
            self.query_one(ModelChoices).show_progress(shown.text, waits=shown is self._awaited)
        self.show_status_soon()

    @on(FetchEnded)
    def _end_fetch(self, event: FetchEnded) -> None:
        self._show_fetch()
        awaited = event.fetch is self._awaited
        if event.path is not None and awaited:
            self._first = None
        wanted = event.path is not None and event.fetch.began > self._chosen_at
        if awaited and wanted:  # the message goes on waiting, for its loading
            self._awaited, self.status.awaited = None, ""
        elif awaited:
            self._await(None)
        if event.path is None:
            self.query_one(ModelChoices).end_progress(event.error)
            if event.error is not None:
                self.post_message(Problem(event.error))
            return
        more = "" if wanted else " Ctrl+O chooses it."
        self.post_message(Notice(f"{event.path.name} is here.{more}"))
        if wanted and self.flow.answering.busy and not self.flow.answering.waiting:
            self._next = event.path
        elif wanted:
            self._switch_to(event.path)

    @on(AnswerEnded)
    def _load_next(self) -> None:
        if self._next is not None:
            self._switch_to(self._next)
