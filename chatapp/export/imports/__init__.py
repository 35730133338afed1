"""Chats of other programs, and exports of our own, brought into the history with their branches.

`import_from` is the way in; a program is a module, and a line in `registry.py`.
"""

from chatapp.export.imports.importing import Report, import_from
from chatapp.export.imports.registry import PROGRAMS, Program, choose

__all__ = ["PROGRAMS", "Program", "Report", "choose", "import_from"]
