"""Files by a few letters of their path: fuzzily, among a hundred thousand, beside the event loop.

The letters are looked for in their order; of the paths that have them, the ones that have them
together, at the beginnings of words and near the end, come first. Few letters hit many paths, so
only the shortest of these are weighed.
"""

import asyncio
import re
import threading
from pathlib import Path

from textual.fuzzy import FuzzySearch

from chatapp.material.listing import list_files

_WEIGHED = 400
"""Paths that are weighed, at about 20 µs each."""


class FileSearch:
    """The files below one folder. `start` once, on the event loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[str] = []
        """What has been found so far."""
        self._stopped = threading.Event()
        self._listing: asyncio.Task[None] | None = None
        self._fuzzy = FuzzySearch()

    def start(self) -> None:
        """Begin to list, in a thread."""
        self._listing = asyncio.create_task(asyncio.to_thread(self._list))

    def stop(self) -> None:
        """List no more."""
        self._stopped.set()

    @property
    def listing(self) -> bool:
        """Whether there may be more files than were found."""
        return self._listing is not None and not self._listing.done()

    async def listed(self, timeout_s: float) -> None:
        """Wait until all are found, or for so long."""
        if self._listing is not None:
            await asyncio.wait([self._listing], timeout=timeout_s)

    def _list(self) -> None:
        for path in list_files(self.folder):
            self.paths.append(path)
            if self._stopped.is_set():
                return

    async def find(self, query: str, limit: int) -> list[str]:
        """The paths that fit best, the best one first."""
        return await asyncio.to_thread(self._find, query, limit)

    def _find(self, query: str, limit: int) -> list[str]:
        known = self.paths[:]
        if not query:
            return known[:limit]
        letters = re.compile("[^\n]*?".join(map(re.escape, query)), re.IGNORECASE)
        hits = sorted((path for path in known if letters.search(path)), key=len)[:_WEIGHED]
        hits.sort(key=lambda path: (-self._weigh(query, path), len(path), path))
        return hits[:limit]

    def _weigh(self, query: str, path: str) -> float:
        name = path.rpartition("/")[2]
        return max(self._fuzzy.match(query, path)[0], 1.5 * self._fuzzy.match(query, name)[0])
