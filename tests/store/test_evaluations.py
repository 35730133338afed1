"""What models were measured at is kept as it was, and found by kind and by what was measured."""

from pathlib import Path

import pytest

from chatapp.errors import StoreError
from chatapp.store import Store
from chatapp.store.evaluations import NewEvaluation

ONE = NewEvaluation(
    kind="perplexity",
    model="北京.gguf",
    model_hash="ab",
    subject="a\ud800.txt",
    subject_sha256="cd",
    settings={"n_ctx": 512, "stride": 0},
    results={"perplexity": 12.5, "notes": ["naïve", None]},
    seconds=1.25,
)
OTHER = NewEvaluation(kind="bench", model="b", subject_sha256="ef")


def test_an_evaluation_is_kept_across_openings(path: Path) -> None:
    with Store.open(path) as store:
        kept = store.evaluations.add(ONE)
    with Store.open(path) as store:
        assert store.evaluations.get(kept.id) == kept
    assert (kept.model, kept.subject) == ("北京.gguf", "a\ufffd.txt")
    assert (kept.settings, kept.results) == (ONE.settings, ONE.results)
    assert (kept.seconds, kept.model_hash, kept.subject_sha256) == (1.25, "ab", "cd")
    assert kept.created_at > 1e9


def test_the_newest_stands_first_and_kind_and_subject_narrow(store: Store) -> None:
    first, second, third = (store.evaluations.add(one).id for one in (ONE, OTHER, ONE))
    found = store.evaluations.find
    assert [row.id for row in found()] == [third, second, first]
    assert [row.id for row in found(kind="bench")] == [second]
    assert [row.id for row in found(sha256="cd")] == [third, first]
    assert [row.id for row in found(1)] == [third]
    assert found(kind="bench", sha256="cd") == []


def test_some_are_removed_all_or_none(store: Store) -> None:
    first, second = (store.evaluations.add(one).id for one in (ONE, OTHER))
    with pytest.raises(StoreError, match="There is no evaluation 99"):
        store.evaluations.delete(first, 99)
    assert len(store.evaluations.find()) == 2
    store.evaluations.delete(first)
    assert [row.id for row in store.evaluations.find()] == [second]
    assert store.evaluations.add(OTHER).id > second  # an id is never used twice


def test_what_json_cannot_hold_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="cannot be kept"):
        store.evaluations.add(NewEvaluation(kind="bench", model="a", results={"x": float("nan")}))
    assert store.evaluations.find() == []
