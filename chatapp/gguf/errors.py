"""What this package raises: a message that says what failed on which file, and a hint what to do.

chatapp and the converter each turn them into an error of their own tree.
"""


class GgufError(Exception):
    """A model file cannot be read or written."""

    def __init__(self, message: str, hint: str = "") -> None:
        # Names of files may hold half surrogates, which no file and no stream takes.
        message, hint = (text.encode("utf-8", "replace").decode() for text in (message, hint))
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class TemplateError(GgufError):
    """A chat template cannot be rendered: it is wrong, refuses, or takes too much of something."""
