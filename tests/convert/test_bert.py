"""BERT and RoBERTa: embeddings in llama.cpp against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers as hf
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from convert.errors import ArchitectureError
from convert.pipeline import convert
from convert.samples import PROSE, TOKENIZER_TEXTS
from tests.convert.tiny import write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
SIZE = {
    "vocab_size": 400,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 514,
}


def write_wordpiece(folder: Path) -> None:
    made = tokenizers.BertWordPieceTokenizer(lowercase=True)
    made.train_from_iterator([PROSE] * 3, vocab_size=400, min_frequency=1, show_progress=False)
    made._tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"cls_token": "[CLS]", "sep_token": "[SEP]"}')


def write_roberta(folder: Path) -> None:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([PROSE, *TOKENIZER_TEXTS], trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    made.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write(folder: Path, kind: str, head: str, **changes: Any) -> Path:
    config = getattr(hf, f"{kind}Config")(**(SIZE | changes))
    write_hf(folder, getattr(hf, f"{kind}{head}")(config).eval(), scale=2.0)
    (write_wordpiece if kind == "Bert" else write_roberta)(folder)
    return folder


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM"])
@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
def test_embeddings_agree_with_transformers(kind: str, head: str, tmp_path: Path) -> None:
    changes = {} if kind == "Bert" else {"type_vocab_size": 1, "pad_token_id": 1}
    folder = write(tmp_path / kind, kind, head, **changes)
    for ftype, least in (("F16", 0.999), ("Q8_0", 0.99)):
        result = convert(folder, tmp_path / "out.gguf", ftype=ftype, force=True)
        assert result.proof is not None
        parity = result.proof["parity"]
        assert parity["status"] == "measured", parity
        print(f"{kind}{head} {ftype} {parity['cosine_mean']:.6f} {parity['cosine_min']:.6f}")
        assert parity["cosine_min"] >= least
    assert result.plan["hparams"]["pooling_type"] == 1
    assert any("pooler" in name or "head" in name or "cls" in name for name, _ in
               result.plan["ignored"])  # fmt: skip


def test_pooling_is_read_from_sentence_transformers(tmp_path: Path) -> None:
    folder = write(tmp_path / "bert", "Bert", "Model")
    (folder / "1_Pooling").mkdir()
    said = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    result = convert(folder, tmp_path / "out.gguf", parity="off")
    assert result.plan["hparams"]["pooling_type"] == 2


def test_what_looks_only_back_is_no_bert(tmp_path: Path) -> None:
    folder = write(tmp_path / "bert", "Bert", "Model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_decoder": True}))
    with pytest.raises(ArchitectureError, match="both ways"):
        convert(folder, tmp_path / "out.gguf")
