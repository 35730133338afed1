"""Markdown that grows at its end: text in, lines of styled runs out, at a cost that stays flat.

Knows nothing of widgets. `document.StreamingMarkdown` is the way in.
"""
