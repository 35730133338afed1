"""How likely a text is: in llama.cpp and in PyTorch as transformers' own logits have it."""

import asyncio
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from bench.synthetic import TINY, write_model
from chatapp.engine.backend import Backend, Cancellation
from chatapp.engine.client import EngineClient
from chatapp.engine.llama.backend import LlamaBackend
from chatapp.engine.llama.scoring import read_logprobs
from chatapp.engine.protocol import Event, LoadOptions
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.engine.remote import RemoteBackend
from chatapp.engine.scoring import Score, ScoreProgress, cut_windows
from chatapp.errors import EngineError, UsageError
from convert.pipeline import convert
from tests.engine.transformers_folders import write_gpt2, write_t5

TEXT = "the quick brown fox wrote héllo 北京 <|endoftext|> over the lazy dog 🎉\n" * 9


def write_folder(folder: Path, *, adds_bos: bool) -> Path:
    """A GPT-2 whose tokenizer puts a token before a text, or does not."""
    write_gpt2(folder)
    if adds_bos:
        file = folder / "tokenizer.json"
        tokenizer = json.loads(file.read_text(encoding="utf-8"))
        special = {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}
        framed = [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}]
        text = [{"Sequence": {"id": "A", "type_id": 0}}]
        tokenizer["post_processor"] = {
            "type": "TemplateProcessing",
            "single": framed + text,
            "pair": framed + text + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|endoftext|>": special},
        }
        file.write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "bos"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_folder(tmp_path_factory.mktemp("score") / "gpt2", adds_bos=request.param)


@pytest.fixture(scope="module")
def backends(folder: Path) -> Iterator[dict[str, Backend]]:
    """The model in PyTorch, and converted in llama.cpp."""
    file = convert(folder, folder / "model.gguf", ftype="F32", parity="off").output
    made: dict[str, Backend] = {"torch": TorchBackend(), "llama": LlamaBackend()}
    for name, backend in made.items():
        path = file if name == "llama" else folder
        backend.load(LoadOptions(path=str(path), n_threads=1), lambda _: None)
    yield made
    for backend in made.values():
        backend.unload()


def expect(folder: Path, n_ctx: int, stride: int) -> list[list[float]]:
    """Log-probabilities of each window, by transformers' logits and windows written out here."""
    model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    plain = tokenizer.encode(TEXT, add_special_tokens=False, split_special_tokens=True)
    bos = tokenizer.encode("a")[:-1]
    ids = [*bos, *plain]
    found: list[list[float]] = []
    known = 1
    for begin in range(0, len(ids), stride or n_ctx):
        window = ids[begin : begin + n_ctx]
        if not stride and len(window) < n_ctx:
            break
        if bos and not stride:
            window[0] = bos[0]
        with torch.inference_mode():
            logits = model(torch.tensor([window])).logits[0].double().log_softmax(-1)
        first = known - begin if stride else n_ctx // 2 + 1
        known = begin + len(window)
        found.append([float(logits[at - 1, window[at]]) for at in range(first, len(window))])
        if known == len(ids):
            break
    return found


@pytest.mark.parametrize("name", ["llama", "torch"])
@pytest.mark.parametrize(("n_ctx", "stride"), [(128, 0), (17, 0), (64, 24), (16, 3)])
def test_every_token_is_as_likely_as_by_transformers(
    folder: Path, backends: dict[str, Backend], name: str, n_ctx: int, stride: int
) -> None:
    said: list[Event] = []
    request = Score(text=TEXT, n_ctx=n_ctx, stride=stride, wants_logprobs=True)
    scored = backends[name].score(request, said.append, Cancellation())
    expected = expect(folder, n_ctx, stride)
    flat = [logprob for window in expected for logprob in window]
    assert scored.logprobs == pytest.approx(flat, abs=0.02)  # llama.cpp's cache is of 16 bits
    assert scored.logprob == pytest.approx(math.fsum(flat), rel=2e-4)
    assert scored.squares == pytest.approx(math.fsum(x * x for x in flat), rel=1e-3)
    assert [window.n_scored for window in scored.windows] == [len(one) for one in expected]
    assert [window.logprob for window in scored.windows] == pytest.approx(
        [math.fsum(one) for one in expected], abs=0.1
    )
    assert 0 < scored.n_bytes <= len(TEXT.encode())
    last = said[-1]
    assert isinstance(last, ScoreProgress)
    assert (last.done, last.n_scored) == (last.total, len(flat))
    assert last.logprob == pytest.approx(scored.logprob)


def test_first_windows_alone_and_bytes_of_all(backends: dict[str, Backend]) -> None:
    for backend in backends.values():
        first, whole = (
            backend.score(request, lambda _: None, Cancellation())
            for request in (
                Score(text=TEXT, n_ctx=32, most_windows=2),
                Score(text=TEXT, n_ctx=32, stride=16),
            )
        )
        assert (len(first.windows), first.n_scored, first.logprobs) == (2, 30, [])
        assert whole.n_text - whole.n_scored == 1
        assert whole.n_text_bytes == len(TEXT.encode())
        assert 0 <= len(TEXT.encode()) - whole.n_bytes <= 3  # of the first token


@given(st.integers(2, 300), st.integers(4, 40), st.data())
def test_with_a_stride_every_token_but_the_first_is_scored_once(
    n_text: int, n_ctx: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, n_ctx))
    windows = cut_windows(n_text, Score(text="", n_ctx=n_ctx, stride=stride), n_ctx)
    scored = [at for window in windows for at in range(window.first, window.end)]
    begins = set(range(0, n_text, stride)) if stride == n_ctx else {0}
    assert scored == [at for at in range(n_text) if at not in begins]
    assert all(window.begin < window.first and window.n_tokens <= n_ctx for window in windows)


def test_half_a_window_is_scored_as_in_llama_perplexity() -> None:
    windows = cut_windows(1600, Score(text="", n_ctx=512), 8192)
    assert [(w.begin, w.end, w.n_scored) for w in windows] == [
        (0, 512, 255), (512, 1024, 255), (1024, 1536, 255),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n_text", "wanted", "said"),
    [
        (511, {"n_ctx": 512}, "too short: 511 tokens, and a window is 512"),
        (1, {"n_ctx": 512, "stride": 8}, "too short: 1 tokens"),
        (600, {"n_ctx": 600}, "longer than the context, which is 512"),
        (600, {"n_ctx": 3}, "4 are the least"),
        (600, {"n_ctx": 8, "stride": 9}, "The stride is 9"),
        (600, {"n_ctx": 8, "stride": -1}, "The stride is -1"),
    ],
)
def test_windows_that_cannot_be_cut_are_refused(
    n_text: int, wanted: dict[str, int], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        cut_windows(n_text, Score(text="", **wanted), 512)  # type: ignore[arg-type]


def test_logprobs_are_right_for_large_logits_and_refused_when_not_finite() -> None:
    logits = np.array([[1000.0, 999.0, -1000.0], [-5.0, -5.0, -5.0]], dtype=np.float32)
    found = read_logprobs(logits, [1, 2])
    assert found.dtype == np.float64
    assert found == pytest.approx([-1 - math.log1p(math.exp(-1)), -math.log(3)], abs=1e-6)


@pytest.mark.parametrize("arch", ["llama", "gemma3"])
def test_windows_that_are_read_together_are_as_likely_as_alone(tmp_path: Path, arch: str) -> None:
    backend = LlamaBackend()
    file = write_model(tmp_path / "tiny.gguf", replace(TINY, arch=arch))
    backend.load(LoadOptions(path=str(file), n_ctx=64, n_threads=1), lambda _: None)
    text = "".join(chr(97 + (at * at) % 26) for at in range(700))  # a byte is a token
    together = backend.score(Score(text=text, n_ctx=32), lambda _: None, Cancellation())
    assert len(together.windows) == 21
    for number in (0, 7, 20):
        request = Score(text=text[32 * number :], n_ctx=32, most_windows=1)
        (alone,) = backend.score(request, lambda _: None, Cancellation()).windows
        assert together.windows[number].logprob == pytest.approx(alone.logprob, rel=1e-3)
    assert len({round(window.logprob, 3) for window in together.windows}) > 10
    backend.unload()


async def test_leaving_early_stops_the_engine_and_the_next_request_is_served(
    tiny_model: Path,
) -> None:
    client = EngineClient()
    try:
        await client.load(LoadOptions(path=str(tiny_model), n_ctx=64, n_threads=1))
        started = asyncio.Event()
        running = asyncio.create_task(
            client.score(Score(text="the ship " * 200_000, n_ctx=64), lambda _: started.set())
        )
        waiting = asyncio.create_task(client.score(Score(text="a" * 9999, n_ctx=64)))
        await started.wait()
        waiting.cancel()
        running.cancel()
        short = await client.score(Score(text="the ship " * 20, n_ctx=64))
        assert len(short.windows) == 2
        assert (short.is_cancelled, client.state) == (False, "idle")
        with pytest.raises(UsageError, match="longer than the context"):
            await client.score(Score(text="a" * 999, n_ctx=128))
    finally:
        await client.stop()


def test_what_cannot_say_it_is_refused_by_name(tmp_path: Path) -> None:
    backend = TorchBackend()
    backend.load(LoadOptions(path=str(write_t5(tmp_path / "t5")), n_threads=1), lambda _: None)
    request = Score(text=TEXT, n_ctx=16)
    with pytest.raises(UsageError, match="text-to-text"):
        backend.score(request, lambda _: None, Cancellation())
    backend.unload()
    for empty in (backend, LlamaBackend()):
        with pytest.raises(EngineError, match="No model is loaded"):
            empty.score(request, lambda _: None, Cancellation())
    with pytest.raises(UsageError, match="is a server"):
        RemoteBackend().score(request, lambda _: None, Cancellation())
