"""Conversations as files: Markdown and HTML to read, JSON to keep and to bring back; and, in
`sft`, what a model is fine-tuned on.

Exporters take values from the store, message by message, never SQL. Markdown and HTML show the
active branch without control characters; JSON holds everything.
"""

from chatapp.export.registry import FORMATS, Format, export, render

__all__ = ["FORMATS", "Format", "export", "render"]
