"""Conversion against llama.cpp's own tools: CPU-seconds, wall time, peak memory, peak disk.

    python -m bench.convert --llama-cpp DIR [--before DIR] [--layers N] [--rounds N]

DIR holds llama.cpp's source (`convert_hf_to_gguf.py`) and `build/bin/llama-quantize`, which the
source distribution of llama-cpp-python contains; without it only ours is measured, and without the
tool Q4_K_M is ours alone. `--before` names another checkout of this repository, which converts the
same model turn about with this one. The model is TinyLlama's shape with random bfloat16 weights.
Ours does more: it hashes the source and proves the tokenizer; the proof of the logits, which needs
PyTorch, is off.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
_KINDS = {"F16": "f16", "Q8_0": "q8_0"}  # what the converter itself writes
N_VOCAB, N_EMBD, N_FF, N_HEAD, N_KV = 32000, 2048, 5632, 32, 4


@dataclass(frozen=True)
class Figure:
    """What one command took."""

    cpu: float
    """User and system seconds of the process and its children."""
    wall: float
    memory: float
    """Peak resident megabytes, mapped files included."""
    disk: float
    """Peak megabytes in the scratch folder, the source not counted."""


def write_model(folder: Path, n_layer: int) -> float:
    """A Hugging Face folder with random weights; its size in bytes."""
    shapes = {"model.embed_tokens.weight": (N_VOCAB, N_EMBD), "model.norm.weight": (N_EMBD,)}
    for layer in range(n_layer):
        stem = f"model.layers.{layer}"
        n_kv = N_EMBD // N_HEAD * N_KV
        shapes |= {
            f"{stem}.input_layernorm.weight": (N_EMBD,),
            f"{stem}.self_attn.q_proj.weight": (N_EMBD, N_EMBD),
            f"{stem}.self_attn.k_proj.weight": (n_kv, N_EMBD),
            f"{stem}.self_attn.v_proj.weight": (n_kv, N_EMBD),
            f"{stem}.self_attn.o_proj.weight": (N_EMBD, N_EMBD),
            f"{stem}.post_attention_layernorm.weight": (N_EMBD,),
            f"{stem}.mlp.gate_proj.weight": (N_FF, N_EMBD),
            f"{stem}.mlp.up_proj.weight": (N_FF, N_EMBD),
            f"{stem}.mlp.down_proj.weight": (N_EMBD, N_FF),
        }
    shapes["lm_head.weight"] = (N_VOCAB, N_EMBD)
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = np.random.default_rng(1)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            n_rows = shape[0] if len(shape) > 1 else 1
            for _ in range(0, n_rows, 1024):
                n = min(1024, n_rows) * shape[-1]
                values = generator.standard_normal(n, np.float32) * np.float32(0.02)
                file.write((values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
        file.truncate(8 + len(text) + at)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": N_EMBD,
        "intermediate_size": N_FF,
        "num_hidden_layers": n_layer,
        "num_attention_heads": N_HEAD,
        "num_key_value_heads": N_KV,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": N_VOCAB,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shipped = ROOT / "convert" / "vocab" / "data" / "llama2-tokenizer.model"
    shutil.copy(shipped, folder / "tokenizer.model")
    return at


def measure(command: list[str], scratch: Path, folder: Path = ROOT) -> Figure:
    """Run `command` in `folder` to its end. Raises `RuntimeError` with its last words when it
    fails."""
    peak, memory, done = [0.0], [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            memory[0] = _peak_memory(child.pid) or memory[0]
            sizes = (path.stat().st_size for path in scratch.iterdir() if path.exists())
            peak[0] = max(peak[0], sum(sizes) / 1e6)

    watcher = threading.Thread(target=watch, daemon=True)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)  # it may name another checkout than `folder`
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        child = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder, env=environment)
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        done.set()
        watcher.join()
        if status:
            said.seek(0)
            raise RuntimeError(said.read()[-2000:].decode(errors="replace"))
    return Figure(usage.ru_utime + usage.ru_stime, wall, memory[0], peak[0])


def _peak_memory(pid: int) -> float:
    """Peak resident megabytes of a running process; getrusage's is inherited from its parent."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    except (OSError, IndexError):  # it has ended
        return 0.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-cpp", type=Path, help="llama.cpp's source, with build/bin")
    parser.add_argument("--before", type=Path, help="another checkout of this repository")
    parser.add_argument("--layers", type=int, default=22, help="22 is TinyLlama's 1.1 B")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="a folder with 10 GB free")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="bench-convert-") as name:
        folder = Path(name)
        model, scratch = folder / "model", folder / "out"
        model.mkdir()
        scratch.mkdir()
        size = write_model(model, arguments.layers)
        print(f"Source: {size / 1e9:.2f} GB of bfloat16, {arguments.layers} layers.")
        print(f"{'':26}{'CPU s':>8}{'wall s':>8}{'MB':>7}{'disk MB':>9}")
        for ftype in ("F16", "Q8_0", "Q4_K_M"):
            ours, before, theirs = [], [], []
            for _ in range(arguments.rounds):
                ours.append(_ours(model, scratch, ftype, ROOT))
                if arguments.before:
                    before.append(_ours(model, scratch, ftype, arguments.before.resolve()))
                if arguments.llama_cpp and (
                    ftype in _KINDS or _tool(arguments.llama_cpp.resolve())
                ):
                    theirs.append(_theirs(model, scratch, ftype, arguments.llama_cpp.resolve()))
            _report(ftype, ours, before, theirs)


def _ours(model: Path, scratch: Path, ftype: str, checkout: Path) -> list[Figure]:
    out = scratch / "ours.gguf"
    command = [sys.executable, "-m", "convert", str(model), "-o", str(out), "-q", ftype]
    figure = measure([*command, "--parity", "off", "--force"], scratch, checkout)
    out.unlink()
    return [figure]


def _theirs(model: Path, scratch: Path, ftype: str, source: Path) -> list[Figure]:
    """The converter, and llama-quantize after it where the converter does not know the type."""
    first = scratch / "theirs.gguf"
    kind = _KINDS.get(ftype, "bf16")
    script = str(source / "convert_hf_to_gguf.py")
    command = [sys.executable, script, str(model), "--outfile", str(first), "--outtype", kind]
    figures = [measure(command, scratch)]
    if kind == "bf16":
        second = scratch / "quantised.gguf"
        quantize = [str(_tool(source)), str(first), str(second), ftype]
        figures.append(measure([*quantize, str(os.cpu_count())], scratch))
        second.unlink()
    first.unlink()
    return figures


def _tool(source: Path) -> Path | None:
    """llama-quantize, if it was built."""
    folders = (source / "build" / "bin", source.parents[1] / "build" / "bin")
    tools = (folder / "llama-quantize" for folder in folders)
    return next((tool for tool in tools if tool.exists()), None)


def _report(
    ftype: str, ours: list[list[Figure]], before: list[list[Figure]], theirs: list[list[Figure]]
) -> None:
    _row(f"{ftype} ours", ours[0][0], [run[0].cpu for run in ours])
    if before:
        _row(f"{ftype} ours, before", before[0][0], [run[0].cpu for run in before])
    if not theirs:
        return
    names = ["convert_hf_to_gguf", "llama-quantize"]
    for index in range(len(theirs[0])):
        _row(f"{ftype} {names[index]}", theirs[0][index], [run[index].cpu for run in theirs])
    total = statistics.median(sum(part.cpu for part in run) for run in theirs)
    ratio = total / statistics.median(run[0].cpu for run in ours)
    print(f"{'':26}theirs / ours in CPU-seconds: {ratio:.2f}")


def _row(name: str, figure: Figure, cpus: list[float]) -> None:
    cpu = statistics.median(cpus)
    print(f"{name:26}{cpu:8.1f}{figure.wall:8.1f}{figure.memory:7.0f}{figure.disk:9.0f}")


if __name__ == "__main__":
    main()
