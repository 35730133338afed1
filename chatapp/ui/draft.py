"""What was being written, as one value, and what of it is kept until the next start."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Begun:
    """What stands in a prompt, and what it is to become."""

    text: str = ""
    replaces: int | None = None
    """The message that it is another version of; None: it is a new one."""
    waits: str = ""
    """The draft that waits until that version was sent or is given up."""

    def __bool__(self) -> bool:
        return bool(self.text or self.waits)

    @property
    def whole(self) -> str:
        """All that was written, as one text."""
        return "\n".join(part for part in (self.waits, self.text) if part)

    def behind(self, texts: Sequence[str]) -> "Begun":
        """With other texts before it, none of which is another version."""
        before = "\n\n".join(text for text in texts if text)
        if self.replaces is not None:
            return replace(self, waits="\n\n".join(t for t in (before, self.waits) if t))
        return replace(self, text="\n\n".join(text for text in (before, self.text) if text))


class DraftFile:
    """One text file that only its owner can read. `path` is None where nothing may be written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def save(self, text: str) -> bool:
        """Keep `text`; "" : there is nothing to keep. False: the disk refuses, which is no reason
        to stop; what was kept before is left as it was."""
        if self._path is None:
            return not text.strip()
        part = self._path.with_suffix(f".{os.getpid()}")
        try:
            if not text.strip():
                self._path.unlink(missing_ok=True)
                return True
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.touch(mode=0o600)
            part.write_bytes(text.encode("utf-8", "surrogatepass"))
            part.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return not text.strip()
        return True

    def take(self) -> str:
        """What was kept, which is then no longer kept; "" if nothing was."""
        if self._path is None:
            return ""
        try:
            text = self._path.read_bytes().decode("utf-8", "replace")
            self._path.unlink()
        except OSError:
            return ""
        return text
