"""The command palette: keys and slash commands in one list, each thing once.

What is used most stands first, group by group; what cannot be done as things are is not offered. A
command that wants something behind it is begun in the prompt, where the list of what fits opens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from chatapp.commands.table import COMMANDS, GROUP_TITLES, Command
from chatapp.ui.app import ChatApp
from chatapp.ui.key_row import OFF, Key
from chatapp.ui.keymap import KEYS, shown_keys
from chatapp.ui.widgets.prompt import PromptBox

_GROUPS = ("Chats", "Answers and branches", "This chat's settings", "Reading", "Writing", "chatapp")
"""In the order in which they are offered."""
_GROUP_OF = {
    **dict.fromkeys(("new", "sidebar", "search", "rename", "export", "find"), "Chats"),
    **dict.fromkeys(
        (
            "stop", "answer_now", "regenerate", "continue", "edit", "previous_version",
            "next_version", "tree",
        ),
        "Answers and branches",
    ),
    **dict.fromkeys(("models", "settings", "convert", "fetch"), "This chat's settings"),
    "evaluations": "chatapp",
}  # fmt: skip
"""Of rows of the keymap; those that are not here are for reading, writing, or everywhere."""
_DOUBLES = {
    "title": "rename",
    "model": "models",
    "history": "sidebar",
    "set": "settings",
    "edit": "editor",
    "prompts": "search_prompts",
    "keys": "help",
    "undo": "undelete",
}
"""Commands that a row of the keymap does under another name."""
_OF_A_CHAT = frozenset(
    {
        "rename", "regenerate", "continue", "edit", "copy", "thinking", "oldest", "newest",
        "previous_version", "next_version", "mark_up", "mark_down", "tree", "export", "find",
        "save", "run", "raw", "compact", "tag", "pin", "archive", "delete", "title",
        "keep", "compare", "choose", "code_up", "code_down", "messages",
    }
)  # fmt: skip
"""What needs a chat with a message."""
_OF_AN_ANSWER = frozenset({"answer_now", "stop"})
"""What needs an answer that is being written."""
_BESIDE_NO_ANSWER = frozenset({"regenerate", "continue", "compact"})
"""What has to wait for one."""
_KEYLESS = (
    Key("tree", "", "tree", "Branches", "Show every branch of this chat as a tree.", "chat"),
    Key("export", "", "export", "Export", "Write this chat to a file.", "chat"),
    Key(
        "evaluations",
        "",
        "evaluations",
        "Evaluations",
        "Show what models were measured at, and compare two.",
        "chat",
    ),
    Key("empty_bin", "", "empty_bin", "Empty bin", "Remove deleted chats for good.", "chat"),
)
"""What one does too rarely for a key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is offered."""

    does: Key | Command
    title: str
    group: str
    help: str
    bar: int = 0
    """Place in the key bar; 0: it is not there."""

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What is in the key bar first, then by group."""
        return (not self.bar, self.bar, _GROUPS.index(self.group))


class ChatCommands(Provider):
    """Every key that has an action, and every command beside them."""

    async def discover(self) -> Hits:
        """All that can be done now, what is used most first."""
        for entry in self.entries():
            yield DiscoveryHit(entry.title, partial(self._run, entry.does), help=_describe(entry))

    async def search(self, query: str) -> Hits:
        """What has a name or a description like the query."""
        matcher = self.matcher(query)
        for entry in self.entries():
            score = max(matcher.match(entry.title), matcher.match(_describe(entry)) / 2)
            if score > 0:
                title = matcher.highlight(entry.title)
                yield Hit(score, title, partial(self._run, entry.does), help=_describe(entry))

    def entries(self) -> list[Entry]:
        """What can be done now, in the order in which it is offered."""
        able = [
            key
            for key in (*KEYS, *_KEYLESS)
            if key.action and key.id != "palette" and self._find_action(key)
        ]
        first = {key.action: key for key in sorted(able, key=_is_of_a_mode, reverse=True)}
        keys = [key for key in able if first[key.action] is key]
        known = self.app.chat.commands.names if isinstance(self.app, ChatApp) else frozenset()
        by_command = {*known, *(key for name, key in _DOUBLES.items() if name in known)}
        keys = [key for key in keys if not (_is_of_a_mode(key) and key.id in by_command)]
        names = {key.id for key in keys}
        found = [
            Entry(key, self._title(key), self._group(key), key.tooltip, _place(key))
            for key in keys
            if self._is_possible(key.id) and (key.scope != "message" or self._has_messages)
        ]
        found += [
            Entry(command, command.spelled, GROUP_TITLES[command.group], command.help)
            for command in COMMANDS
            if command.name in known
            and not names & {command.name, _DOUBLES.get(command.name, "")}
            and self._is_possible(command.name)
        ]
        return sorted(found, key=lambda entry: entry.rank)

    @property
    def _keymap(self) -> Mapping[str, str]:
        app = self.app
        return app.keymap if isinstance(app, ChatApp) else {}

    def _title(self, key: Key) -> str:
        has_key = key.keys and not _is_of_a_mode(key)
        keys = shown_keys(key, self._keymap) if has_key else ""
        return f"{key.label}  ({keys})" if keys and keys != OFF else key.label

    def _group(self, key: Key) -> str:
        by_scope = {"app": "chatapp", "prompt": "Writing"}
        return _GROUP_OF.get(key.id, by_scope.get(key.scope, "Reading"))

    @property
    def _has_messages(self) -> bool:
        return not isinstance(self.app, ChatApp) or bool(self.app.chat.flow.rows)

    def _is_possible(self, name: str) -> bool:
        if not isinstance(self.app, ChatApp):
            return True
        if name in _OF_A_CHAT and not self._has_messages:
            return False
        flow = self.app.chat.flow
        busy = flow.answering.busy
        return not (busy and name in _BESIDE_NO_ANSWER) and (busy or name not in _OF_AN_ANSWER)

    def _find_action(self, key: Key) -> bool:
        """Rows that are only a list's or a bar's cannot be done from anywhere."""
        if _is_of_a_mode(key) and not (key.bar and key.scope in ("message", "sidebar")):
            return False
        name = key.action.partition("(")[0]
        return key.scope in ("app", "prompt") or hasattr(self.screen, f"action_{name}")

    async def _run(self, does: Key | Command) -> None:
        if isinstance(does, Command):
            self._begin(does)
            return
        owner: DOMNode = self.app if does.scope == "app" else self.screen
        if does.scope == "prompt":
            owner = self.screen.query_one(PromptBox)
        await self.app.run_action(does.action, owner)

    def _begin(self, command: Command) -> None:
        """Do a command that takes nothing; write the beginning of another into an empty prompt."""
        assert isinstance(self.app, ChatApp)
        chat = self.app.chat
        prompt = chat.pane.prompt
        if not command.usage:
            chat.commands.take(f"/{command.name}")
        elif prompt.text:
            chat.desk.say(f"Your text is in the prompt. In an empty one, write: {command.spelled}")
        else:
            prompt.focus()
            prompt.begin_command(command.name)


def _is_of_a_mode(key: Key) -> bool:
    return key.scope not in ("app", "chat", "prompt")


def _place(key: Key) -> int:
    return 0 if _is_of_a_mode(key) else key.bar


def _describe(entry: Entry) -> str:
    return f"{entry.group} · {entry.help}"
