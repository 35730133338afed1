"""A GPU put to use: what is chosen, what it takes, how fast it is, and whether it is given back.

    python -m bench.gpu [--quick] [--rounds 5] [--scratch DIR] [--llama-bench FILE]

Models have random weights; every load is a real engine process with its usual options. GPU memory
is measured as what ggml, asked from another process, sees less of while the engine holds a model
with a full context. Speed is against a bare llama.cpp loop in turn, on the CPU once, and against
llama.cpp's own `llama-bench` where it is given. Then all but a little of the GPU is held by
somebody else, and what does not fit any more is loaded in part. Needs 6 GB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.decode import Speed, run_bare, through_engine
from bench.fit import CASES, Case, fill
from bench.synthetic import Shape, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.probe import probe
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.gguf.fit import count_needs, gpu_needs, read_machine
from chatapp.gguf.model_info import read_model_info

CONTEXTS = {"3B": 8192, "8B": 8192, "1.1B": 8192}  # a GPU reads a long prompt in seconds
SPEED = ("0.5B, grouped KV", "8B")
LEFT_BYTES = 4_000_000_000
_SETTLE_S = 0.5


@dataclass(frozen=True)
class Held:
    """What an engine held."""

    model: ModelDescription
    loaded: int
    full: int
    after: int
    """Bytes of GPU memory after loading, with the context full, and after the engine ended; what
    was taken before it started is subtracted."""


def free_bytes() -> int:
    """On all GPUs, as ggml in a process of its own sees them."""
    return sum(gpu.free_bytes for gpu in read_machine(probe()).gpus)


async def hold(path: Path, case: Case) -> Held:
    """Load with everything left to the engine but the context, fill it, and end the engine."""
    before = free_bytes()
    client = EngineClient()
    try:
        model = await client.load(
            LoadOptions(path=str(path), n_ctx=case.n_ctx, kv_type=case.kv_type)
        )
        loaded = before - free_bytes()
        await fill(client, case)
        full = before - free_bytes()
    finally:
        await client.stop()
    await asyncio.sleep(_SETTLE_S)
    return Held(model, loaded, full, before - free_bytes())


def context_bytes() -> int:
    """What a process takes on the GPU before it holds anything: the driver's, on top of ours."""
    before = free_bytes()
    with somebody_else(1 << 62):
        return before - free_bytes()


def measure_fit(case: Case, path: Path, context: int) -> None:
    """One row of the table of memory."""
    info = read_model_info(path)
    needs = count_needs(info, case.n_ctx, case.kv_type)
    predicted = gpu_needs(info, needs, len(info.layer_bytes) + 1) + context
    held = asyncio.run(hold(path, case))
    print(
        f"{case.name:30}GPU {held.model.gpu_layers}/{held.model.n_layers + 1:<4}"
        f"{predicted / 1e6:10.0f}{held.loaded / 1e6:8.0f}{held.full / 1e6:8.0f}"
        f"{predicted / held.full - 1:+10.1%}{held.after / 1e6:8.0f}",
        flush=True,
    )


def measure_speed(name: str, path: Path, rounds: int, llama_bench: str) -> None:
    """GPU against the bare loop and against the CPU, prefill and decode."""
    depth, n_tokens, threads = 2048, 128, int(probe()["threads"])
    ratios = []
    for number in range(rounds):
        bare = run_bare(str(path), depth, n_tokens, threads)
        ours = asyncio.run(through_engine(str(path), depth, n_tokens, threads))
        ratios.append((ours.prefill / bare.prefill, ours.decode / bare.decode))
        print(f"{name}, round {number + 1}, tok/s: engine {ours}; bare {bare}", flush=True)
    for what, row in zip(("prefill", "decode"), zip(*ratios, strict=True), strict=True):
        print(f"{name}: {what}, engine / bare, median: {statistics.median(row):.3f}")
    cpu: Speed = asyncio.run(through_engine(str(path), 512, 32, 0, gpu_layers=0))
    print(f"{name}: on the CPU, tok/s: engine {cpu} (512 tokens read, 32 written)", flush=True)
    if llama_bench:
        told = Speed(
            ask_llama_bench(llama_bench, path, "-p", str(depth), "-n", "0"),
            ask_llama_bench(llama_bench, path, "-p", "0", "-n", str(n_tokens), "-d", str(depth)),
        )
        print(f"{name}: llama-bench, which samples nothing, tok/s: {told}", flush=True)


def ask_llama_bench(program: str, path: Path, *arguments: str) -> float:
    """Tokens per second, mean of 3."""
    command = [program, "-m", str(path), *arguments, "-r", "3", "-fa", "1", "-o", "json"]
    done = subprocess.run(command, capture_output=True, check=True)
    return float(json.loads(done.stdout)[0]["avg_ts"])


async def measure_part(path: Path) -> None:
    """A model that does not fit, and how it is loaded then."""
    with somebody_else(LEFT_BYTES):
        print(f"{free_bytes() / 1e9:.2f} GB are free on the GPU")
        client = EngineClient()
        try:
            model = await client.load(LoadOptions(path=str(path), n_ctx=4096))
            free = free_bytes()
            print(
                f"GPU {model.gpu_layers}/{model.n_layers + 1} chosen, {free / 1e9:.2f} GB left; "
                f"{' '.join(model.notices) or 'no notices'}"
            )
            case = Case("part", n_ctx=4096)
            began = time.perf_counter()
            await fill(client, case)
            print(f"4,096 tokens read in {time.perf_counter() - began:.1f} s", flush=True)
        finally:
            await client.stop()


@contextmanager
def somebody_else(left: int) -> Iterator[None]:
    """Another process that holds the GPU's memory but for `left` bytes."""
    command = [sys.executable, "-m", "bench.gpu", "--hold", str(left)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        if not process.stdout.readline():
            raise RuntimeError("the GPU's memory could not be held")
        try:
            yield
        finally:
            process.stdin.close()


def hold_memory(left: int) -> None:
    """Take plain buffers of the first GPU until `left` bytes are free, and wait for the end."""
    from llama_cpp._ggml import libggml as ggml

    from chatapp.engine.llama import devices

    first = next(i for i, device in enumerate(devices.list_devices()) if device.is_gpu)
    ggml.ggml_backend_dev_buffer_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_buffer_type.restype = ctypes.c_void_p
    ggml.ggml_backend_buft_alloc_buffer.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    ggml.ggml_backend_buft_alloc_buffer.restype = ctypes.c_void_p
    kind = ggml.ggml_backend_dev_buffer_type(ggml.ggml_backend_dev_get(first))
    piece = 1 << 30
    while piece >= 1 << 26:
        free = devices.list_devices()[first].free_bytes
        if free - piece < left or not ggml.ggml_backend_buft_alloc_buffer(kind, piece):
            piece //= 2
    print("held", flush=True)
    sys.stdin.read()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small models only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="a folder with 6 GB free")
    parser.add_argument("--llama-bench", default="", metavar="FILE")
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hold is not None:
        hold_memory(arguments.hold)
        return
    machine = read_machine(probe())
    if not machine.gpus:
        raise SystemExit("llama.cpp sees no GPU here; `chatapp doctor` says why.")
    names = ", ".join(f"{gpu.name}, {gpu.free_bytes / 1e9:.1f} GB free" for gpu in machine.gpus)
    print(f"{names}; {platform.processor() or platform.machine()}, {probe()['threads']} threads")
    context = context_bytes()
    print(f"a process that does nothing takes {context / 1e6:.0f} MB, which is in every prediction")
    print(f"{'MB':30}{'':12}{'predicted':>6}{'loaded':>8}{'full':>8}{'error':>10}{'after':>8}")
    cases = CASES[:4] if arguments.quick else CASES
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="bench-gpu-") as folder:
        kept: dict[str, Path] = {}
        for case in cases:
            name = case.name.replace(" ", "-").replace(",", "")
            path = write_model(Path(folder) / f"{name}.gguf", replace(Shape(), **case.shape))
            measure_fit(replace(case, n_ctx=CONTEXTS.get(case.name, case.n_ctx)), path, context)
            if case.name in SPEED:
                kept[case.name] = path
            else:
                path.unlink()
        for title, path in kept.items():
            measure_speed(title, path, arguments.rounds, arguments.llama_bench)
        asyncio.run(measure_part(list(kept.values())[-1]))


if __name__ == "__main__":
    main()
