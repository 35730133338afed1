"""Suggestions by machine size."""

import pytest

from chatapp.gguf.fit import Gpu, Machine
from chatapp.library.packages import SMOLLM2
from chatapp.library.suggestions import WITHOUT_HUB, read_suggestions, suggest

GB = 10**9


@pytest.mark.parametrize(
    ("machine", "first"),
    [
        (Machine(2 * GB, 4 * GB), "ggml-org/Qwen3.5-0.8B-GGUF"),
        (Machine(12 * GB, 16 * GB), "unsloth/Qwen3.5-4B-GGUF"),
        (Machine(60 * GB, 64 * GB), "unsloth/Qwen3.5-4B-GGUF"),
        (Machine(60 * GB, 64 * GB, (Gpu("g", 15 * GB, 16 * GB),)), "ggml-org/gpt-oss-20b-GGUF"),
        (
            Machine(60 * GB, 64 * GB, (Gpu("g", 80 * GB, 80 * GB),)),
            "ggml-org/gemma-4-26B-A4B-it-GGUF",
        ),
        (Machine(GB // 2, GB), "ggml-org/Qwen3.5-0.8B-GGUF"),
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


def test_what_needs_no_hub_is_known_whole() -> None:
    assert WITHOUT_HUB.repo == SMOLLM2.name
    assert WITHOUT_HUB.size_bytes == SMOLLM2.offer.size_bytes
    assert WITHOUT_HUB.repo not in [one.repo for one in read_suggestions()]
