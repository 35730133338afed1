"""Suggestions by machine size."""

import pytest

from chatapp.gguf.fit import Gpu, Machine
from chatapp.library.suggestions import read_suggestions, suggest

GB = 10**9


@pytest.mark.parametrize(
    ("machine", "first"),
    [
        (Machine(3 * GB, 4 * GB), "Qwen/Qwen3-0.6B-GGUF"),
        (Machine(12 * GB, 16 * GB), "Qwen/Qwen3-4B-GGUF"),
        (Machine(60 * GB, 64 * GB), "Qwen/Qwen3-4B-GGUF"),
        (Machine(60 * GB, 64 * GB, (Gpu("g", 15 * GB, 16 * GB),)), "Qwen/Qwen3-14B-GGUF"),
        (Machine(60 * GB, 64 * GB, (Gpu("g", 80 * GB, 80 * GB),)), "Qwen/Qwen3-32B-GGUF"),
        (Machine(GB // 2, GB), "Qwen/Qwen3-0.6B-GGUF"),
    ],
)
def test_the_best_that_runs_well_comes_first(machine: Machine, first: str) -> None:
    found = suggest(machine)
    assert found[0].repo == first
    assert 1 <= len(found) <= 3
    sizes = [one.size_bytes for one in found]
    assert sizes == sorted(sizes, reverse=True)


def test_they_are_in_order_and_whole() -> None:
    known = read_suggestions()
    assert [one.size_bytes for one in known] == sorted(one.size_bytes for one in known)
    assert all(one.repo.count("/") == 1 and one.licence and one.about for one in known)
    assert suggest(None)


def test_no_model_is_suggested_whose_format_is_not_read() -> None:
    """gpt-oss answers in channels (`<|channel|>analysis<|message|>`), which would be shown raw."""
    assert not [one.repo for one in read_suggestions() if "gpt-oss" in one.repo.lower()]
