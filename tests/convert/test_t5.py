"""T5 and its kin: logits in llama.cpp against transformers, and what is refused by name."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers as hf

from convert.errors import ArchitectureError
from convert.pipeline import convert
from convert.samples import PROSE
from tests.convert.tiny import write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
N_PIECES = 230
SIZE = {
    "vocab_size": 240,
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 96,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "T5": ("T5", {}),
    "FLAN-T5": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mT5": ("MT5", {"num_layers": 3, "num_decoder_layers": 1}),
    "UMT5": ("UMT5", {}),
}


def write_unigrams(folder: Path) -> None:
    """T5's `spiece.model`: unigrams over a normalised text, with ids as T5 has them."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PROSE.splitlines() * 3),
        model_writer=model,
        vocab_size=N_PIECES,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    config = {
        "tokenizer_class": "T5Tokenizer",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "extra_ids": 0,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write(folder: Path, name: str, **changes: Any) -> Path:
    kind, differs = KINDS[name]
    config = getattr(hf, f"{kind}Config")(**(SIZE | differs | changes))
    network = getattr(hf, f"{kind}ForConditionalGeneration")(config).eval()
    if differs.get("tie_word_embeddings") is False:  # as trained: transformers 5 ties all of them
        network.lm_head.weight = torch.nn.Parameter(torch.randn(config.vocab_size, 64))
    write_hf(folder, network, scale=1.0)
    (folder / "tokenizer.json").unlink()
    write_unigrams(folder)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_logits_agree_with_transformers(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "t5", name)
    result = convert(folder, tmp_path / "out.gguf", ftype="F32")
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["status"] == "measured", parity
    print(f"{name} top-1 {parity['top1']:.4f} KL {parity['kl_mean']:.2e}")
    assert parity["top1"] >= 0.99
    assert parity["kl_mean"] < 1e-4
    assert parity["nmse"] < 1e-5  # the scale of logits, too
    assert result.plan["hparams"]["decoder_start_token_id"] == 0
    print(result.plan["ignored"], result.plan["notes"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"feed_forward_proj": "gated-silu"}, "gated-silu"),
        ({"relative_attention_max_distance": 64}, "128"),
        ({"num_layers": 1, "num_decoder_layers": 2}, "decoder has 2 layers"),
    ],
)
def test_what_llama_cpp_does_not_compute_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "t5", "T5", **changes)
    with pytest.raises(ArchitectureError, match=words):
        convert(folder, tmp_path / "out.gguf")
