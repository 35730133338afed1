"""The command palette's commands, found by name: the keymap's rows, and what has no key."""

from collections.abc import Mapping
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from chatapp.ui.app import ChatApp
from chatapp.ui.key_row import OFF, Key
from chatapp.ui.keymap import KEYS, shown_keys
from chatapp.ui.widgets.prompt import PromptBox


class ChatCommands(Provider):
    """Every key that has an action, and the rest, as commands."""

    @property
    def _keymap(self) -> Mapping[str, str]:
        app = self.app
        return app.keymap if isinstance(app, ChatApp) else {}

    async def discover(self) -> Hits:
        """All commands, the ones of the key bar first."""
        for key in self._commands():
            yield DiscoveryHit(self._title(key), partial(self._run, key), help=key.tooltip)

    async def search(self, query: str) -> Hits:
        """Commands whose name or description is like the query."""
        matcher = self.matcher(query)
        for key in self._commands():
            title = self._title(key)
            score = max(matcher.match(title), matcher.match(key.tooltip) / 2)
            if score > 0:
                yield Hit(
                    score, matcher.highlight(title), partial(self._run, key), help=key.tooltip
                )

    def _title(self, key: Key) -> str:
        keys = shown_keys(key, self._keymap) if key.keys else ""
        return f"{key.label}  ({keys})" if keys and keys != OFF else key.label

    def _commands(self) -> list[Key]:
        """What can be done from anywhere: rows that are only a list's or a bar's are not."""
        keys = [
            key
            for key in (*KEYS, *_KEYLESS)
            if key.action and key.id != "palette" and self._find_action(key)
        ]
        return sorted(keys, key=lambda key: key.bar or len(KEYS))

    def _find_action(self, key: Key) -> bool:
        name = key.action.partition("(")[0]
        return key.scope in ("app", "prompt") or hasattr(self.screen, f"action_{name}")

    async def _run(self, key: Key) -> None:
        owner: DOMNode = self.app if key.scope == "app" else self.screen
        if key.scope == "prompt":
            owner = self.screen.query_one(PromptBox)
        await self.app.run_action(key.action, owner)


# What one does too rarely for a key.
_KEYLESS = (
    Key("tree", "", "tree", "Branches", "Show every branch of this chat as a tree.", "chat"),
    Key("export", "", "export", "Export", "Write this chat to a file.", "chat"),
    Key("empty_bin", "", "empty_bin", "Empty bin", "Remove deleted chats for good.", "chat"),
)
