"""The steps of a conversion as lines with bars."""

from textual.content import Content
from textual.widget import Widget

_TITLES = {
    "read": "Reading the source",
    "imatrix": "Measuring importance",
    "write": "Writing the file",
    "prove": "Proving it",
}
_STEP_OF = {"parity": "prove", "source": "prove"}
_TITLE_CELLS = 22


class Steps(Widget):
    """One line a step: done, under way, or what is known of it."""

    DEFAULT_CSS = """
    Steps { height: auto; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002  (Textual's name)
        super().__init__(id=id)
        self._steps: dict[str, float] = {}

    @property
    def fractions(self) -> dict[str, float]:
        """How much of each step is done, 0 to 1."""
        return dict(self._steps)

    def begin(self, name: str) -> None:
        """A step begins: those before it are done. Unknown ones are shown under their own name."""
        self._steps = dict.fromkeys(self._steps, 1.0) | {name: 0.0}
        self.refresh(layout=True)

    def advance(self, step: str, done: int, total: int) -> None:
        """A part of a step is done."""
        name = _STEP_OF.get(step, step)
        if name not in self._steps and self._steps:  # a part of the step that is under way
            name = list(self._steps)[-1]
        fraction = min(1.0, done / total) if total > 0 else 0.0
        self._steps[name] = fraction
        self.refresh()

    def clear(self) -> None:
        """No steps."""
        self._steps = {}
        self.refresh(layout=True)

    def get_content_height(self, *_: object) -> int:
        """A line a step."""
        return len(self._steps)

    def render(self) -> Content:
        """Title, bar, percentage."""
        cells = max(8, min(40, self.size.width - _TITLE_CELLS - 6))
        return Content("\n").join(
            _line(_TITLES.get(name, name[:20].title()), fraction, cells)
            for name, fraction in self._steps.items()
        )


def _line(title: str, fraction: float, cells: int) -> Content:
    full = round(fraction * cells)
    style = "$text-success" if fraction >= 1.0 else "$text-accent"
    return Content.assemble(
        f"{title:<{_TITLE_CELLS}}",
        ("━" * full, style),
        ("─" * (cells - full), "$text-muted"),
        f" {fraction:>4.0%}",
    )
