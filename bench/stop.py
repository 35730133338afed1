"""How long a stop takes: from the client's cancel to the engine's `Finished`.

In prefill of a prompt of 8,000 tokens, at moments spread over the time it takes, and in decode, on
a model of 0.5 B random parameters. The aim is at most 200 ms; the worst of all rounds is reported
beside the median.

    python -m bench.stop [--model FILE] [--rounds 5]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.models import find_model
from bench.synthetic import Shape, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import Delta, Finished, Generate, LoadOptions, PrefillProgress
from chatapp.sampling import SamplingParams

PROMPT_TOKENS = 8000


async def stop_once(client: EngineClient, number: int, *, in_decode: bool, wait_s: float) -> float:
    """Seconds from cancel to `Finished`; the cancel comes `wait_s` after work has begun."""
    generate = Generate(
        prompt=f"{number % 10}" * (16 if in_decode else PROMPT_TOKENS),
        params=SamplingParams(temperature=0),
    )
    request = client.request(generate)
    cancelled_at = 0.0

    def cancel() -> None:
        nonlocal cancelled_at
        cancelled_at = time.perf_counter()
        request.cancel()

    planned = False
    async for event in request.events():
        begun = isinstance(event, Delta if in_decode else PrefillProgress)
        if begun and not planned:
            planned = True
            asyncio.get_running_loop().call_later(wait_s, cancel)
        if isinstance(event, Finished):
            assert event.choices[0].finish_reason == "cancelled", event.choices[0].finish_reason
    return time.perf_counter() - cancelled_at


async def read_through(client: EngineClient) -> float:
    """Seconds that the whole prompt takes."""
    request = Generate(
        prompt="x" * PROMPT_TOKENS,
        params=SamplingParams(temperature=0, max_tokens=1),
    )
    began = time.perf_counter()
    async for _ in client.generate(request):
        pass
    return time.perf_counter() - began


async def measure(path: str, rounds: int) -> None:
    """Cancel at different moments of prefill and of decode."""
    client = EngineClient()
    await client.load(LoadOptions(path=path))
    whole = await read_through(client)
    print(f"the prompt takes {whole:.2f} s")
    for name, in_decode in (("prefill", False), ("decode", True)):
        times = [
            await stop_once(client, number, in_decode=in_decode, wait_s=min(whole, 2) * share)
            for number, share in enumerate((n + 0.5) / (rounds + 1) for n in range(rounds))
        ]
        middle, worst = statistics.median(times) * 1000, max(times) * 1000
        print(f"stop in {name}: median {middle:.0f} ms, worst of {rounds} {worst:.0f} ms")
    await client.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        type=find_model,
        help="a GGUF file, smollm2 or gemma3-270m; default: 0.5 B random parameters",
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model
        if not path:
            print("writing a model of 0.5 B random parameters, Q4_K_M", file=sys.stderr)
            path = str(write_model(Path(folder) / "half-billion.gguf", Shape()))
        asyncio.run(measure(path, arguments.rounds))


if __name__ == "__main__":
    main()
