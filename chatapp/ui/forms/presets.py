"""Dialogs for a preset: which one, and what its variables are given."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chatapp.presets.preset import Preset
from chatapp.presets.shelf import OFF, Shelf
from chatapp.ui.wording import clean_line

_NAME_CELLS = 18


class PresetForm(ModalScreen[str | None]):
    """Dismissed with a preset's name, `off` for none, or None."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, shelf: Shelf, now: str) -> None:
        """`now` is the name of the one the chat has."""
        super().__init__()
        self._shelf = shelf
        self._now = now

    def compose(self) -> ComposeResult:
        """Every preset with what it does; those that cannot be read with what is wrong."""
        names = [OFF, *self._shelf.presets]
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Presets"
            dialog.border_subtitle = "Enter takes · Esc cancels"
            options = [Option(self._draw(name), id=name) for name in names]
            options += [
                Option(_entry(name, f"broken: {error.message}"), disabled=True)
                for name, error in self._shelf.broken.items()
            ]
            found = OptionList(*options, markup=False)
            found.highlighted = names.index(self._now) if self._now in names else 0
            yield found
            folder = clean_line(str(self._shelf.folder))
            yield Static(f"Your own are files in {folder}.", id="dialog-note", markup=False)

    def _draw(self, name: str) -> Content:
        if name == OFF:
            return _entry("none", "no preset")
        preset = self._shelf.presets[name]
        return _entry(name, preset.description or preset.system or preset.prompt)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)


class VariablesForm(ModalScreen[dict[str, str] | None]):
    """Dismissed with a value for every variable that was given one, or None."""

    CSS_PATH = "../screens/dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self._preset = preset

    def compose(self) -> ComposeResult:
        """One field for each variable."""
        preset = self._preset
        with Vertical(id="dialog") as dialog:
            dialog.border_title = clean_line(preset.name)
            dialog.border_subtitle = "Enter goes on, then takes · Esc cancels"
            with VerticalScroll(can_focus=False):
                for name in preset.wanted:
                    default = preset.variables.get(name, "")
                    yield Static(name, markup=False)
                    yield Input(placeholder=default or "wanted", name=name, compact=True)
            yield Static("", id="dialog-note", markup=False)

    @on(Input.Submitted)
    def _go_on(self, event: Input.Submitted) -> None:
        """The next field; behind the last, take them, unless one is wanted still."""
        fields = list(self.query(Input))
        place = fields.index(event.input)
        missing = [one for one in fields if not one.value and one.name in self._preset.missing]
        if place + 1 < len(fields):
            fields[place + 1].focus()
        elif missing:
            missing[0].focus()
            self.query_one("#dialog-note", Static).update(f"{missing[0].name} wants a value.")
        else:
            self.dismiss({str(one.name): one.value for one in fields if one.value})


def _entry(name: str, said: str) -> Content:
    shown = Content(clean_line(name)).truncate(_NAME_CELLS, ellipsis=True, pad=True)
    return Content.assemble(shown.stylize("bold"), "  ", (clean_line(said), "dim"))
