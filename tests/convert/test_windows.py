"""Whatever is measured on a text is measured as the model reads texts: every window behind BOS
where the file says so, in the file and in what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.differences import compare
from convert.libllama import ModelFile
from convert.pipeline import convert
from convert.progress import silent
from convert.samples import PROSE

BOS = 0


@pytest.fixture
def folder(make: Any) -> Path:
    made: Path = make()
    path = made / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"add_bos_token": True}))
    return made


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """What files are given to compute."""
    found: list[list[int]] = []
    computed = ModelFile.logits

    def logits(self: ModelFile, ids: Sequence[int]) -> NDArray[np.float32]:
        found.append(list(ids))
        return computed(self, ids)

    monkeypatch.setattr(ModelFile, "logits", logits)
    return found


def test_every_window_begins_with_bos_and_they_are_the_text(folder: Path) -> None:
    with ModelFile(convert(folder, parity="off").output, vocab_only=True) as file:
        ids = file.tokenize(PROSE, add_special=False, parse_special=False)
        for n_tokens, size in ((200, 16), (100, 64), (17, 16), (16, 512), (5, 16)):
            windows = file.windows(PROSE, n_tokens, size)
            assert all(window[0] == BOS and 2 <= len(window) <= size for window in windows)
            text = [token for window in windows for token in window[1:]]
            assert text == ids[: len(text)]
            assert n_tokens - 1 <= sum(map(len, windows)) <= n_tokens
        assert file.windows("", 100, 16) == []
        plain = file.windows(PROSE, 100, 16, bos=False)
        assert [token for window in plain for token in window] == ids[:100]


@pytest.mark.parametrize("options", [{"ftype": "Q8_0"}, {"max_kl": 0.05, "parity": "off"}])
def test_conversions_are_measured_behind_bos(
    options: dict[str, Any], folder: Path, seen: list[list[int]]
) -> None:
    result = convert(folder, **options)
    assert seen
    assert all(window[0] == BOS for window in seen)
    if options.get("parity") != "off":
        assert result.proof is not None
        assert result.proof["parity"]["bos"] is True
        assert result.proof["parity"]["top1"] > 0.9


def test_two_files_are_compared_behind_bos(folder: Path, seen: list[list[int]]) -> None:
    files = [convert(folder, ftype=kind, parity="off").output for kind in ("F16", "Q8_0")]
    seen.clear()
    logits = compare(*files, silent)["logits"]
    assert logits["bos"] is True
    assert seen
    assert all(window[0] == BOS for window in seen)
