"""Prompts sent before, and where one stands among them while one goes up and down."""

_KEPT = 500
"""Prompts that can be recalled."""


class Earlier:
    """The prompts, oldest first, and the draft that waits below them."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self._at: int | None = None
        self._draft = ""

    @property
    def recalled(self) -> bool:
        """Whether what is written is one of them."""
        return self._at is not None

    def leave(self) -> None:
        """What is written is no longer one of them."""
        self._at = None

    def add(self, text: str) -> None:
        """One was sent; sent again at once, it is there once."""
        if not self.texts or self.texts[-1] != text:
            self.texts.append(text)
            del self.texts[:-_KEPT]
        self._at, self._draft = None, ""

    def before(self, draft: str) -> str | None:
        """The one before, `draft` being kept; None if there is none."""
        at = len(self.texts) if self._at is None else self._at
        if self._at is None:
            self._draft = draft
        if not at:
            return None
        self._at = at - 1
        return self.texts[at - 1]

    def after(self) -> str:
        """The one after, or the draft."""
        if self._at is None or self._at + 1 >= len(self.texts):
            self._at = None
            return self._draft
        self._at += 1
        return self.texts[self._at]

    def find(self, query: str, limit: int) -> list[str]:
        """Those with a text in them, the newest first."""
        sought = query.casefold()
        return [text for text in reversed(self.texts) if sought in text.casefold()][:limit]
