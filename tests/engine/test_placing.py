"""Planning and stepping down. Devices and failures are pretended: a test cannot take a machine's
memory away, and no GPU is to be had. Everything else is the real llama.cpp on a real file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import TINY, write_model
from chatapp.engine.llama import devices, native
from chatapp.engine.llama.devices import Device
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.placing import Way, plan_ways, remember
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ModelError
from chatapp.gguf.fit import count_needs
from chatapp.gguf.model_info import read_model_info

Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """A machine with this much memory, and a GPU with that much."""

    def set_machine(memory: int, gpu: int = 0) -> None:
        gpus = [Device("CUDA0", "a GPU", "gpu", gpu, gpu)] if gpu else []
        monkeypatch.setattr(devices, "list_devices", lambda: gpus)
        monkeypatch.setattr(devices, "memory_bytes", lambda: (memory, memory))

    return set_machine


def test_all_layers_when_they_fit_and_then_fewer(pretend: Pretend, tiny_model: Path) -> None:
    pretend(8 << 30, 8 << 30)
    n_layers = len(read_model_info(tiny_model).layer_bytes) + 1
    planned = plan_ways(tiny_model, LoadOptions(path=str(tiny_model)))
    ways = planned.ways
    assert planned.way == ways[0] == Way(n_layers, 16_384)  # all it was trained for
    assert ways[1] == Way(n_layers, 8192)
    assert planned.short_of == ""
    assert [way.gpu_layers for way in ways] == sorted((w.gpu_layers for w in ways), reverse=True)
    assert ways[-1] == Way(0, 4096)
    asked = LoadOptions(path=str(tiny_model), gpu_layers=1, n_ctx=512)
    assert plan_ways(tiny_model, asked).ways == [Way(1, 512)]


def test_layers_that_stay_off_the_gpu_are_explained(pretend: Pretend, tmp_path: Path) -> None:
    native.start()
    path = write_model(tmp_path / "model.gguf", replace(TINY, n_layers=6, n_embd=512, n_ff=8192))
    needs = count_needs(read_model_info(path), 4096)
    pretend(8 << 30, (512 << 20) + (88 << 20) + needs.compute + needs.weights // 2)
    planned = plan_ways(path, LoadOptions(path=str(path), n_ctx=4096))
    assert 0 < planned.way.gpu_layers < 7
    assert "are free on the GPU" in planned.short_of
    model = LoadedModel(LoadOptions(path=str(path), n_ctx=4096), lambda _fraction: None)
    try:
        assert any("of 7 layers are on the GPU. " in notice for notice in model.notices)
    finally:
        model.close()
    chosen = LoadOptions(path=str(path), n_ctx=4096, gpu_layers=2)
    assert plan_ways(path, chosen).short_of == ""


def test_a_short_memory_shortens_the_context(pretend: Pretend, tiny_model: Path) -> None:
    info = read_model_info(tiny_model)
    pretend(count_needs(info, 4096).total + (512 << 20) + (1 << 20))
    assert plan_ways(tiny_model, LoadOptions(path=str(tiny_model))).way == Way(0, 4096)


def test_a_shorter_memory_halves_the_cache_where_it_can_be_halved(
    pretend: Pretend, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "model.gguf", replace(TINY, n_embd=256, n_head=8, n_head_kv=8))
    info = read_model_info(path)
    assert info.head_width == [32, 32]
    pretend(count_needs(info, 4096, "q8_0").total + (512 << 20) + (1 << 20))
    assert plan_ways(path, LoadOptions(path=str(path))).way == Way(0, 4096, "q8_0")
    stays = LoadOptions(path=str(path), flash_attn=False)
    assert plan_ways(path, stays).way.kv_type == "f16"
    narrow = write_model(tmp_path / "narrow.gguf", TINY)  # heads of 16 have no blocks of 32
    pretend(count_needs(read_model_info(narrow), 4096, "q8_0").total + (512 << 20))
    assert plan_ways(narrow, LoadOptions(path=str(narrow))).way.kv_type == "f16"


def test_a_halved_cache_is_used_and_said(pretend: Pretend, tmp_path: Path) -> None:
    native.start()
    path = write_model(tmp_path / "model.gguf", replace(TINY, n_embd=256, n_head=8, n_head_kv=8))
    pretend(count_needs(read_model_info(path), 4096, "q8_0").total + (512 << 20) + (1 << 20))
    model = LoadedModel(LoadOptions(path=str(path)), lambda _fraction: None)
    try:
        assert (model.description.kv_type, model.n_ctx) == ("q8_0", 4096)
        assert any("held in 8 bits (q8_0)" in notice for notice in model.notices)
    finally:
        model.close()


def test_what_failed_is_not_tried_again(pretend: Pretend, tiny_model: Path) -> None:
    pretend(8 << 30, 8 << 30)
    options = LoadOptions(path=str(tiny_model))
    planned = plan_ways(tiny_model, options)
    remember(tiny_model, options, planned.ways[2])
    assert plan_ways(tiny_model, options) == replace(planned, ways=planned.ways[2:])
    other = LoadOptions(path=str(tiny_model), kv_type="q8_0")
    assert plan_ways(tiny_model, other).ways[0] == replace(planned.way, kv_type="q8_0")
    pretend(8 << 30, 16 << 30)  # another GPU
    assert plan_ways(tiny_model, options).ways[0] == planned.way


def test_stepping_down_is_said_and_remembered(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    native.start()
    tried = []
    real = LoadedModel._make_context

    def fail_above_4096(self: LoadedModel, path: Path, options: LoadOptions) -> int:
        tried.append(self.n_ctx)
        if self.n_ctx > 4096:
            raise ModelError("out of memory")
        return real(self, path, options)

    monkeypatch.setattr(LoadedModel, "_make_context", fail_above_4096)
    for expected in ([8192, 4096], [8192, 4096, 4096]):
        model = LoadedModel(LoadOptions(path=str(tiny_model)), lambda _fraction: None)
        try:
            assert tried == expected
            assert model.n_ctx == 4096
            assert "The context is 4096 tokens: 8192 do not fit into memory." in model.notices
        finally:
            model.close()
    with pytest.raises(ModelError, match="out of memory"):
        LoadedModel(LoadOptions(path=str(tiny_model), n_ctx=8192), lambda _fraction: None)
