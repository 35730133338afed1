"""Sizes in words."""

import pytest

from chatapp.gguf.size import size_text


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (18_400_000, "18 MB"),
        (999_600_000, "1.0 GB"),
        (4_380_000_000, "4.4 GB"),
        (139e9, "139.0 GB"),
        (1.5e13, "15,000.0 GB"),
    ],
)
def test_a_size_in_words(n_bytes: float, words: str) -> None:
    assert size_text(n_bytes) == words
