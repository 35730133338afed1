"""The proof's report in the place reserved for it, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convert.errors import OutputError
from convert.metadata import REPORT_BYTES
from convert.output import _pad_report


def long_report(text: str) -> dict[str, Any]:
    figures = dict.fromkeys("abcdefgh", 1.2345678901234)
    greedy = dict.fromkeys(("prompt", "source", "file"), text)
    parity = {"status": "measured", "type": "Q4_K_M", "greedy": greedy, **figures}
    return {"tokenizer": {"texts": 40, "compared_with": text}, "parity": parity}


@pytest.mark.parametrize(
    "text", ["─" * 200, "\U0001f999" * 200, "\x00" * 200, '"\\' * 5000, "a" * 9999]
)
def test_a_report_never_takes_more_than_its_place(text: str) -> None:
    stored = _pad_report(long_report(text))
    assert len(stored) == REPORT_BYTES
    found = json.loads(stored)
    assert (found["parity"]["status"], found["parity"]["type"]) == ("measured", "Q4_K_M")
    assert found["parity"]["a"] == 1.2345678901234
    assert text.startswith(found["parity"]["greedy"]["file"])


def test_a_short_report_is_kept_whole_and_an_endless_one_refused() -> None:
    assert json.loads(_pad_report(long_report("words"))) == long_report("words")
    notes = {"notes": ["a long note " * 400, [{"nested": "as well " * 900}]]}
    found = json.loads(_pad_report(long_report("words") | notes))
    assert found["notes"][0].startswith("a long note")
    assert len(found["notes"][1][0]["nested"]) < 200
    with pytest.raises(OutputError, match="bytes"):
        _pad_report({"parity": {str(i): 1.5 for i in range(9999)}})
