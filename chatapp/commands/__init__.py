"""Slash commands: the table of them, how a message is read, what may come next while one is typed.

No widget and no engine is known here: what a command does is somebody else's. The chat, `--plain`,
the palette, `/help` and the documents read the same table.
"""

from chatapp.commands.arguments import PresetCall, read_preset_call, refuse_text
from chatapp.commands.completion import Candidate, Completion, Sources, complete
from chatapp.commands.parsing import Invocation, Misused, Parsed, Text, Unknown, parse
from chatapp.commands.table import COMMANDS, Command, Takes, find_command

__all__ = [
    "COMMANDS",
    "Candidate",
    "Command",
    "Completion",
    "Invocation",
    "Misused",
    "Parsed",
    "PresetCall",
    "Sources",
    "Takes",
    "Text",
    "Unknown",
    "complete",
    "find_command",
    "parse",
    "read_preset_call",
    "refuse_text",
]
