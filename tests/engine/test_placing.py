"""Planning and stepping down. Devices and failures are pretended: a test cannot take a machine's
memory away, and no GPU is to be had. Everything else is the real llama.cpp on a real file."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.synthetic import TINY, write_model
from chatapp.engine.llama import devices, native
from chatapp.engine.llama.devices import Device
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.llama.placing import NoRoomError, place, plan_ways
from chatapp.engine.llama.remembered import Way, find_room, remember
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


def test_what_failed_is_tried_again_when_there_is_more_room(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    def set_free(gpu: int, host: int) -> None:
        gpus = [Device("CUDA0", "a GPU", "gpu", gpu << 30, 80 << 30)] if gpu else []
        monkeypatch.setattr(devices, "list_devices", lambda: gpus)
        monkeypatch.setattr(devices, "memory_bytes", lambda: (host << 30, 64 << 30))

    options = LoadOptions(path=str(tiny_model))
    set_free(8, 8)
    planned = plan_ways(tiny_model, options)
    assert len(planned.ways) > 4
    remember(tiny_model, options, planned.ways[2], find_room())
    assert plan_ways(tiny_model, options) == replace(planned, ways=planned.ways[2:])
    set_free(6, 16)  # main memory does not matter to the GPU
    assert plan_ways(tiny_model, options).ways[0] == planned.ways[2]
    set_free(70, 8)
    assert plan_ways(tiny_model, options).ways == planned.ways
    set_free(8, 8)
    assert plan_ways(tiny_model, options).ways[0] == planned.ways[2]
    other = LoadOptions(path=str(tiny_model), kv_type="q8_0")
    assert plan_ways(tiny_model, other).ways[0] == replace(planned.way, kv_type="q8_0")
    place(tiny_model, options, planned, lambda _way: None)  # the best way works
    assert plan_ways(tiny_model, options).ways == planned.ways
    set_free(0, 8)
    planned = plan_ways(tiny_model, options)
    remember(tiny_model, options, planned.ways[-1], find_room())
    assert plan_ways(tiny_model, options).ways == planned.ways[-1:]
    set_free(0, 9)
    assert plan_ways(tiny_model, options).ways == planned.ways


def test_only_a_lack_of_memory_steps_down(pretend: Pretend, tiny_model: Path) -> None:
    pretend(8 << 30, 8 << 30)
    options = LoadOptions(path=str(tiny_model))
    planned = plan_ways(tiny_model, options)
    tried: list[Way] = []

    def fail(error: Exception, until: int) -> Callable[[Way], None]:
        def load(way: Way) -> None:
            tried.append(way)
            if len(tried) <= until:
                raise error

        tried.clear()
        return load

    with pytest.raises(ModelError, match="broken"):
        place(tiny_model, options, planned, fail(ModelError("broken"), 99))
    assert tried == planned.ways[:1]
    with pytest.raises(NoRoomError):
        place(tiny_model, options, planned, fail(NoRoomError("full"), 99))
    assert tried == planned.ways
    assert plan_ways(tiny_model, options) == planned
    place(tiny_model, options, planned, fail(NoRoomError("full"), 3))
    assert plan_ways(tiny_model, options).ways == planned.ways[3:]


def test_a_broken_file_lacks_no_memory(pretend: Pretend, tmp_path: Path, tiny_model: Path) -> None:
    native.start()
    pretend(8 << 30, 8 << 30)
    cut, odd = tmp_path / "cut.gguf", tmp_path / "odd.gguf"
    cut.write_bytes(tiny_model.read_bytes()[:-20_000])
    write_model(odd, replace(TINY, arch="frobnicate"))
    for path in (cut, odd):
        with pytest.raises(ModelError) as caught:
            LoadedModel(LoadOptions(path=str(path)), lambda _fraction: None)
        assert not isinstance(caught.value, NoRoomError)


_LITTLE_ROOM = """
import resource, sys
import llama_cpp.llama_cpp as lib
from chatapp.engine.llama import native
native.start()
model = lib.llama_model_load_from_file(sys.argv[1].encode(), native.model_params())
params = lib.llama_context_default_params()
params.n_ctx, params.kv_unified = 64_000_000, True
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
native.forget_problems()
print(lib.llama_init_from_model(model, params), native.lacked_memory())
"""


def test_llama_cpp_s_words_for_a_lack_of_memory_are_known(tmp_path: Path) -> None:
    """Keys and values of 8 GB in a process that may have 4: no byte of them is touched."""
    path = write_model(tmp_path / "long.gguf", replace(TINY, n_layers=1, n_ctx=64_000_000))
    done = subprocess.run(
        [sys.executable, "-c", _LITTLE_ROOM, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None True\n"


def test_stepping_down_is_said_and_remembered(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    native.start()
    monkeypatch.setattr(devices, "memory_bytes", lambda: (8 << 30, 8 << 30))
    tried = []
    real = LoadedModel._make_context

    def fail_above_4096(self: LoadedModel, path: Path) -> int:
        tried.append(self.n_ctx)
        if self.n_ctx > 4096:
            raise NoRoomError("out of memory")
        return real(self, path)

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


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_whatever_fails_after_the_weights_gives_them_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[BaseException]
) -> None:
    native.start()
    path = write_model(tmp_path / "wide.gguf", replace(TINY, n_vocab=100_000))  # 51 MB

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("chatapp.engine.llama.model.find_manner", fail)
    sizes = []
    for _ in range(6):
        with pytest.raises(error):
            LoadedModel(LoadOptions(path=str(path), n_ctx=16_384), lambda _fraction: None)
        sizes.append(int(Path("/proc/self/statm").read_text().split()[0]) * 4096 >> 20)
    assert sizes[-1] - sizes[0] < 50, sizes  # MB of address space


def test_a_model_larger_than_the_machine_is_refused_with_both_numbers(
    pretend: Pretend, tiny_model: Path
) -> None:
    info = read_model_info(tiny_model)
    least = count_needs(info, 4096, "f16").total
    pretend(least - 1)
    asked = LoadOptions(path=str(tiny_model), n_ctx=4096, kv_type="f16")
    with pytest.raises(ModelError, match=r"is too large\. It needs \d+ MB .* has \d+ MB"):
        LoadedModel(asked, lambda _: None)
    pretend(least)
    LoadedModel(asked, lambda _: None).close()
