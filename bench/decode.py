"""Speed through the engine against a bare llama.cpp loop: what do the pipe and we cost?

Both read the same prompt, then decode the same number of tokens greedily, on the same model, at
the same depth, with the same threads, in turn (bare, engine, bare, engine, …). Both count decode
from the first sampled token to the last. Reported: tokens/s of each, and the median of the paired
ratios. The aim is a ratio of at least 0.97.

    python -m bench.decode [--model FILE] [--depth 512] [--tokens 64] [--rounds 7]
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.models import find_model
from bench.synthetic import Shape, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Delta, Finished, Generate, LoadOptions
from chatapp.sampling import SamplingParams


@dataclass(frozen=True)
class Speed:
    """Tokens per second."""

    prefill: float
    decode: float

    def __str__(self) -> str:
        return f"prefill {self.prefill:.1f}, decode {self.decode:.1f}"


def bare_loop(path: str, depth: int, n_tokens: int, threads: int) -> Speed:
    """llama_decode and the greedy sampler alone; on a GPU, all layers there."""
    import llama_cpp.llama_cpp as lib

    from chatapp.engine.llama import native

    native.start()
    model = lib.llama_model_load_from_file(path.encode(), native.model_params())
    params = lib.llama_context_default_params()
    params.n_ctx = depth + n_tokens + 64
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = threads
    context = lib.llama_init_from_model(model, params)
    sampler = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    lib.llama_sampler_chain_add(sampler, lib.llama_sampler_init_greedy())
    prompt = (lib.llama_token * depth)(*([40] * depth))
    lib.llama_decode(context, lib.llama_batch_get_one(prompt, 1))  # a GPU's kernels are loaded now
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    began = time.perf_counter()
    for start in range(0, depth, 512):
        size = min(512, depth - start)
        piece = (lib.llama_token * size)(*prompt[start : start + size])
        assert lib.llama_decode(context, lib.llama_batch_get_one(piece, size)) == 0
    token = lib.llama_sampler_sample(sampler, context, -1)
    prefill = depth / (time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(n_tokens - 1):
        one = (lib.llama_token * 1)(token)
        assert lib.llama_decode(context, lib.llama_batch_get_one(one, 1)) == 0
        token = lib.llama_sampler_sample(sampler, context, -1)
    elapsed = time.perf_counter() - began
    lib.llama_free(context)
    lib.llama_model_free(model)
    return Speed(prefill, (n_tokens - 1) / elapsed)


async def through_engine(
    path: str, depth: int, n_tokens: int, threads: int, gpu_layers: int = -1
) -> Speed:
    """Decode as the client sees the tokens arrive; prefill as the engine says."""
    client = EngineClient()
    await client.load(
        LoadOptions(
            path=path, n_ctx=depth + n_tokens + 64, n_threads=threads, gpu_layers=gpu_layers
        )
    )
    warm = SamplingParams(temperature=0, max_tokens=1)
    async for _ in client.generate(Generate(request_id="warm", prompt="!", params=warm)):
        pass
    request = Generate(
        request_id="bench",
        prompt="I" * depth,
        params=SamplingParams(temperature=0, max_tokens=n_tokens),
    )
    first, n_first, last, n_last, prefill = 0.0, 0, 0.0, 0, 0.0
    async for event in client.generate(request):
        if isinstance(event, Delta) and event.tokens:
            last, n_last = time.perf_counter(), n_last + len(event.tokens)
            if not first:
                first, n_first = last, n_last
        elif isinstance(event, Finished):
            assert event.usage.completion_tokens == n_tokens, event.usage
            prefill = event.timings.prefill_tokens_per_second
    await client.stop()
    return Speed(prefill, (n_last - n_first) / (last - first))


def run_bare(path: str, depth: int, n_tokens: int, threads: int) -> Speed:
    """The bare loop in a process of its own, as the engine has one."""
    command = [sys.executable, "-m", "bench.decode", "--bare", "--model", path]
    command += ["--depth", str(depth), "--tokens", str(n_tokens)]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Speed(**json.loads(done.stdout))


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        type=find_model,
        help="a GGUF file, smollm2 or gemma3-270m; default: 0.5 B random parameters",
    )
    parser.add_argument("--depth", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse()
    if arguments.bare:
        speed = bare_loop(arguments.model, arguments.depth, arguments.tokens, arguments.threads)
        print(json.dumps(asdict(speed)))
        return
    from chatapp.engine.probe import probe

    threads = arguments.threads or int(probe()["threads"])
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model
        if not path:
            print("writing a model of 0.5 B random parameters, Q4_K_M", file=sys.stderr)
            path = str(write_model(Path(folder) / "half-billion.gguf", Shape()))
        print(f"{platform.processor() or platform.machine()}, {threads} threads, {path}")
        ratios = []
        for number in range(arguments.rounds):
            bare = run_bare(path, arguments.depth, arguments.tokens, threads)
            ours = asyncio.run(through_engine(path, arguments.depth, arguments.tokens, threads))
            ratios.append((ours.prefill / bare.prefill, ours.decode / bare.decode))
            print(f"round {number + 1}, tok/s: bare {bare}; engine {ours}")
    prefill, decode = (statistics.median(row) for row in zip(*ratios, strict=True))
    print(
        f"engine / bare, median of {len(ratios)} pairs: prefill {prefill:.3f}, decode {decode:.3f}"
    )


if __name__ == "__main__":
    main()
