"""The export formats: a new one is a file beside this and a line in `FORMATS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatapp.errors import UsageError
from chatapp.export.lossless import render_json
from chatapp.export.markdown import render_markdown
from chatapp.export.webpage import render_html
from chatapp.store.rows import ConversationTree


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write conversations to a file."""

    name: str
    suffix: str
    help: str
    render: Callable[[Sequence[ConversationTree]], str]


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("markdown", ".md", "The shown branch, to read and to paste.", render_markdown),
        Format("json", ".json", "Every branch and figure; can be imported again.", render_json),
        Format("html", ".html", "The shown branch as one page without scripts.", render_html),
    )
}


def render(name: str, *trees: ConversationTree) -> str:
    """The conversations as one file of format `name`, ending in a newline.

    Raises `UsageError` for a name that is not in `FORMATS`.
    """
    if name not in FORMATS:
        raise UsageError(
            f"There is no export format {name!r}.", f"Use one of: {', '.join(FORMATS)}."
        )
    return FORMATS[name].render(trees)
