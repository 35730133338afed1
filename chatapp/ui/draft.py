"""What was being written when the app ended, kept until the next start."""

import contextlib
import os
from pathlib import Path


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
