"""Memory as predicted from the header against memory as measured in the engine's process.

    python -m bench.fit [--quick | --only WORD] [--scratch DIR]

Each model has random weights and is loaded by a real engine on the CPU. Measured is what the
process holds (VmRSS, mapped weights included) right after loading and with a full context: a prompt
of nearly n_ctx tokens was read, so that keys and values have been written. The large ones have a
short context, because reading takes minutes. Needs up to 6 GB of disk and as much memory.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.synthetic import Shape, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Generate, LoadOptions
from chatapp.gguf.fit import count_needs
from chatapp.gguf.model_info import read_model_info
from chatapp.sampling import SamplingParams


@dataclass(frozen=True)
class Case:
    """One model and how it is loaded."""

    name: str
    shape: dict[str, Any] = field(default_factory=dict)
    n_ctx: int = 4096
    kv_type: Literal["f16", "q8_0"] = "f16"


SMALL = {"n_embd": 1024, "n_layers": 22, "n_ff": 4096, "n_head": 16}
CASES = [
    Case("0.5B, grouped KV", SMALL | {"n_head_kv": 4}),
    Case("0.5B, every head its own KV", SMALL | {"n_head_kv": 16}),
    Case("0.5B, KV in q8_0", SMALL | {"n_head_kv": 16}, 8192, "q8_0"),
    Case("0.5B, sliding window", SMALL | {"n_head_kv": 4, "arch": "gemma3"}, 8192),
    Case("1.1B", {"n_embd": 2048, "n_layers": 22, "n_ff": 5632, "n_head": 32}, 2048),
    Case("3B", {"n_embd": 3072, "n_layers": 28, "n_ff": 8192, "n_head": 24, "n_head_kv": 8}, 1024),
    Case("8B", {"n_embd": 4096, "n_layers": 32, "n_ff": 14_336, "n_head": 32, "n_head_kv": 8}, 512),
]


def resident(pid: int) -> int:
    """Bytes of a process in memory, mapped files included."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def measure(path: Path, case: Case) -> tuple[int, int]:
    """Bytes after loading, and with the context full."""
    client = EngineClient()
    try:
        await client.load(LoadOptions(path=str(path), n_ctx=case.n_ctx, kv_type=case.kv_type))
        assert client.pid is not None
        loaded = resident(client.pid)
        await fill(client, case)
        return loaded, resident(client.pid)
    finally:
        await client.stop()


async def fill(client: EngineClient, case: Case) -> None:
    """Read a prompt of nearly `n_ctx` tokens, so that keys and values have been written."""
    prompt = "w0 " * ((case.n_ctx - 64) // 3)
    request = Generate(
        request_id="fill", prompt=prompt, params=SamplingParams(temperature=0, max_tokens=2)
    )
    used = 0
    async for event in client.generate(request):
        used = max(used, getattr(event, "total", 0))
    if used < case.n_ctx * 0.85:
        raise RuntimeError(f"only {used} of {case.n_ctx} tokens were filled")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small ones only")
    parser.add_argument("--only", default="", metavar="WORD", help="those named so, as in 8B")
    parser.add_argument("--scratch", type=Path, help="a folder with 6 GB free")
    arguments = parser.parse_args()
    print(f"{'':30}{'predicted':>10}{'loaded':>8}{'full':>8} MB{'error':>8}")
    cases = CASES[:4] if arguments.quick else CASES
    for case in (case for case in cases if arguments.only in case.name):
        with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="bench-fit-") as folder:
            path = write_model(Path(folder) / "model.gguf", replace(Shape(), **case.shape))
            needs = count_needs(read_model_info(path), case.n_ctx, case.kv_type)
            loaded, full = asyncio.run(measure(path, case))
        error = needs.total / full - 1
        print(
            f"{case.name:30}{needs.total / 1e6:10.0f}{loaded / 1e6:8.0f}{full / 1e6:8.0f} "
            f"{error:+10.1%}   weights {needs.weights / 1e6:.0f}, KV {needs.kv / 1e6:.0f}, "
            f"buffers {needs.compute / 1e6:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
