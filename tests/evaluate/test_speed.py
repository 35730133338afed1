"""How fast a model is: what is measured, and what memory allows."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.synthetic import TINY
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import (
    Finished,
    Generate,
    LoadOptions,
    ModelDescription,
    Timings,
    Usage,
)
from chatapp.evaluate.bandwidth import TokenBytes, measure_bandwidth, read_token_bytes
from chatapp.evaluate.speed import Plan, measure_speed
from tests.gguf.gguf_bytes import STRING, U32, entry, header, pad, tensor, text

PLAN = Plan(depths=(0, 64), batches=(1, 2), n_prefill=32, n_decode=4, repeats=2)


async def test_each_depth_and_batch_is_measured_and_stands_beside_its_bound(
    tiny_model: Path,
) -> None:
    client = EngineClient()
    steps: list[int] = []
    try:
        model = await client.load(
            LoadOptions(path=str(tiny_model), n_ctx=PLAN.n_ctx, n_threads=1, n_parallel=2)
        )
        token_bytes = TokenBytes(weights=1000, kv_per_token=10.0, window=0)
        speeds = await measure_speed(
            client, model, PLAN, bandwidth=1e9, token_bytes=token_bytes, on_step=steps.append
        )
    finally:
        await client.stop()
    assert [(speed.what, speed.batch) for speed in speeds] == [
        ("prefill", 1), ("decode", 1), ("decode", 2),
    ] * 2  # fmt: skip
    assert [speed.depth >= 50 for speed in speeds] == [False] * 3 + [True] * 3
    assert all(0 < speed.slowest <= speed.tokens_per_second <= speed.fastest for speed in speeds)
    assert [speed.tokens for speed in speeds if speed.what == "decode"] == [4, 8] * 2
    assert all(20 <= speed.tokens <= 45 for speed in speeds if speed.what == "prefill")
    for speed in speeds:
        read = 1000 + speed.batch * speed.depth * 10
        wanted = None if speed.what == "prefill" else speed.batch * 1e9 / read
        assert speed.bound == (wanted and pytest.approx(wanted))
    assert steps == [1, 2, 3, 4, 5, 6]


async def test_what_is_measured_was_done_before_once() -> None:
    asked: list[tuple[int, int]] = []

    class Client:
        async def generate(self, request: Generate) -> AsyncIterator[Finished]:
            asked.append((request.n, request.params.max_tokens or 0))
            usage = Usage(prompt_tokens=8, completion_tokens=4)
            yield Finished(request_id="1", choices=[], usage=usage, timings=Timings())

    plan = Plan(depths=(0,), batches=(1, 4), repeats=1, n_decode=40)
    numbers = ("size_bytes", "n_params", "n_ctx", "n_ctx_train", "n_vocab", "n_layers")
    facts = dict.fromkeys(("path", "name", "arch"), "x") | dict.fromkeys(numbers, 4096)
    model = ModelDescription(**facts, gpu_layers=0)
    await measure_speed(Client(), model, plan)
    assert asked == [(1, 1), (1, 1), (1, 16), (1, 40), (4, 16), (4, 40)]


def test_a_plan_is_cut_to_what_the_context_holds() -> None:
    assert Plan().fit(32_768) == Plan()
    assert Plan().fit(4096).depths == (0, 512, 2048)
    tiny = Plan(depths=(512, 0)).fit(64)
    assert (tiny.depths, tiny.n_prefill, tiny.n_decode) == ((512,), 32, 4)


def test_a_token_reads_every_weight_but_the_tables_it_looks_up_in(tiny_model: Path) -> None:
    found = read_token_bytes(tiny_model, "f16")
    width, n_ff, kv = TINY.n_embd, TINY.n_ff, TINY.n_embd // 2
    layer = width * (2 * width + 2 * kv + 3 * n_ff + 2)
    table = TINY.n_vocab * width  # the output's too
    assert found.weights == 4 * (TINY.n_layers * layer + table + width)
    assert found.kv_per_token == 2 * 2 * kv * TINY.n_layers
    assert read_token_bytes(tiny_model, "q8_0").kv_per_token == found.kv_per_token * 17 / 32


def test_of_experts_those_are_read_that_a_token_uses(tmp_path: Path) -> None:
    def weigh(names: list[str], **numbers: int) -> int:
        keys = [entry("general.architecture", STRING, text("llama"))]
        keys += [entry(f"llama.{key}", U32, struct.pack("<I", n)) for key, n in numbers.items()]
        rows = [tensor(name, (8, 4), 0, 128 * at) for at, name in enumerate(names)]
        file = tmp_path / "moe.gguf"
        file.write_bytes(pad(header(keys, rows), 128 * len(names)))
        return read_token_bytes(file, "f16").weights

    experts = ["blk.0.ffn_up_exps.weight"]
    assert weigh(experts, expert_count=8, expert_used_count=2) == 32
    assert weigh(experts) == weigh(["blk.0.ffn_up.weight"], expert_count=8) == 128
    assert weigh(["token_embd.weight"]) == 128  # it is the output too
    assert weigh(["token_embd.weight", "output.weight"]) == 128
    assert weigh(["position_embd.weight"]) == 0


def test_a_window_bounds_what_is_looked_back_at() -> None:
    full, window = TokenBytes(100, 1.0, 0), TokenBytes(100, 1.0, 50)
    assert full.bound(1000.0, 900, 1) == 1.0
    assert window.bound(1000.0, 900, 1) == pytest.approx(1000 / 150)
    assert full.bound(1000.0, 0, 4) == 40.0


def test_memory_is_read_faster_than_a_gigabyte_a_second() -> None:
    assert 1e9 < measure_bandwidth(2, 16 << 20) < 1e13
