"""Stored answers of older versions, as they would be stored today.

The store hands every row that it reads to `mend`. The file stays as it is until such an answer is
gone on with: what is certain may become more, and an older version may still read it.
"""

from dataclasses import replace

from chatapp.answer import name_calls
from chatapp.parts import Text
from chatapp.remotes import PREFIX
from chatapp.store.rows import MessageRow

_MARKS = ("<", "[")
"""What the marks of thoughts, calls and messages begin with."""


def mend(row: MessageRow) -> MessageRow:
    """The row, its thoughts and calls as parts where they stood in its text.

    A model must have written it in a chat, by a template or behind a server, and a version that
    did not know the marks: later ones store with an answer where its sampling is from.
    """
    runs = row.generations
    if row.role != "assistant" or row.status == "streaming" or not runs:
        return row
    if not any(isinstance(p, Text) and any(mark in p.text for mark in _MARKS) for p in row.parts):
        return row
    is_served = runs[0].model_path.startswith(PREFIX)
    if not all(run.template_hash or run.model_path.startswith(PREFIX) for run in runs):
        return row
    if any('"used":' in run.params_json for run in runs):
        return row
    from chatapp.engine.chat.stored import read_again

    was_cut = row.status != "complete" or runs[-1].finish_reason == "length"
    parts = read_again(row.parts, was_cut=was_cut, is_served=is_served)
    return row if parts == row.parts else replace(row, parts=name_calls(parts, row.uid))
