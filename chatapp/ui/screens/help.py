"""The help: keys from the keymap, where files live, what the model wants the user to know."""

from collections.abc import Mapping
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from chatapp import __version__
from chatapp.engine.protocol import ModelDescription
from chatapp.paths import Paths
from chatapp.ui.keymap import SCOPE_TITLES, keys_in, shown_keys
from chatapp.ui.wording import clean_line, grouped

_KEY_CELLS = 16


class HelpScreen(ModalScreen[None]):
    """One page of help."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Close", priority=True)]
    AUTO_FOCUS = "#help-scroll"

    def __init__(
        self,
        paths: Paths,
        keymap: Mapping[str, str],
        model: ModelDescription | None,
        *,
        temporary: bool,
    ) -> None:
        super().__init__()
        self._parts = [
            keys_table(keymap),
            files_table(paths, temporary=temporary),
            model_table(model),
        ]

    def compose(self) -> ComposeResult:
        """Everything in one scroll."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = f"chatapp {__version__}"
            dialog.border_subtitle = "↑↓ scroll · Esc closes"
            with VerticalScroll(id="help-scroll"):
                for part in self._parts:
                    yield Static(part)


def keys_table(keymap: Mapping[str, str]) -> Group:
    """The table of keys, by scope."""
    parts: list[RenderableType] = []
    for scope, title in SCOPE_TITLES.items():
        rows = [(shown_keys(key, keymap), key.tooltip) for key in keys_in(scope)]
        parts.append(_table(title, rows))
    return Group(*parts)


def files_table(paths: Paths, *, temporary: bool) -> Group:
    """Where things are."""
    history = "nowhere: this chat is temporary" if temporary else str(paths.history)
    rows = [
        ("Chats", history),
        ("Models", str(paths.models)),
        ("Settings", str(paths.settings)),
        ("Engine log", str(paths.engine_log)),
        ("Screen log", str(paths.screen_log)),
    ]
    return _table("Files", rows)


def model_table(model: ModelDescription | None) -> Group:
    """What is known of the loaded model."""
    if model is None:
        return _table("Model", [("", "None is loaded. Ctrl+O chooses one.")])
    where = "CPU only"
    if model.gpu_layers:
        where = f"GPU {model.gpu_layers}/{model.n_layers + 1} layers on {', '.join(model.devices)}"
    rows = [
        ("Name", model.name),
        ("File", model.path),
        ("Runs on", where),
        ("Context", f"{grouped(model.n_ctx)} of {grouped(model.n_ctx_train)} tokens"),
        ("Loaded in", f"{model.load_s:.1f} s"),
    ]
    notes = [*model.notices, *([model.gpu_note] if model.gpu_note else [])]
    rows += [("Note", note) for note in notes]
    return _table("Model", rows)


def _table(title: str, rows: list[tuple[str, str]]) -> Group:
    """Rows with a hanging second column; at 80 columns the keys wrap, not the screen."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", width=_KEY_CELLS)
    grid.add_column(ratio=1)
    for name, value in rows:
        grid.add_row(Text(clean_line(name)), Text(clean_line(value)))
    return Group(Text(title, style="bold underline"), grid, Text(""))
