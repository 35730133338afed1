"""Conversations as files: Markdown and HTML to read, JSON to keep and to bring back.

Exporters take values from the store (`ConversationTree`), never SQL. Markdown and HTML show the
active branch without control characters; JSON holds everything.
"""

from chatapp.export.reading import import_json
from chatapp.export.registry import FORMATS, Format, render

__all__ = ["FORMATS", "Format", "import_json", "render"]
