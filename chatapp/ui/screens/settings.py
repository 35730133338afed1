"""Every setting of the open chat: its value, whose word that is, and a field to change it.

Made from `chat_rows`, so that no setting is left out. What is set here is this chat's alone and
holds from its next answer on. Letters go to the filter; Enter opens the row's field, list or text.
"""

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chatapp.chat_changes import THINK
from chatapp.chat_rows import Row
from chatapp.errors import ChatAppError
from chatapp.paths import sees
from chatapp.presets.preset import Preset
from chatapp.presets.shelf import Shelf
from chatapp.thinking import WORDS
from chatapp.ui.forms.line import LineForm
from chatapp.ui.forms.long_text import LongTextForm
from chatapp.ui.forms.presets import PresetForm, VariablesForm
from chatapp.ui.forms.question import Question
from chatapp.ui.widgets.filter_input import FilterInput, is_typed
from chatapp.ui.wording import clean_line, explain

WAYS = "Enter changes · Del the usual · Ctrl+S save as preset · Esc closes"
SHORT_WAYS = "Enter, Del, Ctrl+S save, Esc"
EDIT_WAYS = "Enter sets · Esc leaves it as it was"
NARROW = 60
"""In fewer columns the source stands below the list only."""
_LONG = ("system", "grammar", "json_schema")
_NAME_CELLS = 22
_SOURCE_CELLS = 18


class Settable(Protocol):
    """The settings of one chat."""

    def rows(self) -> list[Row]: ...
    def spell(self, name: str) -> str: ...
    def check(self, name: str, text: str) -> None: ...
    async def put(self, name: str, text: str) -> str: ...
    async def put_back(self, name: str) -> str: ...
    async def list_presets(self) -> Shelf: ...
    async def take(self, preset: Preset, values: Mapping[str, str]) -> str: ...
    def choose_model(self) -> None: ...
    def place_for(self, name: str) -> Path: ...
    async def save(self, path: Path) -> str: ...


class SettingsScreen(ModalScreen[None]):
    """The panel."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Close"),
        Binding("f6", "dismiss(None)", "Close"),
        Binding("delete,backspace", "put_back", "Back to the usual"),
        Binding("ctrl+s", "save", "Save as a preset"),
    ]
    AUTO_FOCUS = "#settings-list"

    def __init__(self, own: Settable) -> None:
        super().__init__()
        self._own = own
        self._rows: list[Row] = []
        self._said = Content("")
        """On what was done last; stays until another row is looked at."""

    def compose(self) -> ComposeResult:
        """Filter, settings, what the highlighted one means, its field."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "This chat's settings"
            dialog.border_subtitle = self._ways
            yield FilterInput(placeholder="Type to filter", id="settings-filter")
            yield OptionList(id="settings-list", markup=False)
            yield Static("", id="setting-help", markup=False)
            with Horizontal(id="setting-line"):
                yield Static("", id="setting-name", markup=False)
                yield Input(id="setting-field", compact=True, select_on_focus=True)

    def on_mount(self) -> None:
        """Show them; nothing is being changed yet."""
        self.query_one("#setting-line").display = False
        self._refill()

    def on_screen_resume(self) -> None:
        """A dialog above has closed, and may have changed something."""
        if self._rows:
            self._refill()

    def on_resize(self) -> None:
        """Lay the rows out for the width there is."""
        self.call_after_refresh(self._refill)

    # The list

    @property
    def _ways(self) -> str:
        return SHORT_WAYS if self.app.size.width < NARROW else WAYS

    @property
    def _options(self) -> OptionList:
        return self.query_one("#settings-list", OptionList)

    @property
    def chosen(self) -> Row | None:
        """The highlighted setting."""
        option = self._options.highlighted_option
        return next((row for row in self._rows if option and row.name == option.id), None)

    def _refill(self, *, seek: bool = False) -> None:
        """Draw the rows anew. `seek`: look at the one that is meant by the filter."""
        sought = self.query_one("#settings-filter", Input).value.lower().replace(" ", "_")
        before = self.chosen
        self._rows = self._own.rows()
        shown = [row for row in self._rows if _fits(row, sought)]
        options: list[Option] = []
        for group in dict.fromkeys(row.group for row in shown):
            options.append(Option(Content.styled(group, "bold $text-accent"), disabled=True))
            options += [Option(self._draw(row), id=row.name) for row in shown if row.group == group]
        found = self._options
        found.clear_options()
        found.add_options(options or [Option("No setting is called so.", disabled=True)])
        names = [row.name for row in shown]
        if names:
            stays = before is not None and before.name in names and not seek
            wanted = before.name if before and stays else _best(names, sought)
            found.highlighted = found.get_option_index(wanted)
        self._explain()

    def _draw(self, row: Row) -> Content:
        width = self._options.scrollable_content_region.width or self.size.width * 9 // 10 - 4
        narrow = self.size.width < NARROW
        name = Content(clean_line(row.name)).truncate(_NAME_CELLS, ellipsis=True, pad=True)
        room = max(8, width - _NAME_CELLS - 5 - (0 if narrow else _SOURCE_CELLS))
        value = Content(clean_line(row.value) or "–").truncate(room, ellipsis=True, pad=True)
        source = Content("") if narrow else Content.styled(clean_line(row.source), "dim")
        mark = Content.styled("● ", "$text-accent") if row.changed else Content("  ")
        line = Content.assemble(mark, name, " ", value, " ", source)
        return line.stylize("bold", 0, _NAME_CELLS + room + 4) if row.changed else line

    def _explain(self) -> None:
        """What the highlighted setting is, may be, and would be without this chat."""
        row = self.chosen
        text = Content("")
        if row is not None:
            usual = f" Without this chat's own: {row.usual or 'none'}." if row.changed else ""
            parts = [f"From: {row.source}.", f"It may be {row.bounds}." if row.bounds else ""]
            facts = clean_line(" ".join(part for part in parts if part) + usual)
            text = Content(clean_line(row.help)) + "\n" + Content.styled(facts, "dim")
        if self._said.plain:
            text = self._said
        self.query_one("#setting-help", Static).update(text)

    @on(OptionList.OptionHighlighted)
    def _look_at(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list is self._options:
            self._explain()

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self._said = Content.styled(clean_line(text), "$text-error" if wrong else "$text-success")
        self._explain()

    def on_key(self, event: Key) -> None:
        """What is typed in the list goes to the filter."""
        if event.key in ("up", "down", "pageup", "pagedown", "home", "end"):
            self._said = Content("")
        if self._options.has_focus and is_typed(self, event) and event.character:
            event.stop()
            self.query_one(FilterInput).add(event.character)

    @on(Input.Changed, "#settings-filter")
    def _filter(self) -> None:
        self._said = Content("")
        self._refill(seek=True)

    @on(FilterInput.Stepped)
    def _step(self, event: FilterInput.Stepped) -> None:
        self._said = Content("")
        if event.step > 0:
            self._options.action_cursor_down()
        else:
            self._options.action_cursor_up()

    @on(FilterInput.Left)
    def _to_list(self) -> None:
        self._options.focus()

    # Changing

    @on(Input.Submitted, "#settings-filter")
    def _open_found(self) -> None:
        self._options.focus()
        self._open(self.chosen)

    @on(OptionList.OptionSelected, "#settings-list")
    def _open_chosen(self, event: OptionList.OptionSelected) -> None:
        self._open(next((row for row in self._rows if row.name == event.option.id), None))

    def _open(self, row: Row | None) -> None:
        if row is None:
            return
        self._said = Content("")
        if row.name == "preset":
            self._choose_preset()
        elif row.name == "model":
            self._own.choose_model()
        elif row.name in _LONG:
            self._write(row)
        else:
            self._begin(row)

    def _begin(self, row: Row) -> None:
        """Open the field below the list."""
        field = self.query_one("#setting-field", Input)
        self.query_one("#setting-name", Static).update(f"{row.name}: ")
        self.query_one("#setting-line").display = True
        self.query_one("#dialog").border_subtitle = EDIT_WAYS
        field.placeholder = ", ".join(WORDS) if row.name == THINK else row.bounds
        field.value = self._own.spell(row.name)
        field.focus()

    def _end(self) -> None:
        self.query_one("#setting-line").display = False
        self.query_one("#dialog").border_subtitle = self._ways
        self._options.focus()

    @on(Input.Changed, "#setting-field")
    def _check(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        row = self.chosen
        self._said = Content("")
        if row is not None and event.value.strip():
            try:
                self._own.check(row.name, event.value)
            except ChatAppError as error:
                self._say(explain(error), wrong=True)
                return
        self._explain()

    @on(Input.Submitted, "#setting-field")
    def _set(self, event: Input.Submitted) -> None:
        if (row := self.chosen) is None:
            return
        if not event.value.strip():
            self._do(self._own.put_back(row.name))
            self._end()
            return
        try:
            self._own.check(row.name, event.value)
        except ChatAppError as error:
            self._say(explain(error), wrong=True)
            return
        self._do(self._own.put(row.name, event.value))
        self._end()

    @work
    async def _do(self, change: Awaitable[str]) -> None:
        """Change something, and say how that went."""
        try:
            said = await change
        except ChatAppError as error:
            self._say(explain(error), wrong=True)
        else:
            self._refill()
            self._say(said)

    @work
    async def _write(self, row: Row) -> None:
        """A text of several lines has a field of its own."""
        form = LongTextForm(row.name, self._own.spell(row.name), row.help)
        text = await self.app.push_screen_wait(form)
        if text is None:
            return
        empty = not text.strip() and row.name != "system"
        self._do(self._own.put_back(row.name) if empty else self._own.put(row.name, text))

    @work
    async def _choose_preset(self) -> None:
        shelf = await self._own.list_presets()
        now = next((row.value.split(" ")[0] for row in self._rows if row.name == "preset"), "")
        name = await self.app.push_screen_wait(PresetForm(shelf, now))
        if name is None:
            return
        if name not in shelf.presets:
            self._do(self._own.put_back("preset"))
            return
        preset, values = shelf.presets[name], {}
        if preset.wanted:
            asked = await self.app.push_screen_wait(VariablesForm(preset))
            if asked is None:
                return
            values = asked
        self._do(self._own.take(preset, values))

    def action_put_back(self) -> None:
        """Take this chat's own value away; with a filter, Backspace shortens it first."""
        row = self.chosen
        if row is None or self.query_one("#setting-field", Input).has_focus:
            return
        if not row.changed:
            self._say(f"{row.name} is as it usually is.")
            return
        self._do(self._own.put_back(row.name))

    @work
    async def action_save(self) -> None:
        """Save what this chat sets under a name."""
        name = await self.app.push_screen_wait(LineForm("Save as a preset", "Its name"))
        if not name:
            return
        try:
            path = self._own.place_for(name)
        except ChatAppError as error:
            self._say(explain(error), wrong=True)
            return
        if sees(path):
            sentence = f"There is a preset {path.stem} already, in {path}."
            question = Question("Save as a preset", sentence, yes="Replace it", no="Keep it")
            if not await self.app.push_screen_wait(question):
                return
        self._do(self._own.save(path))

    def action_back(self) -> None:
        """One step back: the field, the filter, the panel."""
        if self.query_one("#setting-line").display:
            self._said = Content("")
            self._end()
            self._explain()
        elif self.query_one(FilterInput).value:
            self.query_one(FilterInput).action_leave()
        else:
            self.dismiss(None)


def _fits(row: Row, sought: str) -> bool:
    return sought in row.name or sought.replace("_", " ") in f"{row.help} {row.group}".lower()


def _best(names: list[str], sought: str) -> str:
    """A name that begins so, else one that holds it, else the first."""
    begun = [name for name in names if name.startswith(sought)]
    return (begun or [name for name in names if sought in name] or names)[0]
