"""What do other programs cost an answer? Decode quiet, and beside programs that compute.

In every try, in turn: the machine quiet and beside `--busy` programs; the engine as it is, with
fixed threads that spin as libgomp does by itself, with one thread, and a bare llama.cpp loop
(`--llama-bench FILE` measures that program too). Each try is a new engine, started beside its
neighbours. Reported: tokens/s at the median and at worst, and the worst as a share of what the same
way does quiet, at the median. The aim is at least 0.5 for the engine as it is.

    python -m bench.threads [--model FILE] [--busy 2] [--load loops|compilers] [--tries 10]
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.decode import run_bare
from bench.models import find_model
from bench.synthetic import Shape, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.probe import probe
from chatapp.engine.protocol import Finished, Generate, LoadOptions
from chatapp.sampling import SamplingParams

_LOOP = "while True: pass"
_COMPILER = """
import subprocess, sys, tempfile
source = "".join(f"int f{i}(int a) {{ return a * {i} + (a >> {i % 31}); }}" for i in range(3000))
with tempfile.TemporaryDirectory() as folder:
    while True:
        command = ["cc", "-O2", "-x", "c", "-c", "-", "-o", f"{folder}/out.o"]
        subprocess.run(command, input=source.encode(), check=True)
"""
_LOADS = {"loops": _LOOP, "compilers": _COMPILER}
_LIBGOMP_SPIN = "300000"
_DEPTH = 128
_PROMPT = ", ".join(map(str, range(1, 50)))  # most models count on


@dataclass(frozen=True)
class Speed:
    """Tokens per second, and the threads at the end."""

    prefill: float
    decode: float
    n_threads: int


@contextmanager
def neighbours(count: int, load: str) -> Iterator[None]:
    """Other programs that compute, in one session, as those of one terminal are."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TMPDIR": folder}
        running = [
            subprocess.Popen([sys.executable, "-c", _LOADS[load]], env=environment)
            for _ in range(count)
        ]
        try:
            time.sleep(0.3)
            yield
        finally:
            for process in running:
                process.kill()
                process.wait()


async def through_engine(path: str, n_tokens: int, threads: int, *, adapt: bool) -> Speed:
    """A new engine's first answer, by its own timings."""
    client = EngineClient()
    try:
        options = LoadOptions(
            path=path, n_ctx=_DEPTH + n_tokens + 256, n_threads=threads, adapt_threads=adapt
        )
        await client.load(options)
        request = Generate(
            request_id="bench",
            prompt=_PROMPT,
            params=SamplingParams(temperature=0, max_tokens=n_tokens),
        )
        async for event in client.generate(request):
            if isinstance(event, Finished):
                timings = event.timings
                if (written := event.usage.completion_tokens) < n_tokens:
                    raise SystemExit(f"This model ends after {written} tokens: try another.")
        return Speed(
            timings.prefill_tokens_per_second, timings.decode_tokens_per_second, timings.n_threads
        )
    finally:
        await client.stop()


def llama_bench(program: str, path: str, n_tokens: int, threads: int) -> Speed:
    """llama.cpp's own bench with the same threads."""
    command = [program, "-m", path, "-t", str(threads), "-p", str(_DEPTH), "-n", str(n_tokens)]
    done = subprocess.run(
        [*command, "-r", "1", "-o", "json"], check=True, capture_output=True, text=True
    )
    rows = json.loads(done.stdout)
    speeds = {row["n_gen"]: row["avg_ts"] for row in rows}
    return Speed(speeds[0], speeds[n_tokens], threads)


def measure(way: str, arguments: argparse.Namespace, threads: int) -> Speed:
    """One try of one way."""
    path, n_tokens = arguments.model, arguments.tokens
    if way == "llama-bench":
        return llama_bench(arguments.llama_bench, path, n_tokens, threads)
    if way == "bare loop":
        bare = run_bare(path, _DEPTH, n_tokens, threads)
        return Speed(bare.prefill, bare.decode, threads)
    if way == "fixed":
        os.environ["GOMP_SPINCOUNT"] = _LIBGOMP_SPIN
    try:
        threads = 1 if way == "one thread" else threads
        return asyncio.run(through_engine(path, n_tokens, threads, adapt=way == "engine"))
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        type=find_model,
        help="a GGUF file, smollm2 or gemma3-270m; default: 0.5 B random parameters",
    )
    parser.add_argument("--busy", type=int, default=2, help="how many neighbours")
    parser.add_argument("--load", choices=list(_LOADS), default="loops")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--ways", default="engine,fixed,one thread,bare loop")
    parser.add_argument("--llama-bench", help="the program, to measure it too")
    return parser.parse_args()


def report(seen: dict[tuple[str, int], list[Speed]], busy: int) -> None:
    """A line for each way."""
    for way in dict.fromkeys(way for way, _ in seen):
        quiet = [speed.decode for speed in seen[way, 0]]
        beside = [speed.decode for speed in seen[way, busy]]
        read = [statistics.median(speed.prefill for speed in seen[way, n]) for n in (0, busy)]
        print(
            f"{way:12} quiet {statistics.median(quiet):6.1f} ({min(quiet):.1f})"
            f"  beside {statistics.median(beside):6.1f} ({min(beside):.1f})"
            f"  share {min(beside) / statistics.median(quiet):.2f}"
            f"  prefill {read[0]:.0f}, {read[1]:.0f}"
        )


def main() -> None:
    """Measure and print."""
    arguments = parse()
    threads = int(probe()["threads"])
    ways = arguments.ways.split(",") + (["llama-bench"] if arguments.llama_bench else [])
    seen: dict[tuple[str, int], list[Speed]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.model:
            print("writing a model of 0.5 B random parameters, Q4_K_M", file=sys.stderr)
            arguments.model = str(write_model(Path(folder) / "half-billion.gguf", Shape()))
        print(f"{platform.processor() or platform.machine()}, {threads} threads, {arguments.model}")
        for number in range(arguments.tries):
            for busy in (0, arguments.busy):
                with neighbours(busy, arguments.load):
                    for way in ways:
                        speed = measure(way, arguments, threads)
                        seen.setdefault((way, busy), []).append(speed)
                        print(f"try {number + 1}, {busy} busy, {way}: {speed}", file=sys.stderr)
    print(
        f"tokens/s, {arguments.tries} tries, median (worst), quiet and beside {arguments.busy} "
        f"{arguments.load}; the worst as a share of quiet; prefill quiet and beside"
    )
    report(seen, arguments.busy)


if __name__ == "__main__":
    main()
