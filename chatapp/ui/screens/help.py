"""The help: keys from the keymap, commands from their table, where files are, what the model is."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from chatapp import __version__
from chatapp.commands.parsing import nearest_command
from chatapp.commands.table import COMMANDS, GROUP_TITLES, Command, find_command
from chatapp.engine.protocol import ModelDescription
from chatapp.errors import UsageError
from chatapp.paths import Paths
from chatapp.ui.keymap import SCOPE_TITLES, keys_in, shown_keys
from chatapp.ui.widgets.filter_input import FilterInput, is_typed
from chatapp.ui.wording import clean_line, grouped

_KEY_CELLS = 16
Rows = tuple[str, list[tuple[str, str]]]
"""A title, and a name with what it is for each row."""


Section = Literal["keys", "commands", "about"]
SECTIONS: dict[Section, str] = {
    "keys": "Keys",
    "commands": "Commands",
    "about": "Files and model",
}


class HelpScreen(ModalScreen[None]):
    """Three sections, and a filter that looks through all of them."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Close"),
        Binding("tab", "turn(1)", "Next section", priority=True),
        Binding("shift+tab", "turn(-1)", "Section before", priority=True),
    ]
    AUTO_FOCUS = "#help-scroll"

    def __init__(
        self,
        paths: Paths,
        keymap: Mapping[str, str],
        model: ModelDescription | None,
        *,
        temporary: bool,
        section: Section = "keys",
    ) -> None:
        super().__init__()
        self.section: Section = section
        self._tables: dict[Section, list[Rows]] = {
            "keys": key_rows(keymap),
            "commands": command_rows(),
            "about": [file_rows(paths, temporary=temporary), model_rows(model)],
        }

    def compose(self) -> ComposeResult:
        """Sections, filter, what is shown."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = f"chatapp {__version__}"
            dialog.border_subtitle = "Tab next section · ↑↓ scroll · Esc closes"
            yield Static("", id="help-sections", markup=False)
            yield FilterInput(placeholder="Type to filter", id="help-filter")
            with VerticalScroll(id="help-scroll"):
                yield Static("", id="help-text")

    def on_mount(self) -> None:
        """Show the section that was asked for."""
        self._show()

    @property
    def _sought(self) -> str:
        return self.query_one(FilterInput).value.strip().lower()

    def _show(self) -> None:
        """The section, or whatever fits the filter in any."""
        sought = self._sought
        tabs = [
            Content.styled(f" {title} ", "reverse" if name == self.section and not sought else "")
            for name, title in SECTIONS.items()
        ]
        self.query_one("#help-sections", Static).update(Content(" ").join(tabs))
        shown = self._tables[self.section]
        if sought:
            every = [rows for tables in self._tables.values() for rows in tables]
            found = [(title, [row for row in rows if _fits(row, sought)]) for title, rows in every]
            shown = [(title, rows) for title, rows in found if rows]
        parts: list[RenderableType] = [_table(title, rows) for title, rows in shown]
        self.query_one("#help-text", Static).update(
            Group(*parts) if parts else Text("Nothing here is called so.")
        )
        self.query_one("#help-scroll").scroll_home(animate=False)

    def action_turn(self, step: int) -> None:
        """Show the section after this one, or before."""
        names = list(SECTIONS)
        self.section = names[(names.index(self.section) + step) % len(names)]
        self.query_one(FilterInput).value = ""
        self._show()

    def action_back(self) -> None:
        """Empty the filter, then close."""
        fields = self.query(FilterInput)  # none where it could not be drawn
        if fields and fields.first().value:
            fields.first().action_leave()
        else:
            self.dismiss()

    def on_key(self, event: Key) -> None:
        """What is typed goes to the filter."""
        field = self.query_one(FilterInput)
        if not field.has_focus and is_typed(self, event) and event.character:
            event.stop()
            field.add(event.character)

    @on(Input.Changed)
    def _filter(self) -> None:
        self._show()

    @on(FilterInput.Stepped)
    def _scroll(self, event: FilterInput.Stepped) -> None:
        scroll = self.query_one("#help-scroll")
        (scroll.scroll_down if event.step > 0 else scroll.scroll_up)(animate=False)

    @on(FilterInput.Left)
    def _leave_filter(self) -> None:
        self.query_one("#help-scroll").focus()


def _fits(row: tuple[str, str], sought: str) -> bool:
    return all(word in f"{row[0]} {row[1]}".lower() for word in sought.split())


def explain_command(name: str) -> str:
    """What one command does, in a sentence or two; `UsageError` if there is none of that name."""
    command = find_command(name.strip().lstrip("/"))
    if command is None:
        meant = nearest_command(name.strip().lstrip("/"))
        hint = f"Did you mean /{meant}?" if meant else "/help lists them."
        raise UsageError(f"There is no command {clean_line(name)[:40]}.", hint)
    also = ", ".join(f"/{alias}" for alias in command.aliases)
    return f"{command.spelled}: {command.help}{f' Also: {also}.' if also else ''}"


def key_rows(keymap: Mapping[str, str]) -> list[Rows]:
    """Every key, by scope."""
    return [
        (title, [(shown_keys(key, keymap), key.tooltip) for key in keys_in(scope)])
        for scope, title in SCOPE_TITLES.items()
    ]


def command_rows() -> list[Rows]:
    """Every command, by group."""
    return [
        (title, [_command_row(one) for one in COMMANDS if one.group == group])
        for group, title in GROUP_TITLES.items()
    ]


def _command_row(command: Command) -> tuple[str, str]:
    also = ", ".join(f"/{alias}" for alias in command.aliases)
    return command.spelled, f"{command.help}{f' Also: {also}.' if also else ''}"


def file_rows(paths: Paths, *, temporary: bool) -> Rows:
    """Where things are."""
    history = "nowhere: this chat is temporary" if temporary else str(paths.history)
    rows = [
        ("Chats", history),
        ("Models", str(paths.models)),
        ("Settings", str(paths.settings)),
        ("Engine log", str(paths.engine_log)),
        ("Screen log", str(paths.screen_log)),
    ]
    return "Files", rows


def model_rows(model: ModelDescription | None) -> Rows:
    """What is known of the loaded model."""
    if model is None:
        return "Model", [("", "None is loaded. Ctrl+O chooses one.")]
    where = "CPU only"
    if model.gpu_layers:
        where = f"GPU {model.gpu_layers}/{model.n_layers + 1} layers on {', '.join(model.devices)}"
    if model.runtime:
        where = f"{model.runtime}; {', '.join(model.devices) or 'CPU'}"
    rows = [
        ("Name", model.name),
        ("File", model.path),
        ("Runs on", where),
        ("Context", f"{grouped(model.n_ctx)} of {grouped(model.n_ctx_train)} tokens"),
        ("Loaded in", f"{model.load_s:.1f} s"),
    ]
    notes = [*model.notices, *([model.gpu_note] if model.gpu_note else [])]
    rows += [("Note", note) for note in notes]
    return "Model", rows


def _table(title: str, rows: list[tuple[str, str]]) -> Group:
    """Rows with a hanging second column; at 80 columns the keys wrap, not the screen."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", width=_KEY_CELLS)
    grid.add_column(ratio=1)
    for name, value in rows:
        grid.add_row(Text(clean_line(name)), Text(clean_line(value)))
    return Group(Text(title, style="bold underline"), grid, Text(""))
