"""The model picker: every model file near at hand, what is in it, and whether it is whole.

Names and sizes show at once; the headers are read after that, in a thread, one file at a time, and
remembered. The models folder is watched: a file dropped into it appears.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option, OptionDoesNotExist

from chatapp.engine.probe import look_at_machine
from chatapp.engine.protocol import ModelDescription
from chatapp.errors import ChatAppError
from chatapp.gguf.fit import Machine, plan
from chatapp.gguf.model_info import ModelInfo
from chatapp.gguf.size import size_text
from chatapp.library.headers import Headers
from chatapp.library.local import ModelFile, find_models, stamp_folder
from chatapp.library.names import Names, list_remotes, name_unread
from chatapp.paths import Paths, spell_path
from chatapp.remotes import PREFIX
from chatapp.ui.keymap import key_of, shown_keys
from chatapp.ui.screens.plan import Choice, PlanScreen
from chatapp.ui.widgets.filter_input import FilterInput, is_typed
from chatapp.ui.wording import clean_line, grouped

_CONVERT, _FETCH = key_of("convert"), key_of("fetch")

WATCH_S = 1.5
"""How often the models folder is looked at while the screen is open."""


class ModelsScreen(ModalScreen[Choice | None]):
    """Dismissed with the chosen model, or None."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+o", "dismiss(None)", "Close"),
        Binding("alt+m", "plan", "Memory"),
        Binding(_CONVERT.keys, "convert", _CONVERT.label, tooltip=_CONVERT.tooltip, id=_CONVERT.id),
    ]
    AUTO_FOCUS = "#model-list"

    def __init__(
        self,
        paths: Paths,
        current: ModelDescription | None,
        *,
        folders: Sequence[str] = (),
        keymap: Mapping[str, str],
        convert: Callable[[], None],
        note: str = "",
    ) -> None:
        super().__init__()
        self._note = note
        self._keymap = keymap
        self._convert = convert
        self._paths = paths
        self._folders = folders
        self._headers = Headers(paths.headers)
        known = {current.path: current.name} if current else {}
        self._names = Names(paths, self._headers, known)
        self._called: dict[str, str] = {}
        """What each file is called, once that is known."""
        self._stamp: object = None
        self._current = current.path if current else ""
        self._files: list[ModelFile] = []
        self._infos: dict[str, ModelInfo] = {}
        self._facts: dict[str, Content] = {}
        """What is known of each file, drawn below its name."""
        self._machine: Machine | None = None

    def compose(self) -> ComposeResult:
        """List and where it comes from."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Models"
            dialog.border_subtitle = "Enter loads · type to filter · Alt+M memory · Esc closes"
            if self._note:
                yield Static(Content.styled(self._note, "$text-warning"), id="model-problem")
            yield FilterInput(placeholder="Filter", id="model-filter")
            yield OptionList(id="model-list", markup=False)
            yield Static(
                f"More models: {shown_keys(_FETCH, self._keymap)} fetches them; .gguf files in "
                f"{self._paths.models} are found. {shown_keys(_CONVERT, self._keymap)} makes one "
                "of a trained checkpoint.",
                id="dialog-note",
                markup=False,
            )

    def on_mount(self) -> None:
        """Start looking, and go on."""
        self._look()
        self.set_interval(WATCH_S, self._watch)

    @work(exclusive=True, group="watch")
    async def _watch(self) -> None:
        stamp = await asyncio.to_thread(stamp_folder, self._paths)
        if self._stamp is not None and stamp != self._stamp:
            self._look()

    def action_convert(self) -> None:
        """Close, and open the screen that makes a model file."""
        self.dismiss(None)
        self.app.call_later(self._convert)

    @work(exclusive=True)
    async def _look(self) -> None:
        self._stamp = await asyncio.to_thread(stamp_folder, self._paths)
        self._files = await asyncio.to_thread(find_models, self._paths, self._folders)
        self._files += await asyncio.to_thread(list_remotes, self._paths)
        self._facts.clear()
        self._fill()
        for file in self._files:
            self._called[str(file.path)] = await asyncio.to_thread(self._names.of, file.path)
            if str(file.path).startswith(PREFIX):
                self._tell(file, Content.styled("runs on that server, not here", "$text-warning"))
                continue
            try:
                info = await asyncio.to_thread(self._headers.read_model, file.path)
                self._infos[str(file.path)] = info
                facts = describe(info, self._machine)
            except ChatAppError as error:
                facts = Content.styled(f"broken: {clean_line(error.message)}", "$text-error")
            self._tell(file, facts)
        await asyncio.to_thread(self._headers.save)
        if self._machine is None:
            self._machine = await asyncio.to_thread(look_at_machine)
            for file in self._files:
                if known := self._infos.get(str(file.path)):
                    self._tell(file, describe(known, self._machine))

    def _fill(self) -> None:
        """Show the files that the filter finds; the highlight stays where it was if it can."""
        if not self.query("#model-list"):  # the screen is being left
            return
        options = self.query_one("#model-list", OptionList)
        chosen = self._chosen(options)
        wanted = self.query_one(FilterInput).value.lower().split()
        options.clear_options()
        place = 0
        for file in self._files:
            if not all(word in self._words(file) for word in wanted):
                continue
            if (str(file.path) == chosen) if chosen else (spell_path(file.path) == self._current):
                place = options.option_count
            facts = self._facts.get(str(file.path), Content("…"))
            options.add_option(Option(self._entry(file, facts), id=str(file.path)))
        if not options.option_count:
            none = "No model has such a name." if self._files else "No model file was found."
            options.add_option(Option(none, disabled=True))
        options.highlighted = place

    def _tell(self, file: ModelFile, facts: Content) -> None:
        """Draw what is known of a file, if it is shown."""
        self._facts[str(file.path)] = facts
        with suppress(OptionDoesNotExist, NoMatches):  # filtered away; the screen is being left
            options = self.query_one("#model-list", OptionList)
            options.replace_option_prompt(str(file.path), self._entry(file, facts))

    def _chosen(self, options: OptionList) -> str:
        """The path of the highlighted file; empty if there is none."""
        index = options.highlighted
        option = options.get_option_at_index(index) if index is not None else None
        return "" if option is None else option.id or ""

    def on_key(self, event: Key) -> None:
        """What is typed in the list is for the filter."""
        if is_typed(self.query_one(OptionList), event):
            event.stop()
            self.query_one(FilterInput).add(event.character or "")

    @on(Input.Changed)
    def _filter(self) -> None:
        self._fill()

    @on(FilterInput.Stepped)
    def _step(self, event: FilterInput.Stepped) -> None:
        options = self.query_one(OptionList)
        (options.action_cursor_down if event.step > 0 else options.action_cursor_up)()

    @on(FilterInput.Left)
    def _leave_filter(self) -> None:
        self.query_one(OptionList).focus()

    @on(Input.Submitted)
    def _load_found(self) -> None:
        if chosen := self._chosen(self.query_one(OptionList)):
            self.dismiss(Choice(Path(chosen)))

    def _call(self, file: ModelFile) -> str:
        return self._called.get(str(file.path)) or name_unread(file.path)

    def _words(self, file: ModelFile) -> str:
        """What a filter looks into."""
        return " ".join([self._call(file), file.name, file.source, *file.aliases]).lower()

    def _entry(self, file: ModelFile, facts: Content) -> Content:
        mark = "● " if spell_path(file.path) == self._current else "  "
        name = self._call(file)
        tells = file.source == "built-in" or file.name.startswith((name, PREFIX))
        facts_of_file = [
            size_text(file.size_bytes) if file.size_bytes else "",
            ", also ".join([file.source, *file.aliases]),
            "" if tells else file.name,
        ]
        head = Content.assemble(
            mark,
            (clean_line(name), "bold"),
            ("  " + clean_line(" · ".join(fact for fact in facts_of_file if fact)), "dim"),
        )
        return Content("\n").join([head, Content("  ") + facts])

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self.dismiss(Choice(Path(event.option_id)))

    def action_plan(self) -> None:
        """What the highlighted model takes, by context."""
        chosen = self._chosen(self.query_one("#model-list", OptionList))
        if chosen.startswith(PREFIX):
            self.app.notify("It runs on that server: it takes no memory here.")
            return
        info = self._infos.get(chosen)
        if info is None or self._machine is None:
            self.app.bell()
            return

        def load(choice: Choice | None) -> None:
            if choice is not None:
                self.dismiss(choice)

        self.app.push_screen(PlanScreen(info, self._machine), load)


def describe(info: ModelInfo, machine: Machine | None = None) -> Content:
    """`qwen2 · 0.5B · Q4_K_M · context 32 768 · fits`, and whether it can chat."""
    parts = [info.arch, info.size_label, info.quantisation]
    if info.n_ctx_train:
        parts.append(f"context {grouped(info.n_ctx_train)}")
    if machine is not None:
        parts.append(plan(info, machine).mark)
    text = " · ".join(clean_line(part) for part in parts if part)
    said = {
        "chat": "",
        "completion": " · completes text only",
        "text to text": " · text to text",
        "embeddings": " · embeddings only",
    }
    return Content.styled(text, "dim") + Content.styled(said[info.use], "$text-warning")
