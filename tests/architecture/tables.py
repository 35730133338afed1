"""Writes the tables of the documents anew, from the code they are about: `make docs`."""

from chatapp.commands.table import write_table as write_command_table
from chatapp.ui.keymap import write_table as write_key_table
from tests.architecture.sources import ROOT

TABLES = {"docs/COMMANDS.md": write_command_table, "docs/KEYS.md": write_key_table}
"""Documents that end with a table."""


def rewrite(text: str, table: str) -> str:
    """A document with its table, which begins with the table's first line, replaced."""
    first = table.lstrip("\n").split("\n", 1)[0]
    return text[: text.index(first)] + table.lstrip("\n")


if __name__ == "__main__":
    for name, write in TABLES.items():
        path = ROOT / name
        path.write_text(rewrite(path.read_text(encoding="utf-8"), write()), encoding="utf-8")
