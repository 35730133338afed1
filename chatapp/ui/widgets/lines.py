"""A widget that draws lines of styled runs and no more than the lines on the screen.

One widget shows a whole message, since a widget a block makes every layout dearer the longer the
chat is. Styles are component classes of the scroll, so themes reach them. The surprising fact:
Textual's text selection finds its place by an `offset` in each segment's meta data, which
`Strip.apply_offsets` puts there, counted in characters of the line.
"""

import sys
from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from chatapp.ui.markdown.flow import Line, restyle

STYLES = (
    "em", "strong", "strike", "code", "link", "target", "marker", "quote", "rule",
    "heading", "h1", "h2", "h3", "h4", "h5", "h6", "table-head",
    "fence", "fence-label", "comment", "keyword", "number", "string", "function", "builtin",
    "deleted", "role", "role-user", "role-assistant",
    "role-system", "note", "mark", "error", "fold", "action", "maths", "hit", "hit-current",
    "current",
)  # fmt: skip


_MAX_STRIPS = 512
"""Drawn rows kept for the next time, a few screens of them."""


@lru_cache(maxsize=256)
def _click(href: str, action: str) -> Style:
    return Style.from_meta({"@click": action or ("open_link", (href,))})


class LinesScroll(VerticalScroll):
    """A scroll of `LinesView`s that has their looks, once for all of them: as component classes of
    each view they were nine tenths of what it cost to open a chat."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{name}" for name in STYLES}

    DEFAULT_CSS = """
    LinesScroll {
        & > .lines--em { text-style: italic; }
        & > .lines--strong { text-style: bold; }
        & > .lines--strike { text-style: strike; }
        & > .lines--code { color: $text-warning; background: $foreground 7%; }
        & > .lines--link { color: $text-accent; text-style: underline; }
        & > .lines--target { color: $text-muted; }
        & > .lines--marker { color: $text-primary; }
        & > .lines--quote { color: $text-primary; }
        & > .lines--rule { color: $foreground 30%; }
        & > .lines--heading { color: $text-primary; text-style: bold; }
        & > .lines--h1 { text-style: bold underline; }
        & > .lines--h4 { color: $text-secondary; }
        & > .lines--h5 { color: $text-secondary; }
        & > .lines--h6 { color: $text-muted; }
        & > .lines--table-head { text-style: bold; color: $text-primary; }
        & > .lines--fence { background: $foreground 7%; color: $foreground; }
        & > .lines--fence-label { background: $foreground 7%; color: $text-muted; }
        & > .lines--comment { color: $text-muted; text-style: italic; }
        & > .lines--keyword { color: $text-accent; text-style: bold; }
        & > .lines--number { color: $text-warning; }
        & > .lines--string { color: $text-success; }
        & > .lines--function { color: $text-primary; }
        & > .lines--builtin { color: $text-secondary; }
        & > .lines--deleted { color: $text-error; }
        & > .lines--role { text-style: bold; }
        & > .lines--role-user { color: $text-accent; }
        & > .lines--role-assistant { color: $text-success; }
        & > .lines--role-system { color: $text-muted; }
        & > .lines--note { color: $text-muted; }
        & > .lines--fold { color: $text-muted; text-style: italic; }
        & > .lines--mark { color: $text-warning; }
        & > .lines--error { color: $text-error; }
        & > .lines--action { color: $text-accent; text-style: bold; }
        & > .lines--maths { color: $text-secondary; }
        & > .lines--hit { color: $text-warning; text-style: underline; background: $warning 20%; }
        & > .lines--hit-current { color: $text-warning; text-style: bold reverse; }
        & > .lines--current { color: $text-accent; text-style: bold reverse; }
    }
    """


class LinesView(Widget):
    """Draws what `count_lines` and `get_line` give, inside a `LinesScroll`. A click on a link runs
    `action_open_link`."""

    DEFAULT_CSS = """
    LinesView { width: 1fr; height: auto; color: $foreground; }
    """

    virtual_size = Reactive(Size(0, 0), layout=False)
    """Nothing inside is laid out: a row more is one layout, not two."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._looks: dict[tuple[str, str, str], Style] = {}
        self._base = Style()
        self._strips: dict[int, Strip] = {}
        self._drawn: dict[int, Line] = {}
        """What the strips show."""
        self._strips_width = 0

    def count_lines(self, width: int) -> int:
        """Rows at `width` cells."""
        raise NotImplementedError

    def get_line(self, y: int, width: int) -> Line:
        """Row `y`."""
        raise NotImplementedError

    def refresh_rows(self, first: int, height_before: int) -> None:
        """Draw again from row `first` on; lay out again only when the height is another one."""
        width = self.content_size.width
        height = self.count_lines(width) if width else 0
        if not width or height != height_before:
            self._forget_from(first)
            self.refresh(layout=True)
            return
        others = [y for y in self._drawn if y >= first and self._reads_otherwise(y, width)]
        for y in others:
            self._forget(y)
        if others:
            top, bottom = min(others), max(others) + 1
            self.refresh(Region(0, top + self.gutter.top, self.size.width, bottom - top))

    def redraw(self) -> None:
        """Draw all of it again."""
        self._forget_from(0)
        self.refresh(layout=True)

    def _reads_otherwise(self, y: int, width: int) -> bool:
        """Whether a row that was drawn would be drawn otherwise now."""
        return y >= self.count_lines(width) or self.get_line(y, width) != self._drawn[y]

    def _forget_from(self, first: int) -> None:
        for y in [y for y in self._drawn if y >= first]:
            self._forget(y)

    def _forget(self, y: int) -> None:
        del self._strips[y], self._drawn[y]

    def _forget_all(self) -> None:
        self._strips.clear()
        self._drawn.clear()

    def notify_style_update(self) -> None:
        self._looks.clear()
        self._forget_all()
        super().notify_style_update()

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return self.count_lines(width) if width else 0

    def render_lines(self, crop: Region) -> list[Strip]:
        base, width = self.rich_style, self.content_size.width
        if base != self._base:
            self._base, self._strips_width = base, 0
            self._looks.clear()
        if width != self._strips_width or len(self._strips) > _MAX_STRIPS:
            self._strips_width = width
            self._forget_all()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None:
            width = self.content_size.width
            known = y < self.count_lines(width)
            line = self._drawn[y] = self.get_line(y, width) if known else Line([])
            strip = self._strips[y] = self._draw(y, line, width)
        return strip

    def _draw(self, y: int, line: Line, width: int) -> Strip:
        runs = line.runs
        selected = self.text_selection
        if selected is not None and (span := selected.get_span(y)) is not None:
            end = span[1] if span[1] >= 0 else sys.maxsize
            runs = restyle(runs, span[0], end, "selected")
        segments = [Segment(run.text, self._look(run.style, run.href, run.action)) for run in runs]
        fill = self._look(line.fill) if line.fill else self._base
        strip = Strip(segments).adjust_cell_length(width, fill)
        return strip.apply_offsets(0, y)

    def _look(self, names: str, href: str = "", action: str = "") -> Style:
        key = (names, href, action)
        look = self._looks.get(key)
        if look is None:
            look = self._base
            for name in names.split():
                if name == "selected":
                    look += self.screen.get_component_rich_style("screen--selection")
                else:
                    look += self._component_look(f"lines--{name}")
            if href or action:
                look += _click(href, action)
            self._looks[key] = look
        return look

    def _component_look(self, name: str) -> Style:
        """What the rules of one component say, with translucent colours blended over this view."""
        scroll = next(node for node in self.ancestors if isinstance(node, LinesScroll))
        rules = scroll.get_component_styles(name)
        look, under = rules.text_style, self.background_colors[1]
        if rules.has_rule("background"):
            under += rules.background
            look += Style(bgcolor=under.rich_color)
        if rules.has_rule("auto_color") and rules.auto_color:
            look += Style(color=(under + under.get_contrast_text(rules.color.a)).rich_color)
        elif rules.has_rule("color"):
            look += Style(color=(under + rules.color).rich_color)
        return look

    # Selecting with the mouse ------------------------------------------------------------------

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        self._forget_all()
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as it was before wrapping, without what is only decoration."""
        width = self.content_size.width
        out: list[str] = []
        first = selection.start.y if selection.start else 0
        last = selection.end.y if selection.end else self.count_lines(width) - 1
        for y in range(max(first, 0), min(last, self.count_lines(width) - 1) + 1):
            span = selection.get_span(y)
            if span is None:
                continue
            line = self.get_line(y, width)
            start, end = max(span[0], line.lead), None if span[1] < 0 else span[1]
            text = "".join(run.text for run in line.runs)[start:end]
            out += [line.joint if out else "", text.rstrip() if end is None else text]
        return "".join(out), "\n"
