"""Every slash command, once."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

Group = Literal["settings", "writing", "reading", "tree", "chats", "program"]

GROUP_TITLES: dict[Group, str] = {
    "settings": "This chat's settings",
    "writing": "Writing",
    "reading": "Reading",
    "tree": "Answers and branches",
    "chats": "Chats",
    "program": "chatapp",
}


class Takes(Enum):
    """What stands behind a command: how it is checked, and what completes it."""

    NOTHING = auto()
    TEXT = auto()
    """Anything, over several lines."""
    WORDS = auto()
    """Anything, on one line."""
    SWITCH = auto()
    """`on`, `off`, or nothing to change it."""
    NUMBER = auto()
    """A whole number above 0, or nothing."""
    PARAMETER = auto()
    """A parameter and its value, which may have several lines."""
    PRESET = auto()
    """A preset, and values for its variables."""
    TEMPLATE = auto()
    """The same, and a text behind it, which may have several lines."""
    MODEL = auto()
    THINKING = auto()
    FILE = auto()
    """A file that is there."""
    NEW_FILE = auto()
    """A file to write."""
    COMMAND = auto()
    THEME = auto()
    TAG = auto()
    CODE = auto()
    """The number of a code block, counted from the last answer's first; `all` the answer."""


MANY_LINES = frozenset({Takes.TEXT, Takes.PARAMETER, Takes.TEMPLATE})


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    group: Group
    takes: Takes
    usage: str
    """What stands behind the name, as help shows it; in brackets what may be left out."""
    help: str
    """One sentence."""
    aliases: tuple[str, ...] = ()

    @property
    def spelled(self) -> str:
        """As one would type it: `/set [NAME [VALUE]]`."""
        return f"/{self.name} {self.usage}".rstrip()


COMMANDS: tuple[Command, ...] = (
    Command(
        "system",
        "settings",
        Takes.TEXT,
        "[TEXT | none | reset]",
        "Show or set this chat's system prompt; `reset` takes that of the settings.",
    ),
    Command(
        "set",
        "settings",
        Takes.PARAMETER,
        "[NAME [VALUE]]",
        "Set a parameter for this chat; without VALUE it is as before, without NAME all are shown.",
        ("settings",),
    ),
    Command(
        "preset",
        "settings",
        Takes.PRESET,
        "[NAME [VARIABLE=VALUE ...] | off]",
        "Take a preset for this chat: its system prompt, prompt, sampling, thinking and model.",
        ("persona",),
    ),
    Command(
        "model",
        "settings",
        Takes.MODEL,
        "[NAME]",
        "Choose the model of this chat.",
        ("models",),
    ),
    Command(
        "think",
        "settings",
        Takes.THINKING,
        "[on | off | low | medium | high | N | reset]",
        "How much the model is to think before it answers.",
    ),
    Command(
        "context",
        "settings",
        Takes.NUMBER,
        "[N]",
        "Show what fills the context, or load the model with a context of N tokens.",
        ("ctx",),
    ),
    Command(
        "schema",
        "settings",
        Takes.FILE,
        "[FILE | off]",
        "Hold the answers of this chat to the JSON schema in a file.",
    ),
    Command(
        "grammar",
        "settings",
        Takes.FILE,
        "[FILE | off]",
        "Hold the answers of this chat to the GBNF grammar in a file.",
    ),
    Command(
        "edit",
        "writing",
        Takes.NOTHING,
        "",
        "Write the message in your editor ($VISUAL or $EDITOR).",
        ("editor",),
    ),
    Command(
        "attach",
        "writing",
        Takes.FILE,
        "FILE",
        "Put a text file before the model, with the next message.",
        ("file",),
    ),
    Command(
        "template",
        "writing",
        Takes.TEMPLATE,
        "NAME [VARIABLE=VALUE ...] [TEXT]",
        "Write the prompt of a preset into the message, filled in, to look at and send.",
        ("use",),
    ),
    Command(
        "prompts",
        "writing",
        Takes.WORDS,
        "[WORDS]",
        "Find what you wrote before, in any chat, and bring it back.",
    ),
    Command(
        "copy",
        "reading",
        Takes.CODE,
        "[N | all]",
        "Copy the last answer to the clipboard, or its Nth code block.",
    ),
    Command(
        "save",
        "reading",
        Takes.NEW_FILE,
        "[FILE]",
        "Save the code block under the cursor, or the only one of the last answer, in a file.",
    ),
    Command(
        "run",
        "reading",
        Takes.CODE,
        "[N]",
        "Run a code block of the last answer, after asking.",
    ),
    Command("raw", "reading", Takes.SWITCH, "[on | off]", "Show messages as they were written."),
    Command("find", "reading", Takes.WORDS, "[WORDS]", "Find words in this chat."),
    Command(
        "regenerate",
        "tree",
        Takes.NUMBER,
        "[N]",
        "Ask for another answer, or for N at once, side by side; those before stay.",
        ("retry",),
    ),
    Command(
        "continue",
        "tree",
        Takes.NOTHING,
        "",
        "Go on with a stopped or interrupted answer.",
    ),
    Command("compare", "tree", Takes.NOTHING, "", "Show the versions of an answer side by side."),
    Command("choose", "tree", Takes.NUMBER, "NUMBER", "Show that version of the last answer."),
    Command("tree", "tree", Takes.NOTHING, "", "Show every branch of this chat."),
    Command(
        "compact",
        "tree",
        Takes.WORDS,
        "[WHAT MATTERS]",
        "Let the model summarise the older turns, on a branch of its own.",
    ),
    Command("undo", "tree", Takes.NOTHING, "", "Bring back what was deleted last."),
    Command("new", "chats", Takes.NOTHING, "", "Start a new chat.", ("clear",)),
    Command(
        "temporary",
        "chats",
        Takes.NOTHING,
        "",
        "Start a chat that is kept nowhere; from it, go back: then it is gone.",
    ),
    Command("keep", "chats", Takes.NOTHING, "", "Move a temporary chat into the history."),
    Command("title", "chats", Takes.WORDS, "[TITLE]", "Rename this chat.", ("rename",)),
    Command("tag", "chats", Takes.TAG, "[TAG ...]", "Tag this chat; a tag it has goes."),
    Command(
        "pin",
        "chats",
        Takes.WORDS,
        "[chat | message] [on | off]",
        "Keep this chat at the top of the list, or a message word for word however long it gets.",
    ),
    Command("archive", "chats", Takes.SWITCH, "[on | off]", "Take this chat out of the list."),
    Command(
        "delete",
        "chats",
        Takes.WORDS,
        "[chat | message | branch]",
        "Delete this chat, the marked or last message, or that and all below; /undo undoes it.",
    ),
    Command(
        "export",
        "chats",
        Takes.NEW_FILE,
        "[FILE]",
        "Write this chat to a file: .md, .html, or .json with every branch.",
    ),
    Command("history", "chats", Takes.NOTHING, "", "Show the list of chats.", ("chats",)),
    Command("search", "chats", Takes.WORDS, "[WORDS]", "Search every message ever written."),
    Command(
        "theme",
        "program",
        Takes.THEME,
        "[NAME]",
        "Switch between light and dark, or to a theme by its name.",
    ),
    Command(
        "evaluations",
        "program",
        Takes.NOTHING,
        "",
        "Show what models were measured at, and compare two.",
        ("eval",),
    ),
    Command("keys", "program", Takes.NOTHING, "", "Show every key."),
    Command(
        "help",
        "program",
        Takes.COMMAND,
        "[COMMAND | QUESTION]",
        "Show every command, what one does, or have the model answer a question about chatapp.",
        ("?", "commands"),
    ),
    Command("quit", "program", Takes.NOTHING, "", "Leave. Nothing is lost.", ("exit", "q")),
)

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def find_command(name: str) -> Command | None:
    """The command with that name or alias, in any case; None if there is none."""
    return _BY_NAME.get(name.lower())


def command_names() -> list[str]:
    """Every name and alias, in the table's order."""
    return list(_BY_NAME)


def write_table() -> str:
    """The table in Markdown, for the documents."""
    lines = ["| Command | What it does | Also |", "|---------|--------------|------|"]
    for command in COMMANDS:
        usage = command.spelled.replace("|", "\\|")
        also = ", ".join(f"`/{alias}`" for alias in command.aliases)
        lines.append(f"| `{usage}` | {command.help} | {also} |")
    return "\n".join(lines) + "\n"
