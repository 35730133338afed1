"""The lowest line: what is going on, or, when nothing is, the keys worth knowing here.

One line for both, so that progress never pushes the transcript up and down.
"""

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from chatapp.ui.key_row import OFF, Key, Scope
from chatapp.ui.keymap import keys_in, shown_keys


class HintLine(Widget):
    """Activity text, or clickable keys from the keymap. Where letters are commands, always keys."""

    DEFAULT_CSS = """
    HintLine {
        height: 1; padding: 0 1; color: $foreground 70%;
        link-color: $foreground 70%; link-style: none; link-background-hover: $primary;
        link-style-hover: none;
    }
    HintLine.-busy { color: $text-accent; }
    """

    activity: reactive[str] = reactive("")
    scope: reactive[Scope] = reactive[Scope]("chat")

    def __init__(self, keymap: Mapping[str, str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._keymap = keymap

    def watch_activity(self, activity: str) -> None:
        """Colour the line while something is going on."""
        self.set_class(bool(activity), "-busy")
        self._show_need()

    def watch_scope(self) -> None:
        """Where letters are commands, the line has to be seen."""
        self._show_need()

    def _show_need(self) -> None:
        """Whether it says more than which keys there are: then it needs a row in any terminal."""
        needed = bool(self.activity) or self.scope != "chat"
        self.screen.set_class(needed, "-hinting")

    def render(self) -> Content:
        """Activity if there is any, else as many keys as fit."""
        width = self.content_size.width
        if self.activity and self.scope != "message":
            return Content(self.activity).truncate(width, ellipsis=True)
        return key_hints(self.scope, self._keymap, width)


def key_hints(scope: Scope, keymap: Mapping[str, str], width: int) -> Content:
    """The keys of `scope` and of the app that are meant for the bar, as many as fit `width`, the
    most used first. Where some are left out, the key that shows all of them is not."""
    others = keys_in("app") if scope != "message" else []
    keys = [key for key in (*keys_in(scope), *others) if key.bar and shown_keys(key, keymap) != OFF]
    hints = [_hint(key, keymap) for key in sorted(keys, key=lambda key: key.bar)]
    if cells(hints) <= width:
        return _GAP.join(hints)
    more = [_hint(key, keymap) for key in keys_in(scope) if key.id == "message_help"]
    shown: list[Content] = []
    for hint in hints:
        kept = more if shown else []  # the first comes before all
        if cells([*shown, hint, *kept]) <= width:
            shown.append(hint)
    return _GAP.join([*shown, *more] if cells([*shown, *more]) <= width else shown)


_GAP = Content("  ")


def cells(hints: Sequence[Content]) -> int:
    """The width of hints side by side."""
    return sum(hint.cell_length for hint in hints) + 2 * max(len(hints) - 1, 0)


def _hint(key: Key, keymap: Mapping[str, str]) -> Content:
    owner = "app." if key.scope == "app" else "screen."
    markup = "[b]$keys[/b] $label"
    if key.scope not in ("sidebar", "filter"):
        action = key.action if "." in key.action else f"{owner}{key.action}"
        markup = f"[@click={action}]{markup}[/]"
    shown = shown_keys(key, keymap).split(" / ")[0]
    return Content.from_markup(markup, keys=shown, label=key.label)
