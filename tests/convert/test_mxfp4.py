"""gpt-oss in MXFP4, as it is published: the same numbers in the file, in the same type."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from convert.architectures import read_model
from convert.checkpoints import open_checkpoint
from convert.errors import ArchitectureError, CheckpointError
from convert.pipeline import convert
from tests.convert.recent import GPT_OSS, pack_experts
from tests.convert.tiny import write_hf

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    return write_hf(tmp_path / "model", GPT_OSS(num_hidden_layers=1)().eval())


def experts(path: Path) -> dict[str, gguf.ReaderTensor]:
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: t for t in tensors if t.name.endswith("_exps.weight")}


def test_the_numbers_are_those_of_transformers_in_the_same_type(folder: Path) -> None:
    packed = pack_experts(folder)
    result = convert(folder, folder / "out.gguf", ftype="F16")
    assert result.proof is not None
    assert result.proof["parity"]["status"] == "measured"
    assert result.proof["parity"]["kl_mean"] < 0.05  # llama.cpp's kernel rounds what comes in
    stem = "model.layers.0.mlp.experts"
    unpacked = {
        word: convert_moe_packed_tensors(
            packed[f"{stem}.{word}_blocks"], packed[f"{stem}.{word}_scales"], dtype=torch.float32
        )
        .transpose(1, 2)
        .numpy()
        for word in ("gate_up_proj", "down_proj")
    }
    both = unpacked["gate_up_proj"]
    wanted = {"gate": both[:, 0::2], "up": both[:, 1::2], "down": unpacked["down_proj"]}
    found = experts(result.output)
    for word, expected in wanted.items():
        tensor = found[f"blk.0.ffn_{word}_exps.weight"]
        assert tensor.tensor_type == gguf.GGMLQuantizationType.MXFP4
        assert np.array_equal(gguf.dequantize(tensor.data, tensor.tensor_type), expected)
    kept = convert(folder, folder / "moe.gguf", ftype="MXFP4_MOE", parity="off")
    for name, tensor in experts(kept.output).items():
        assert tensor.data.tobytes() == found[name].data.tobytes()


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    packed = pack_experts(folder)
    checkpoint = open_checkpoint(folder)
    for name in packed:
        rest = {key: tensor for key, tensor in checkpoint.tensors.items() if key != name}
        with pytest.raises(ArchitectureError):
            read_model(type(checkpoint)(**{**vars(checkpoint), "tensors": rest}))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model_type": "mixtral"}))
    with pytest.raises(CheckpointError, match="MXFP4"):
        open_checkpoint(folder)
