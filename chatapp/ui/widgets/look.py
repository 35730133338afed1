"""How messages are drawn: values, the same for all of a transcript."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """Widths are terminal cells; keys are spelled for people."""

    measure: int = 0
    """The longest line of prose; 0: as wide as the window."""
    centred: bool = False
    """Whether prose stands in the middle, where the window is wider."""
    fold_key: str = ""
    """Shows and hides what the model thought; empty: nothing is said of it."""
    continue_key: str = "Ctrl+G"

    def frame(self, width: int) -> tuple[int, int]:
        """Cells left of prose, and cells for it."""
        inner = min(self.measure or width, width)
        return (width - inner) // 2 if self.centred else 0, inner
