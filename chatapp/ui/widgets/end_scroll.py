"""A scroll that stays at its end while that grows, until the user scrolls away."""

from typing import Any

from chatapp.ui.widgets.lines import LinesScroll


class EndScroll(LinesScroll):
    """Where the end is, and whether one wants to see it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._follows = True
        """Whether the end is what the user wants to see."""

    @property
    def _overflows(self) -> bool:
        return self.virtual_size.height > self.container_size.height

    @property
    def _sticks(self) -> bool:
        return self.is_anchored and self.scroll_y >= self.max_scroll_y

    def _stick(self) -> None:
        """Go to the end and stay there. Textual's anchor would push a chat that is shorter than
        the screen to its bottom, so it is dropped as soon as everything fits."""
        self._follows = True
        self.anchor(self._overflows)
        if not self._overflows:
            self.set_scroll(None, 0)

    def _stick_if_followed(self) -> None:
        if self._follows:
            self._stick()

    def _leave_end(self) -> None:
        self._follows = False
        self.anchor(False)

    def release_anchor(self) -> None:
        """Let the user scroll away. A step down at the end moves nothing, so the anchor, which
        Textual takes up again when something moves, is looked at afterwards."""
        super().release_anchor()
        self.call_later(self._hold_end)

    def _hold_end(self) -> None:
        if self.scroll_target_y >= self.max_scroll_y:
            self._check_anchor()

    def watch_virtual_size(self) -> None:
        if self._follows and self._overflows != self.is_anchored:
            self._stick()

    def on_resize(self) -> None:
        self.watch_virtual_size()
