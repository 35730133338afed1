"""What a proof was against is said wherever a person reads it; our own reading is no sameness."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import pytest

from chatapp.ui.conversion import done_text, plan_text
from convert.inspection import describe, inspect
from convert.options import Options
from convert.pipeline import convert
from convert.witness import CAVEAT, assumed, describe_reading, foresee, kind_of, name_of
from convert.wording import describe_proof
from tests.convert.test_inspect import write_gguf

FIGURES = {
    "tokens": 500,
    "top1": 1.0,
    "kl_mean": 1e-6,
    "kl_max": 1e-5,
    "logit_gap_max": 1e-3,
    "nmse": 0.0,
    "type": "F16",
    "perplexity_source": 9.0,
    "perplexity_file": 9.0,
    "greedy": {"prompt": "a", "source": "b", "file": "b"},
}


def proof(**parity: Any) -> dict[str, Any]:
    tokenizer = {"texts": 40, "differences": 0, "compared_with": "tokenizers"}
    return {"tokenizer": tokenizer, "parity": {"status": "measured", **FIGURES, **parity}}


@pytest.mark.parametrize(
    ("reference", "kind", "name"),
    [
        ("transformers 5.2", "transformers", "transformers 5.2"),
        ("nanoGPT in PyTorch 2.13", "reading", "our reading of the weights (nanoGPT in PyTorch"),
        ("hand-written in PyTorch 2.13", "reading", "our reading of the weights (hand-written"),
        ("", "reading", "our reading"),
    ],
)
def test_a_file_kept_earlier_tells_which_proof_it_had(
    tmp_path: Path, reference: str, kind: str, name: str
) -> None:
    stored = proof(reference=reference)
    assert kind_of(stored["parity"]) == kind
    text = (json.dumps(stored), gguf.GGUFValueType.STRING)
    path = write_gguf(tmp_path / "old.gguf", **{"chatapp.convert.proof": text})
    shown = "\n".join(describe(inspect(Options(path, dry_run=True))))
    assert f"against {name}" in shown
    assert (CAVEAT in shown) == (kind == "reading")


def test_our_own_reading_is_never_called_more(make) -> None:
    done = convert(make(), ftype="F16", parity="auto")
    assert done.proof is not None
    parity = done.proof["parity"]
    assert parity["against"] == "reading"
    assert parity["reference"].startswith("our reading of nanoGPT's model.py in PyTorch")
    assert done.plan["compared_with"].startswith("our reading of nanoGPT's model.py (")
    for text in (
        "\n".join(describe_proof(done.proof)),
        "\n".join(describe(inspect(Options(done.output, dry_run=True)))),
        str(done_text({"output": "x", "bytes": 1, "seconds": 1}, done.proof)),
    ):
        assert "our reading of nanoGPT's model.py" in text
        assert "not yet that its author's code computes the same" in text
    coming = str(plan_text({**done.plan, "chat_template": False}, compares_logits=True))
    assert "logits are compared with our reading" in coming


@pytest.mark.parametrize("against", ["code", "transformers"])
def test_what_is_sameness_has_no_caveat(against: str) -> None:
    name = "transformers 5.2" if against == "transformers" else "the model's own code (m.py:GPT)"
    report = proof(against=against, reference=name)
    assert name_of(report["parity"]) == name
    shown = "\n".join(describe_proof(report))
    assert f"against {name}" in shown
    assert CAVEAT not in shown
    assert "author" not in str(done_text({"output": "x", "bytes": 1, "seconds": 1}, report))


def test_assumptions_are_listed_but_for_those_that_were_said() -> None:
    found = [("said", "a"), ("assumed", "norms in front"), ("measured", "scaled by a head")]
    model = SimpleNamespace(
        assumptions=[SimpleNamespace(evidence=e, meaning=meaning) for e, meaning in found]
    )
    words = assumed(model)
    assert words == ("norms in front", "scaled by a head, measured")
    assert "assumptions: norms in front; scaled" in describe_reading("hand-written", words)
    assert foresee("hf", (), embeddings=False) == "transformers"
    assert foresee("hand-written", (), embeddings=False).startswith("our reading of the weights")
