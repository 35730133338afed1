"""Every key of the app, once: the bindings, the key bar, the palette and the help read this table.

A user's `[keys]` settings map an id to other keys; `bindings` gives Textual the ids so that it can
replace them. Keys with `fixed` belong to the prompt's editor and cannot be moved. The prompt's rows
are in `prompt_keymap.py`, because the prompt runs them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chatapp.ui.key_row import OFF, Key, Scope, spell_key, split_keys
from chatapp.ui.list_keymap import FILTER_KEYS, FIND_KEYS, LIST_KEYS, TREE_KEYS
from chatapp.ui.message_keymap import MESSAGE_KEYS, READING_KEYS, SCROLLING_KEYS, SIDES_KEYS
from chatapp.ui.prompt_keymap import PROMPT_KEYS

if TYPE_CHECKING:
    from textual.binding import BindingType

SCOPE_TITLES: dict[Scope, str] = {
    "prompt": "Writing",
    "chat": "Chatting",
    "message": "In the messages (Tab)",
    "sidebar": "List of chats",
    "filter": "Filter of the list",
    "find": "Finding in a chat",
    "tree": "Branches of a chat",
    "sides": "Answers side by side",
    "app": "Everywhere",
}


KEYS: tuple[Key, ...] = (
    *PROMPT_KEYS,
    *SCROLLING_KEYS,
    Key(
        "stop",
        "escape",
        "stop",
        "Stop",
        "One step back: remove a mark, leave editing, stop the answer and keep its text.",
        "chat",
    ),
    Key(
        "answer_now",
        "alt+a",
        "answer_now",
        "Answer now",
        "Let the model think no more and begin its answer.",
        "chat",
        priority=True,
    ),
    Key(
        "regenerate",
        "ctrl+r",
        "regenerate",
        "Regenerate",
        "Ask for another answer; the old one stays, one arrow away.",
        "chat",
        bar=6,
        priority=True,
    ),
    Key(
        "continue",
        "ctrl+g",
        "continue",
        "Continue",
        "Go on with a stopped or interrupted answer from its exact last token.",
        "chat",
        bar=8,
        priority=True,
    ),
    Key(
        "edit",
        "ctrl+e",
        "edit",
        "Edit",
        "In an empty prompt: edit your last message, or the marked one, as a new branch.",
        "chat",
        bar=7,
        priority=True,
    ),
    Key(
        "previous_version",
        "alt+left",
        "sibling(-1)",
        "Previous version",
        "Show the version before this one.",
        "chat",
        priority=True,
    ),
    Key(
        "next_version",
        "alt+right",
        "sibling(1)",
        "Next version",
        "Show the version after this one.",
        "chat",
        priority=True,
    ),
    Key(
        "copy",
        "alt+c",
        "copy",
        "Copy answer",
        "Copy the last answer, or the marked message, to the clipboard.",
        "chat",
        priority=True,
    ),
    Key(
        "thinking",
        "alt+t",
        "thinking",
        "Thinking",
        "Show or hide what the model thought, of the last answer or the marked one.",
        "chat",
        priority=True,
    ),
    Key(
        "page_up",
        "pageup",
        "scroll_page(-1)",
        "Page up",
        "Scroll the conversation up.",
        "chat",
    ),
    Key(
        "page_down",
        "pagedown",
        "scroll_page(1)",
        "Page down",
        "Scroll the conversation down.",
        "chat",
    ),
    Key(
        "oldest",
        "ctrl+home",
        "oldest",
        "First message",
        "Go to the first message of the chat.",
        "chat",
        priority=True,
    ),
    Key(
        "newest",
        "ctrl+end",
        "newest",
        "Last message",
        "Go to the end of the chat and stay there.",
        "chat",
        priority=True,
    ),
    Key(
        "mark_up",
        "alt+up",
        "mark(-1)",
        "Mark above",
        "Mark a message, then the one above it: the keys for a message act on the marked one.",
        "chat",
        priority=True,
    ),
    Key(
        "mark_down",
        "alt+down",
        "mark(1)",
        "Mark below",
        "Mark the message below; below the last one, none.",
        "chat",
        priority=True,
    ),
    *READING_KEYS,
    *MESSAGE_KEYS,
    Key("new", "ctrl+n", "new", "New chat", "Start a new chat.", "chat", bar=3, priority=True),
    Key(
        "sidebar",
        "ctrl+b",
        "sidebar",
        "Chats",
        "Go to the list of chats, or hide it.",
        "chat",
        bar=4,
        priority=True,
    ),
    Key(
        "search",
        "ctrl+f",
        "search",
        "Search",
        "Search every message ever written.",
        "chat",
        bar=5,
        priority=True,
    ),
    Key("find", "f7", "find", "Find", "Find words in this chat.", "chat", priority=True),
    Key("rename", "f2", "rename", "Rename", "Rename this chat.", "chat", priority=True),
    Key(
        "models",
        "ctrl+o",
        "models",
        "Models",
        "Choose another model file.",
        "chat",
        bar=2,
        priority=True,
    ),
    Key(
        "settings",
        "f6",
        "settings",
        "Settings",
        "Show and change what this chat sets for itself, and save it as a preset.",
        "chat",
        priority=True,
    ),
    Key(
        "convert",
        "f3",
        "convert",
        "Convert model",
        "Make a model file of a trained checkpoint, and chat with it.",
        "chat",
        priority=True,
    ),
    Key(
        "fetch",
        "f4",
        "fetch",
        "Fetch a model",
        "Find a model on the hub and fetch it.",
        "chat",
        priority=True,
    ),
    *LIST_KEYS,
    *FILTER_KEYS,
    *FIND_KEYS,
    *TREE_KEYS,
    *SIDES_KEYS,
    Key(
        "help",
        "f1",
        "help",
        "Help",
        "Keys, where your files are, and what the model wants you to know.",
        "app",
        bar=1,
        priority=True,
    ),
    Key(
        "palette",
        "ctrl+p",
        "command_palette",
        "Commands",
        "Find any command by name.",
        "app",
        bar=9,
        priority=True,
    ),
    Key(
        "theme",
        "ctrl+t",
        "switch_theme",
        "Light or dark",
        "Switch between the light and the dark theme.",
        "app",
        priority=True,
    ),
    Key(
        "interrupt",
        "ctrl+c",
        "interrupt",
        "Stop or clear",
        "Copy a selection, stop the answer, or clear the prompt; twice quits.",
        "app",
        priority=True,
    ),
    Key(
        "suspend",
        "ctrl+z",
        "suspend_process",
        "Suspend",
        "Stop chatapp and give the terminal back to the shell; `fg` there brings it back.",
        "app",
        priority=True,
    ),
    Key("quit", "ctrl+q", "quit", "Quit", "Leave. Nothing is lost.", "app", bar=10, priority=True),
)


def bindings(scope: Scope) -> list[BindingType]:
    """Textual bindings of one scope, each with its id so that a user's keymap can replace it. The
    keys of the messages are bound to the transcript; what they do is the screen's."""
    from textual.binding import Binding  # the table is read where there is no screen, too

    owner = "screen." if scope == "message" else ""
    return [
        Binding(
            key.keys,
            key.action if "." in key.action else owner + key.action,
            key.label,
            show=False,
            priority=key.priority,
            tooltip=key.tooltip,
            id=key.id,
        )
        for key in KEYS
        if key.scope == scope and not key.fixed
    ]


def keys_in(scope: Scope) -> list[Key]:
    """The table's rows of one scope, in order."""
    return [key for key in KEYS if key.scope == scope]


def write_table() -> str:
    """The table in Markdown, for the documents."""
    lines = []
    for scope, title in SCOPE_TITLES.items():
        lines += ["", f"## {title}", "", "| Keys | What happens | Name in `[keys]` |"]
        lines.append("|------|--------------|------------------|")
        for key in keys_in(scope):
            name = "" if key.fixed else f"`{key.id}`"
            lines.append(f"| {shown_keys(key, {})} | {key.tooltip} | {name} |")
    return "\n".join(lines) + "\n"


def movable_ids() -> list[str]:
    """Ids a user's `[keys]` settings may name."""
    return [key.id for key in KEYS if not key.fixed]


def shown_keys(key: Key, keymap: Mapping[str, str]) -> str:
    """The keys of one row for people, `Ctrl+R` or `Shift+Enter / Ctrl+J`, a user's own if set; `–`
    where they switched it off."""
    keys = key.keys if key.fixed else keymap.get(key.id, key.keys)
    return " / ".join(spell_key(part) for part in split_keys(keys)) or OFF


def key_of(key_id: str) -> Key:
    """The row with this id; `KeyError` if there is none."""
    for key in KEYS:
        if key.id == key_id:
            return key
    raise KeyError(key_id)
