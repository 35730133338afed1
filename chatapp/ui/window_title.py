"""What the terminal's window is called while chatapp has it (`[ui] window_title`).

The terminal keeps the title it had on a pile of its own, and takes it back from there; one without
a pile is left with none, which is what it began with. Names of chats come from what was written:
they are cleaned.
"""

from collections.abc import Callable

from textual.screen import Screen

from chatapp.config import WindowTitles
from chatapp.text import cut_text
from chatapp.ui.wording import clean_line

_LONGEST = 60
_KEEP = "\x1b[22;2t"
_BRING_BACK = "\x1b]2;\x07\x1b[23;2t"


class WindowTitle:
    """Writes titles, and nothing where nobody asked for one."""

    def __init__(self, when: WindowTitles, write: Callable[[str], object]) -> None:
        """`write` sends a sequence to the terminal."""
        self._when = when
        self._write = write
        self._chat = ""
        self._news = False
        """An answer has ended, and nobody has looked since."""
        self._is_lent = False
        """Somebody else has the terminal."""
        self._written = ""
        """What the window is called by us; empty: as before."""

    def follow(self, screen: Screen[None]) -> None:
        """From now on mind who looks, and who has the terminal."""
        app = screen.app
        screen.watch(app, "app_focus", self._see, init=False)
        app.app_suspend_signal.subscribe(screen, lambda _: self.give_back(), immediate=True)
        app.app_resume_signal.subscribe(screen, lambda _: self._take_again())

    def show(self, chat: str) -> None:
        """The open chat is called so; empty: it has no name yet."""
        self._chat = cut_text(clean_line(chat), _LONGEST)
        self._update()

    def tell_end(self) -> None:
        """An answer has ended while nobody looked."""
        self._news = True
        self._update()

    def _see(self, looks: bool) -> None:
        if looks:
            self._news = False
            self._update()

    def give_back(self) -> None:
        """Let the window be called what it was before."""
        self._is_lent = True
        self._update()

    def _take_again(self) -> None:
        self._is_lent = False
        self._update()

    @property
    def _wanted(self) -> str:
        if self._is_lent or self._when == "off" or (self._when == "answers" and not self._news):
            return ""
        name = f"{self._chat} – chatapp" if self._chat else "chatapp"
        return f"✓ {name}" if self._news else name

    def _update(self) -> None:
        before, wanted = self._written, self._wanted
        if wanted == before:
            return
        self._written = wanted
        if wanted:
            self._write(f"{'' if before else _KEEP}\x1b]2;{wanted}\x07")
        else:
            self._write(_BRING_BACK)
