"""The lowest line: what is going on, or, when nothing is, the keys worth knowing here.

One line for both, so that progress never pushes the transcript up and down.
"""

from collections.abc import Mapping

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from chatapp.ui.key_row import OFF, Scope
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

    def render(self) -> Content:
        """Activity if there is any, else as many keys as fit."""
        width = self.content_size.width
        if self.activity and self.scope != "message":
            return Content(self.activity).truncate(width, ellipsis=True)
        return key_hints(self.scope, self._keymap, width)


def key_hints(scope: Scope, keymap: Mapping[str, str], width: int) -> Content:
    """The keys of `scope` and of the app that are meant for the bar, as many as fit `width`."""
    others = keys_in("app") if scope != "message" else []
    keys = [key for key in (*keys_in(scope), *others) if key.bar and shown_keys(key, keymap) != OFF]
    line = Content("")
    for key in sorted(keys, key=lambda key: key.bar):
        owner = "app" if key.scope == "app" else "screen"
        shown = shown_keys(key, keymap).split(" / ")[0]
        markup = "[b]$keys[/b] $label"
        if key.scope not in ("sidebar", "filter"):
            markup = f"[@click={owner}.{key.action}]{markup}[/]"
        hint = Content.from_markup(markup, keys=shown, label=key.label)
        longer = line + Content("  ") + hint if line.plain else hint
        if longer.cell_length > width:
            break
        line = longer
    return line
