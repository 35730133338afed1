"""What a message is that was written: text for the model, or a command.

- A command is a slash and a word of letters, digits, `-` and `_` at the very beginning, spaces
  aside. So `/etc/fstab`, `/* a comment */` and `/ 2` are text.
- `//x` is the text `/x`: one slash goes, so that any text can be sent. `// a comment`, or a row of
  slashes with more behind it, is code that somebody pasted, and stays as it is.
- Only the first line decides. Lines below it belong to a command that takes a text (`/system`,
  `/set`, `/template`). With any other command they would be lost, so nothing is done or sent, and a
  sentence says so.
- `exit`, `quit`, `:q` and their kind, alone, are `/quit`; a slash alone is `/help`.
- A word with a slash that no command has is not sent: it was a command with a slip in it.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from chatapp.commands.table import MANY_LINES, Command, Takes, command_names, find_command
from chatapp.text import cut_text, one_line

ECHO_DIRECTIVES = frozenset({"words", "delay", "prefill", "markdown", "think", "die", "fail"})
"""What the echo engine obeys by itself, see `chatapp/engine/echo.py`."""

_FAREWELLS = frozenset({"exit", "quit", ":q", ":q!", ":qa", ":wq", ":x"})
COMMAND_WORD = re.compile(r"/([^\W\d_][\w-]*|\?)([.,:;!?]*)(?=\s|$)")
"""A command's name, and what stands behind it by mistake."""
_SWITCHES = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class Text:
    """What goes to the model, as it goes."""

    text: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command, and what stands behind it without the spaces around."""

    command: Command
    args: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word with a slash that is no command; nothing is sent."""

    name: str
    nearest: str
    """The command whose name looks most like it; empty if none does."""

    @property
    def message(self) -> str:
        """A sentence for the one who wrote it."""
        return f"There is no command /{self.name}."

    @property
    def hint(self) -> str:
        """What to do."""
        meant = f"Did you mean /{self.nearest}? " if self.nearest else "/help lists them. "
        return f"{meant}//{self.name} sends it as text."


@dataclass(frozen=True, slots=True)
class Misused:
    """A command that cannot have what stands behind it; nothing is done or sent."""

    command: Command
    message: str
    hint: str


Parsed = Text | Invocation | Unknown | Misused


def parse(text: str, *, passes: Collection[str] = ()) -> Parsed:
    """Read a message. `passes`: words that the engine obeys itself, such as `ECHO_DIRECTIVES`; a
    message that begins with one is text."""
    message = text.strip()
    if message == "/" or message.lower() in _FAREWELLS:
        meant = find_command("help" if message == "/" else "quit")
        assert meant is not None
        return Invocation(meant)
    if message.startswith("//"):
        return Text(_strip_slash(message))
    word = COMMAND_WORD.match(message)
    if word is None or word[1] in passes:
        return Text(text)
    command = None if word[2] else find_command(word[1])
    if command is None:
        name = cut_text(one_line(word[1]), 40)
        return Unknown(name, nearest_command(name))
    rest = message[word.end() :]
    if "\n" in rest and command.takes not in MANY_LINES:
        return Misused(
            command,
            f"/{command.name} takes one line, and there are more below it.",
            f"Nothing was sent. //{command.name} sends all of it as text.",
        )
    return _check(Invocation(command, rest.strip()))


def nearest_command(name: str) -> str:
    """The command's name that looks most like `name`; empty if none does."""
    names = command_names()
    typed = name.lower()
    begun = [known for known in names if len(typed) > 1 and known.startswith(typed)]
    close = begun or difflib.get_close_matches(typed, names, n=1, cutoff=0.6)
    return close[0] if close else ""


def read_switch(args: str) -> bool | None:
    """`on` or `off`; None: the other of what it is."""
    return _SWITCHES.get(args.lower())


def _strip_slash(message: str) -> str:
    first = message.split(maxsplit=1)[0]
    is_comment = not first.strip("/") and first != message
    return message if is_comment else message[1:]


def _check(invocation: Invocation) -> Invocation | Misused:
    command, args = invocation.command, invocation.args
    hint = f"It is written {command.spelled}; //{command.name} sends a text that begins so."
    if args and command.takes is Takes.NOTHING:
        return Misused(command, f"/{command.name} takes nothing behind it.", hint)
    if not args and command.usage and not command.usage.startswith("["):
        wanted = command.usage.split(maxsplit=1)[0]
        return Misused(command, f"/{command.name} wants a {wanted.lower()}.", hint)
    if args and command.takes is Takes.SWITCH and args.lower() not in _SWITCHES:
        return Misused(command, f"/{command.name} takes `on` or `off`.", hint)
    if args and command.takes is Takes.NUMBER and not _is_number(args):
        return Misused(command, f"/{command.name} takes a number above 0.", hint)
    return invocation


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**31
