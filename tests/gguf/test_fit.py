"""What a header says of memory against llama.cpp's own figures, and the plans made of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.synthetic import TINY, write_model
from chatapp.gguf.fit import (
    DEFAULT_N_CTX,
    Fit,
    Gpu,
    Machine,
    count_needs,
    largest_context,
    plan,
    read_machine,
)
from chatapp.gguf.model_info import ModelInfo, read_model_info
from convert.pipeline import convert
from tests.convert.test_families import MODELS
from tests.convert.tiny import write_hf

ASK = """
import ctypes, json, re, sys
import llama_cpp.llama_cpp as C
lines = []
@C.llama_log_callback
def log(level, text, data):
    lines.append(text.decode("utf-8", "replace"))
C.llama_log_set(log, ctypes.c_void_p(0))
path, n_ctx, kv_type = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model = C.llama_model_default_params()
model.n_gpu_layers, model.use_extra_bufts = 0, False
model.load_mode = C.LLAMA_LOAD_MODE_NONE
loaded = C.llama_model_load_from_file(path.encode(), model)
params = C.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, 512, 512
params.n_seq_max = params.n_outputs_max = 4
params.type_k = params.type_v = kv_type
params.kv_unified = True
assert C.llama_init_from_model(loaded, params)
found = {}
line = r"CPU (model|KV|RS|compute) buffer size =\\s+([0-9.]+) MiB"
for kind, size in re.findall(line, "".join(lines)):
    found[kind] = found.get(kind, 0) + float(size) * 2**20
print(json.dumps(found))
"""


def ask_llama_cpp(path: Path, n_ctx: int, kv_type: str) -> dict[str, float]:
    """Bytes of llama.cpp's own buffers, by kind, in a process of its own."""
    number = {"f16": 1, "q8_0": 8}[kv_type]
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path), str(n_ctx), str(number)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(path: Path, n_ctx: int, kv_type: Any = "f16") -> None:
    needs = count_needs(read_model_info(path), n_ctx, kv_type)
    found = ask_llama_cpp(path, n_ctx, kv_type)
    print(path.name, n_ctx, kv_type, needs, found)
    rounding = 2**20 * 0.02  # of the figures in llama.cpp's log
    assert needs.weights == pytest.approx(found["model"], abs=rounding + 4096)
    assert needs.kv == pytest.approx(found.get("KV", 0) + found.get("RS", 0), abs=rounding)
    assert needs.compute == pytest.approx(found["compute"], rel=0.15, abs=3 << 20)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"n_head_kv": 4},
        {"n_head_kv": 1, "n_layers": 3},
        {"n_embd": 512, "n_ff": 2048, "n_head": 8, "n_vocab": 4096},
    ],
    ids=str,
)
@pytest.mark.parametrize(("n_ctx", "kv_type"), [(1024, "f16"), (5000, "f16"), (4096, "q8_0")])
def test_figures_are_llama_cpps(
    shape: dict[str, int], n_ctx: int, kv_type: str, tmp_path: Path
) -> None:
    if kv_type == "q8_0":  # whose blocks of 32 have to divide a head
        shape = {"n_embd": 256, "n_ff": 512} | shape
    compare(write_model(tmp_path / "model.gguf", replace(TINY, **shape)), n_ctx, kv_type)


@pytest.mark.parametrize(
    "name", ["gemma2", "gemma3", "mixtral", "qwen3moe", "qwen3", "gptneox", "falcon-7b", "phi3"]
)
def test_families_of_other_shapes(name: str, tmp_path: Path) -> None:
    folder = write_hf(tmp_path / name, MODELS[name]().eval())
    path = convert(folder, tmp_path / f"{name}.gguf", parity="off").output
    compare(path, 1024)


GB = 10**9
SEVEN_B = ModelInfo(
    path=Path("seven.gguf"),
    size_bytes=4_400_000_000,
    gguf_version=3,
    arch="llama",
    name="seven",
    size_label="7B",
    quantisation="Q4_K_M",
    n_params=7_000_000_000,
    n_ctx_train=32_768,
    n_layers=32,
    n_embd=4096,
    n_heads=32,
    n_vocab=32_000,
    n_tensors=291,
    layer_bytes=[130_000_000] * 32,
    other_bytes={"token_embd": 74_000_000, "output": 107_000_000, "output_norm": 16_384},
    kv_width=[2 * 4096] * 32,
    n_ff=11_008,
)


def machine(host_gb: float, *gpus_gb: float) -> Machine:
    return Machine(
        int(host_gb * GB * 0.9),
        int(host_gb * GB),
        tuple(Gpu(f"GPU {i}", int(gb * GB), int(gb * GB)) for i, gb in enumerate(gpus_gb)),
    )


def test_all_on_the_gpu() -> None:
    fit = plan(SEVEN_B, machine(16, 24))
    assert (fit.verdict, fit.gpu_layers, fit.n_layers) == ("GPU", 33, 33)
    assert (fit.n_ctx, fit.kv_type, fit.reason) == (DEFAULT_N_CTX, "f16", "")
    assert fit.mark == "fits on the GPU"


def test_a_longer_context_where_there_is_room_to_spare() -> None:
    assert plan(SEVEN_B, machine(16, 46)).n_ctx == 32_768
    assert plan(SEVEN_B, machine(16, 29)).n_ctx == 16_384
    assert plan(SEVEN_B, machine(16, 29), n_ctx=8192).n_ctx == 8192
    assert plan(replace(SEVEN_B, n_ctx_train=2048), machine(16, 80)).n_ctx == 2048
    assert plan(SEVEN_B, machine(64)).n_ctx == DEFAULT_N_CTX  # a CPU reads slowly
    assert plan(SEVEN_B, machine(16, 46), gpu_layers=0).n_ctx == DEFAULT_N_CTX


def test_the_context_is_shortened_before_the_cache_is_halved() -> None:
    short = plan(SEVEN_B, machine(16, 8.5))
    assert (short.verdict, short.n_ctx, short.kv_type) == ("GPU", 4096, "f16")
    halved = plan(SEVEN_B, machine(16, 6.6))
    assert (halved.verdict, halved.n_ctx, halved.kv_type) == ("GPU", 4096, "q8_0")
    asked = plan(SEVEN_B, machine(16, 8.5), n_ctx=8192, kv_type="f16")
    assert (asked.verdict, asked.n_ctx) == ("part", 8192)


def test_a_part_on_the_gpu_and_the_rest_beside_it() -> None:
    fit = plan(SEVEN_B, machine(16, 4))
    assert fit.verdict == "part"
    assert 10 < fit.gpu_layers < 33
    assert fit.mark == f"{fit.gpu_layers} of 33 layers on the GPU"
    assert "free on the GPU" in fit.reason
    two = plan(SEVEN_B, machine(16, 4, 4))
    assert (two.verdict, two.gpu_layers) == ("GPU", 33)
    assert plan(SEVEN_B, machine(16, 24), gpu_layers=0).verdict == "CPU"
    assert plan(SEVEN_B, machine(16, 24), gpu_layers=7).gpu_layers == 7
    kept = plan(SEVEN_B, machine(16, 4), gpu_layers=33)  # what is given is kept, and doubted
    assert (kept.gpu_layers, "free on the GPU" in kept.reason) == (33, True)
    assert plan(SEVEN_B, machine(16), gpu_layers=33).gpu_layers == 0


def test_the_cpu_alone_and_too_large() -> None:
    assert plan(SEVEN_B, machine(16)).verdict == "CPU"
    tight: Fit = plan(SEVEN_B, Machine(3 * GB, 16 * GB))
    assert tight.verdict == "CPU"
    assert "free now" in tight.reason
    large = plan(SEVEN_B, machine(4))
    assert large.verdict == "too large"
    assert "this machine has 4.0 GB" in large.reason
    assert plan(SEVEN_B, machine(4), gpu_layers=0).gpu_layers == 0


def test_the_largest_context() -> None:
    assert largest_context(SEVEN_B, machine(64)) == 32_768  # trained for no more
    some = largest_context(SEVEN_B, machine(12))
    assert 4096 < some < 32_768
    assert plan(SEVEN_B, machine(12), n_ctx=some).is_free
    assert not plan(SEVEN_B, machine(12), n_ctx=some + 256, kv_type="f16").is_free
    # with a part of the layers on the GPU, more of its memory never means a shorter context
    found = [largest_context(SEVEN_B, machine(32, gb)) for gb in (2, 3, 4, 5)]
    assert found == [32_768] * 4
    assert largest_context(SEVEN_B, machine(12), kv_type="q8_0") > some
    assert largest_context(SEVEN_B, machine(3)) == 0


def test_the_machine_as_the_engine_describes_it() -> None:
    device = {"description": "Card", "free_bytes": 5, "total_bytes": 9, "type": "gpu"}
    facts = {
        "devices": [device, device | {"type": "cpu"}],
        "gpu_offload": True,
        "memory_available_bytes": 1,
        "memory_total_bytes": 2,
    }
    assert read_machine(facts) == Machine(1, 2, (Gpu("Card", 5, 9),))
    assert read_machine(facts | {"gpu_offload": False}).gpus == ()
    assert read_machine({}) == Machine(0, 0)
