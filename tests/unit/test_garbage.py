"""Full collections of garbage come when nobody waits."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from chatapp.ui import garbage


class Node:
    """Refers to itself, so only a collection frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_loaded_is_spared_and_what_comes_later_is_collected_when_asked() -> None:
    garbage.spare_what_is_loaded()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000
    node = weakref.ref(Node())
    garbage.collect_now()
    assert node() is None


def test_young_objects_are_still_collected_by_themselves() -> None:
    garbage.spare_what_is_loaded()
    before = gc.get_stats()[1]["collections"], gc.get_stats()[2]["collections"]
    kept = [[] for _ in range(200_000)]  # type: ignore[var-annotated]
    assert gc.get_stats()[1]["collections"] > before[0]
    assert gc.get_stats()[2]["collections"] == before[1]
    assert kept
