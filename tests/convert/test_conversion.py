"""Real checkpoints through the real converter, compared with PyTorch and with llama.cpp."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np
import pytest
import torch

from convert.checkpoints import open_checkpoint
from convert.errors import ArchitectureError, ConvertError, ProofError, UsageError
from convert.libllama import ModelFile, open_log
from convert.options import Options
from convert.output import REPORT_BYTES, REPORT_KEY, PartFile
from convert.pipeline import convert, make_plan, prove
from convert.progress import silent
from convert.provenance import describe_source


def fields(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}


def tensors(path: Path) -> dict[str, tuple[str, bytes]]:
    reader = gguf.GGUFReader(path)
    return {t.name: (t.tensor_type.name, t.data.tobytes()) for t in reader.tensors}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("ftype", "top1", "kl"), [("F16", 0.99, 1e-4), ("Q8_0", 0.95, 0.01)])
def test_logits_agree_with_pytorch(make, bias: bool, ftype: str, top1: float, kl: float) -> None:
    result = convert(make(bias=bias), ftype=ftype)
    assert result.proof is not None
    parity = result.proof["parity"]
    assert parity["tokens"] > 500
    assert parity["top1"] >= top1
    assert parity["kl_mean"] < kl
    assert result.output.name == f"ckpt-{ftype}.gguf"
    assert result.output.stat().st_size == result.bytes


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_wrapper_prefixes_and_masks_are_left_out(make, prefix: str) -> None:
    result = convert(make(prefix=prefix, masks=True), parity="auto")
    assert result.proof is not None
    assert result.proof["parity"]["top1"] >= 0.99
    assert len(result.plan["ignored"]) == 3  # two masks and the tied head
    assert any("prefix" in note for note in result.plan["notes"])


def test_metadata_names_the_model_its_source_and_every_special_id(make) -> None:
    folder = make()
    result = convert(folder, name="Tiny", license="MIT", parity="off")
    found = fields(result.output)
    assert found["general.name"] == "Tiny"
    assert found["general.license"] == "MIT"
    assert found["general.file_type"] == 0
    assert found["chatapp.convert.source.iteration"] == 1234
    assert found["chatapp.convert.source.validation_loss"] == 3.25
    assert len(found["chatapp.convert.source.sha256"]) == 64
    ids = {role: found[f"tokenizer.ggml.{role}_token_id"] for role in ("bos", "eos", "eot")}
    assert ids == {"bos": 0, "eos": 1, "eot": 1}
    assert found["tokenizer.ggml.padding_token_id"] == 0
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert "add_generation_prompt" in found["tokenizer.chat_template"]


def test_how_it_is_sampled_is_carried_over(make) -> None:
    folder = make()
    (folder / "generation_config.json").write_text('{"temperature": 0.25}')
    found = fields(convert(folder, parity="off").output)
    assert found["general.sampling.temp"] == 0.25


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"chatapp_guide": true}', True),
        ('{"chatapp_guide": "yes"}', None),
        ("{}", None),
        ("[", None),
        ("[1]", None),
    ],
)
def test_a_model_that_wants_facts_before_questions_says_so(make, text: str, wanted: object) -> None:
    folder = make()
    (folder / "generation_config.json").write_text(text)
    assert fields(convert(folder, parity="off").output).get("chatapp.guide") is wanted


@pytest.mark.parametrize("text", ['{"temperature": "hot"}', '{"temperature": NaN}', "[", "[1]"])
def test_an_unusable_generation_config_is_a_note(make, text: str) -> None:
    folder = make()
    (folder / "generation_config.json").write_text(text)
    result = convert(folder, parity="off")
    assert "general.sampling.temp" not in fields(result.output)
    assert any("generation_config.json is left out" in note for note in result.plan["notes"])


def test_the_proof_is_stored_in_the_file(make) -> None:
    result = convert(make())
    stored = fields(result.output)[REPORT_KEY]
    assert len(stored) == REPORT_BYTES
    assert json.loads(stored) == result.proof
    assert result.proof is not None
    assert result.proof["tokenizer"]["differences"] == 0


@pytest.mark.parametrize("ftype", ["F16", "Q8_0"])
@pytest.mark.parametrize("n_embd", [64, 72])  # 72 is no multiple of 32: some rows fall back
def test_bytes_are_those_of_llama_cpps_quantizer(make, ftype: str, n_embd: int) -> None:
    def untie(saved: dict[str, Any]) -> None:
        saved["model"]["lm_head.weight"] = saved["model"]["lm_head.weight"] * 0.5

    folder = make(n_embd=n_embd, edit=untie)
    full = convert(folder, ftype="F32", parity="off").output
    ours = convert(folder, ftype=ftype, parity="off").output
    theirs = folder / "theirs.gguf"
    open_log()
    params = llama.llama_model_quantize_default_params()
    params.ftype = fields(ours)["general.file_type"]
    assert llama.llama_model_quantize(bytes(full), bytes(theirs), ctypes.byref(params)) == 0
    assert tensors(ours) == tensors(theirs)
    assert "output.weight" in tensors(ours)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_convert(make, dtype: torch.dtype) -> None:
    def cast(saved: dict[str, Any]) -> None:
        saved["model"] = {name: t.to(dtype) for name, t in saved["model"].items()}

    result = convert(make(edit=cast))
    assert result.proof is not None
    assert result.proof["parity"]["top1"] >= 0.99


def test_tensors_are_read_as_pytorch_reads_them(make) -> None:
    def strange(saved: dict[str, Any]) -> None:
        saved["model"]["transformer.wpe.weight"] = torch.randn(64, 64).t()  # strides swapped
        saved["model"]["lm_head.weight"] = torch.randn(600, 64)[40:552]  # starts inside its storage

    path = make(edit=strange) / "ckpt.pt"
    expected = torch.load(path, weights_only=True)["model"]
    found = open_checkpoint(path).tensors
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert np.array_equal(tensor.float32(), expected[name].numpy()), name


def test_padding_rows_are_cut_and_said(make) -> None:
    result = convert(make(vocab_size=576))
    assert result.proof is not None
    assert result.proof["parity"]["top1"] >= 0.99
    assert any("64 padding rows are cut" in note for note in result.plan["notes"])
    with ModelFile(result.output, vocab_only=True) as file:
        assert file.n_tokens == 512


def test_a_model_smaller_than_its_tokenizer_is_refused(make) -> None:
    with pytest.raises(Exception, match="does not belong to this checkpoint"):
        convert(make(vocab_size=500))


def test_dry_run_gives_sizes_and_writes_nothing(make) -> None:
    folder = make()
    before = set(folder.iterdir())
    sizes = convert(folder, dry_run=True).plan["sizes"]
    assert set(folder.iterdir()) == before
    for ftype in ("F32", "Q8_0"):
        path = convert(folder, ftype=ftype, parity="off").output
        data = path.stat().st_size - gguf.GGUFReader(path).data_offset
        assert sizes[ftype] == data


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda s: s.pop("model_args") and s.pop("config"), "open: n_head"),
        (lambda s: s["model_args"].update(n_head=5), "does not divide"),
        (lambda s: s["model_args"].update(n_embd=128), "n_embd is 128"),
        (
            lambda s: s["model"].pop("transformer.h.1.ln_2.weight"),
            "lacks in transformer.h.1 the parts",
        ),
        (lambda s: s["model"].update({"transformer.h.0.gate": torch.ones(2)}), "h.0.gate"),
        (lambda s: s["model"]["transformer.wte.weight"].fill_(float("nan")), "not finite"),
        (lambda s: s["model"]["transformer.wte.weight"].fill_(1e5), "too large for F16"),
        (lambda s: s.update(model={"conv.weight": torch.ones(2, 2)}), "no family we know"),
    ],
)
def test_what_is_no_gpt2_is_refused_with_the_reason(make, edit: Any, reason: str) -> None:
    folder = make(edit=edit)
    before = set(folder.iterdir())
    with pytest.raises(ConvertError, match=reason):
        convert(folder, ftype="F16", parity="off")
    assert set(folder.iterdir()) == before


def test_a_file_that_computes_something_else_is_refused(make) -> None:
    plan = make_plan(Options(make(), ftype="F16"))
    with PartFile(plan.output) as part:
        part.write(plan, describe_source(plan.checkpoint, silent), silent)
        offset = gguf.GGUFReader(part.path).tensors[0].data_offset
        weights = np.memmap(part.path, np.float16, "r+", offset, (512, 64))
        weights[:] = weights[::-1].copy()  # every token with another token's embedding
        weights.flush()
        with pytest.raises(ProofError, match="does not compute what our reading"):
            prove(part, plan, "auto", "Some words to compare the logits on.", silent)
    assert not part.path.exists()


def test_the_output_is_never_the_source(make) -> None:
    folder = make()
    for name in ("ckpt.pt", "tokenizer.json"):
        with pytest.raises(UsageError, match="source itself"):
            convert(folder, folder / name, force=True)
        assert (folder / name).stat().st_size > 1000


def test_an_existing_output_needs_force(make) -> None:
    folder = make()
    output = folder / "out.gguf"
    output.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        convert(folder, output, parity="off")
    assert output.read_text() == "precious"
    convert(folder, output, parity="off", force=True)
    assert output.read_bytes().startswith(b"GGUF")


def test_a_failed_conversion_keeps_the_file_it_would_have_replaced(make) -> None:
    folder = make(edit=lambda s: s["model"]["transformer.wte.weight"].fill_(float("inf")))
    output = folder / "out.gguf"
    output.write_text("precious")
    with pytest.raises(ArchitectureError):
        convert(folder, output, force=True)
    assert output.read_text() == "precious"
    assert not list(folder.glob("*.part"))
