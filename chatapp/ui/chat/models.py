"""Models: choose, plan, convert, fetch, load, and the first run. The part that owns the downloads.

A model that was chosen is the one chatapp opens with from then on. A message that is written while
a model is fetched on the first run waits for it, unless the built-in model is asked to answer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chatapp.engine.chat.files import template_for
from chatapp.errors import ChatAppError
from chatapp.library.local import BUILTIN_NAMES, resolve_model
from chatapp.library.names import Names
from chatapp.paths import BUILTIN_MODEL, spell_path
from chatapp.ui.chat.model_host import ModelHost
from chatapp.ui.fetches import Fetch, FetchEnded, Fetches, FetchMoved
from chatapp.ui.messages import AnswerEnded, ModelFailed, ModelReady, Problem
from chatapp.ui.widgets.welcome import gather_facts
from chatapp.ui.wording import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message as Fact

    from chatapp.chat_settings import ChatSettings
    from chatapp.library.offers import Offer, Repository
    from chatapp.ui.chat.desk import Desk
    from chatapp.ui.chat.flow import ChatFlow
    from chatapp.ui.chat.status import ChatStatus
    from chatapp.ui.screens.plan import Choice  # screens are loaded when they are opened
    from chatapp.ui.setup import ChatSetup
    from chatapp.ui.widgets.welcome import Welcome


class Models:
    """Which model answers, and the way to another one."""

    def __init__(
        self,
        setup: ChatSetup,
        flow: ChatFlow,
        desk: Desk,
        status: ChatStatus,
        welcome: Welcome,
    ) -> None:
        self._setup = setup
        self._flow = flow
        self._desk = desk
        self._status = status
        self._welcome = welcome
        self.fetches = Fetches(setup.paths.models, desk.tell)
        self.host = ModelHost(
            setup.client,
            setup.config.engine,
            lambda path: template_for(path, setup.config.templates, setup.paths.config),
            lambda path: Names(setup.paths).of(path),
            desk.tell,
        )
        self.remember: Callable[[Path], object] = lambda _: None
        """Told of a model that was chosen: it answers in the open conversation from now on."""
        self._n_loads = 0
        """Loads that have begun and not ended."""
        self._awaited: Fetch | None = None
        """The download that messages wait for."""
        self._first: tuple[str, str] | None = None
        """Repository and offer that were chosen in the first run, unless messages need not wait."""
        self._has_chosen = bool(setup.config.engine.model)
        self._chosen_at = 0.0
        """When a model was chosen last: a download that began before does not replace it."""
        self._next: Path | None = None
        """A model that is loaded when the answer has ended."""

    def begin(self) -> None:
        """Load the model that the settings name."""
        self._welcome.show(gather_facts(self._setup, None))
        self._desk.work_on(self._load_first(), group="model")

    async def _load_first(self) -> None:
        await self.load(self._setup.model)

    def take(self, fact: Fact) -> None:
        """Greet a model, follow downloads."""
        match fact:
            case ModelReady():
                self._greet(fact)
            case ModelFailed():
                self._welcome.show(gather_facts(self._setup, None, failed=True))
                self._desk.warn(fact.error, title="Model not loaded")
            case FetchMoved():
                self._follow(fact.fetch)
            case FetchEnded():
                self._end_fetch(fact)
            case AnswerEnded() if self._next is not None:
                self.switch_to(self._next)

    # Choosing

    def action_models(self) -> None:
        """Choose a model file."""
        self.choose()

    def choose(self, note: str = "") -> None:
        """Open the list of models, with what is to be known first."""
        from chatapp.ui.screens.models import ModelsScreen

        def switch(choice: Choice | None) -> None:
            if choice is not None:
                self.host.plan(choice.path, choice.n_ctx, choice.kv_type)
                self.remember(choice.path)
                self.switch_to(choice.path)

        setup, current = self._setup, self._setup.client.model
        self._desk.clear_notifications()  # they would lie over the list
        self._desk.open(
            ModelsScreen(
                setup.paths,
                current,
                folders=setup.config.library.folders,
                keymap=setup.config.keys,
                convert=self.action_convert,
                note=note,
            ),
            switch,
        )

    def action_convert(self) -> None:
        """Make a model file of a checkpoint."""
        from chatapp.ui.screens.convert import ConvertScreen

        setup = self._setup
        self._desk.open(ConvertScreen(setup.paths, setup.converter), self.switch_to)

    def action_fetch(self) -> None:
        """Find a model on the hub."""
        from chatapp.ui.screens.fetch import FetchScreen

        self._desk.open(FetchScreen(self.fetches, offline=self._setup.offline))

    def switch_to(self, path: Path | None) -> None:
        """Load another model, and open with it from now on; None: no model was chosen."""
        if path is not None:
            self._chosen_at, self._next = time.monotonic(), None
            self._desk.work_on(self._switch(path), group="model", alone=True)

    async def _switch(self, path: Path) -> None:
        if not await self.load(path) or self._setup.temporary:
            return
        from chatapp.config import save_setting

        self._has_chosen = True
        name = BUILTIN_NAMES[0] if path == BUILTIN_MODEL else spell_path(path)
        try:
            await asyncio.to_thread(save_setting, self._setup.paths, "engine", "model", name)
        except ChatAppError as error:
            self._desk.say(f"The choice holds for now only. {error}")

    def reload(self, n_ctx: int) -> None:
        """Load the model again with a context of so many tokens; 0: as the settings say."""
        model = self.host.model
        if model is not None and not model.host:
            path = Path(model.path)
            self.host.plan(path, n_ctx, None)
            self._desk.work_on(self._load_again(path), group="model", alone=True)

    async def prepare(self, settings: ChatSettings) -> bool:
        """Load the model that a conversation has chosen, if another one is loaded. False: it
        cannot be loaded, and no other is to answer in its place."""
        wanted, n_ctx = settings.choose_model(""), settings.choose_n_ctx()
        model, setup = self.host.model, self._setup
        if wanted:
            path = await asyncio.to_thread(resolve_model, wanted, setup.config, setup.paths)
        elif model is None or not n_ctx:
            return True
        else:
            path = Path(model.path)
        is_it = model is not None and Path(model.path) == Path(spell_path(path))
        if is_it and (not n_ctx or self.host.has_context(n_ctx)):
            return True
        if n_ctx:
            self.host.plan(path, n_ctx, None)
        return await self.load(path)

    async def load(self, path: Path) -> bool:
        """Stop the answer, keep what waits, put another model into the engine."""
        answering = self._flow.answering
        answering.set_model_ready(False)
        self._n_loads += 1
        try:
            if not answering.waiting:
                answering.stop()
                await answering.idle.wait()
            return await self.host.load(path)
        finally:  # only the last of several opens the gate
            self._n_loads -= 1
            if not self._n_loads:
                answering.set_model_ready(self.host.model is not None)

    def load_again(self) -> None:
        """Try the model again that did not load, when there is no other."""
        if (failed := self.host.failed) is not None:
            self._desk.work_on(self._load_again(failed), group="model", alone=True)

    async def _load_again(self, path: Path) -> None:
        await self.load(path)

    def _greet(self, fact: ModelReady) -> None:
        setup = self._setup
        facts = gather_facts(setup, fact.model, chosen=self._has_chosen)
        self._welcome.show(facts)
        if facts.choosing:
            self._welcome.choices.begin(
                setup.paths, setup.config.library.folders, offline=setup.offline
            )
        if self._flow.rows:  # the welcome, which says these too, is not on the screen
            for notice in fact.model.notices:
                self._desk.say(notice)

    # The first run

    def fetch_first(self, repository: Repository, offer: Offer) -> None:
        """Fetch what was chosen in the first run; messages wait for it."""
        self._first = (repository.id, offer.name)
        self._await(self.fetches.start(repository, offer))

    def _await(self, fetch: Fetch | None) -> None:
        """Let messages wait for a download; None: they go to the model that is loaded."""
        self._awaited = fetch
        self._status.awaited = clean_line(fetch.repository.name) if fetch else ""
        self._flow.answering.set_model_ready(fetch is None and self.host.model is not None)
        self._desk.redraw(soon=True)

    def ask_now(self) -> None:
        """A message that waits for a download need not, or its model is tried again."""
        if self._awaited is not None:
            self._first = None
            self._await(None)
        self.load_again()

    # Downloads

    def _follow(self, fetch: Fetch) -> None:
        paused_before = self._awaited is None and fetch.running
        if paused_before and (fetch.repository.id, fetch.offer.name) == self._first:
            self._await(fetch)
        self._show_fetch()

    def _show_fetch(self) -> None:
        running = self.fetches.running
        text = running[0].short if running else ""
        more = f" (+{len(running) - 1})" if len(running) > 1 else ""
        self._status.line = replace(self._status.line, fetching=f"{text}{more}")
        if running:
            shown = self._awaited or running[0]
            self._welcome.choices.show_progress(shown.text, waits=shown is self._awaited)
        self._desk.redraw(soon=True)

    def _end_fetch(self, fact: FetchEnded) -> None:
        self._show_fetch()
        awaited = fact.fetch is self._awaited
        if fact.path is not None and awaited:
            self._first = None
        wanted = fact.path is not None and fact.fetch.began > self._chosen_at
        if awaited and wanted:  # the message goes on waiting, for its loading
            self._awaited, self._status.awaited = None, ""
        elif awaited:
            self._await(None)
        if fact.path is None:
            self._welcome.choices.end_progress(fact.error)
            if fact.error is not None:
                self._desk.tell(Problem(fact.error))
            return
        more = "" if wanted else f" {self._desk.keys('models')} chooses it."
        self._desk.say(f"{clean_line(Names(self._setup.paths).of(fact.path))} is here.{more}")
        answering = self._flow.answering
        if wanted and answering.busy and not answering.waiting:
            self._next = fact.path
        elif wanted:
            self.switch_to(fact.path)
