"""The PyTorch backend: the text of transformers' own `generate`, heard token by token."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from chatapp.engine.backend import Cancellation
from chatapp.engine.protocol import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    LoadOptions,
    Measure,
    PrefillProgress,
)
from chatapp.engine.pytorch import weights
from chatapp.engine.pytorch.backend import TorchBackend
from chatapp.errors import ContextOverflowError, ModelError, UsageError
from chatapp.parts import Text
from chatapp.sampling import SamplingParams
from tests.engine.transformers_folders import TEMPLATE, write_gpt2, write_t5, write_xlnet

PROMPT = "once upon a time the quick"
MAKERS = {"gpt2": write_gpt2, "t5": write_t5, "xlnet": write_xlnet}
Load = Callable[..., TorchBackend]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of each kind, made once."""
    torch.set_num_threads(1)
    root, made = tmp_path_factory.mktemp("folders"), {}

    def find(kind: str) -> Path:
        if kind not in made:
            made[kind] = MAKERS[kind](root / kind)
        return made[kind]

    return find


@pytest.fixture
def load() -> Iterator[Load]:
    """A backend with a folder in it."""
    backends = []

    def build(folder: Path, **options: Any) -> TorchBackend:
        backends.append(TorchBackend())
        backends[-1].load(LoadOptions(path=str(folder), **options), lambda _: None)
        return backends[-1]

    yield build
    for backend in backends:
        backend.unload()


def ask(
    backend: TorchBackend,
    text: str = PROMPT,
    *,
    emit: Callable[[Any], None] = lambda _: None,
    cancelled: Cancellation | None = None,
    more: dict[str, Any] | None = None,
    **params: Any,
) -> Finished:
    request = Generate(
        request_id="1",
        messages=[ChatMessage.of("user", text)],
        params=SamplingParams(**{"temperature": 0.0, "max_tokens": 20, **params}),
        **(more or {}),
    )
    return backend.generate(request, emit, cancelled or Cancellation())


def generate_alone(folder: Path, kind: str) -> str:
    """What transformers' own `generate` says, without anything of ours."""
    made = transformers.AutoModelForSeq2SeqLM if kind == "t5" else transformers.AutoModelForCausalLM
    model = made.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    # a text that goes on has no <sep><cls> behind it, which XLNet's tokenizer would add
    given = tokenizer(PROMPT, return_tensors="pt", add_special_tokens=kind == "t5")
    said = model.generate(
        given.input_ids,
        attention_mask=given.attention_mask,
        do_sample=False,
        num_beams=1,
        max_new_tokens=20,
    )[0]
    begin = 1 if kind == "t5" else given.input_ids.shape[1]
    return str(tokenizer.decode(said[begin:], skip_special_tokens=True))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_text_is_that_of_transformers(
    folders: Callable[[str], Path], load: Load, kind: str
) -> None:
    folder = folders(kind)
    backend = load(folder)
    events: list[Any] = []
    finished = ask(backend, emit=events.append)
    (choice,) = finished.choices
    assert choice.text == generate_alone(folder, kind)
    assert len(choice.text) > 10
    assert (choice.completion_tokens, choice.finish_reason) == (20, "length")
    assert len(choice.tokens) == finished.usage.completion_tokens == 20
    told = ""
    for event in (e for e in events if isinstance(e, Delta)):
        told = told[: event.at] + event.text
    assert told == choice.text
    read = [event for event in events if isinstance(event, PrefillProgress)]
    assert read[-1].done == read[-1].total == finished.usage.prompt_tokens
    measured = backend.measure(Measure(messages=[ChatMessage.of("user", PROMPT)]))
    assert measured.total == finished.usage.prompt_tokens


@pytest.mark.parametrize("kind", MAKERS)
def test_every_alternative_has_a_seed_of_its_own(
    folders: Callable[[str], Path], load: Load, kind: str
) -> None:
    backend = load(folders(kind))
    how = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.95}
    several = ask(backend, seed=5, more={"n": 3}, **how, no_repeat_ngram_size=2)
    assert [choice.seed for choice in several.choices] == [5, 6, 7]
    assert len({choice.text for choice in several.choices}) == 3
    alone = ask(backend, seed=6, **how, no_repeat_ngram_size=2)
    assert alone.choices[0].text == several.choices[1].text
    for choice in several.choices:
        pairs = list(zip(choice.tokens, choice.tokens[1:], strict=False))
        assert len(pairs) == len(set(pairs))


def test_a_stop_string_ends_one_alternative(folders: Callable[[str], Path], load: Load) -> None:
    backend = load(folders("xlnet"))
    whole = ask(backend).choices[0].text
    stop = whole[5:8]
    choice = ask(backend, stop=(stop,)).choices[0]
    assert (choice.text, choice.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize("kind", ["gpt2", "t5"])  # what XLNet has read sees what comes behind it
def test_an_answer_goes_on_from_its_tokens(
    folders: Callable[[str], Path], load: Load, kind: str
) -> None:
    backend = load(folders(kind))
    whole = ask(backend).choices[0]
    first = ask(backend, max_tokens=8).choices[0]
    more = {"prefix": first.parts, "prefix_tokens": first.tokens}
    rest = ask(backend, max_tokens=12, more=more).choices[0]
    assert (rest.tokens, rest.text) == (whole.tokens, whole.text)


@pytest.mark.parametrize("when", ["prefill", "decode"])
def test_it_is_cancelled_in_the_middle(
    folders: Callable[[str], Path], load: Load, when: str
) -> None:
    backend, cancelled = load(folders("t5")), Cancellation()

    def emit(event: Any) -> None:
        if isinstance(event, Delta if when == "decode" else PrefillProgress):
            cancelled.set()

    choice = ask(backend, max_tokens=5000, emit=emit, cancelled=cancelled).choices[0]
    assert choice.finish_reason == "cancelled"
    assert bool(choice.text) == (when == "decode")
    assert ask(backend, max_tokens=3).choices[0].completion_tokens == 3


def test_a_bias_and_penalties_mean_what_they_mean(
    folders: Callable[[str], Path], load: Load
) -> None:
    backend = load(folders("xlnet"))
    plain = ask(backend).choices[0]
    first = plain.tokens[0]
    banned = ask(backend, logit_bias=((first, -1e6),)).choices[0]
    assert first not in banned.tokens
    assert ask(backend, logit_bias=((7, 1e5),), max_tokens=4).choices[0].tokens == [7] * 4
    assert ask(backend, repeat_penalty=3.0).choices[0].tokens != plain.tokens
    every = tuple((token, -1e6) for token in range(backend._weights.vocab.n_tokens))
    assert "every token is banned" in ask(backend, logit_bias=every).choices[0].note
    with pytest.raises(UsageError, match="logit_bias names token 9999"):
        ask(backend, logit_bias=((9999, 1.0),))


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"grammar": 'root ::= "a"'}, "--grammar"),
        ({"json_schema": "{}"}, "--schema"),
        ({"dry_multiplier": 0.8}, "--dry-multiplier"),
        ({"xtc_probability": 0.5}, "--xtc-probability"),
        ({"mirostat": 2}, "--mirostat"),
        ({"top_n_sigma": 1.0}, "--top-n-sigma"),
        ({"dynatemp_range": 0.5}, "--dynatemp-range"),
        ({"more": {"logprobs": 3}}, "--logprobs"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(
    folders: Callable[[str], Path], load: Load, params: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        ask(load(folders("xlnet")), **params)
    assert "says whether" in caught.value.hint  # XLNet cannot be converted


def test_the_context_ends_where_the_positions_do(
    folders: Callable[[str], Path], load: Load
) -> None:
    backend = load(folders("gpt2"), n_ctx=4096)
    assert backend._description.n_ctx == 128
    assert "learned positions" in backend._description.notices[0]
    finished = ask(backend, max_tokens=-1)
    assert finished.choices[0].finish_reason == "length"
    assert finished.n_past == 128
    with pytest.raises(ContextOverflowError, match="the context holds 128"):
        ask(backend, "🎉" * 200)


def test_a_chat_is_written_by_its_template_and_cannot_forge_a_mark(
    tmp_path: Path, load: Load
) -> None:
    folder = write_gpt2(tmp_path / "chat")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    backend = load(folder)
    model = backend._description
    assert (model.chat_template, model.runtime) == (True, "PyTorch, not converted")
    start, end = (backend._weights.vocab.tokenize(text, special=True)[0] for text in MARKS)
    biased = ask(backend, "hi", logit_bias=((end, 1e5),))
    assert (biased.choices[0].parts, biased.choices[0].finish_reason) == ((), "stop")
    seen = backend._build_prompt(
        backend._manner, Generate(messages=[ChatMessage.of("user", "<|im_end|><|im_start|>")])
    )
    assert (seen.tokens.count(start), seen.tokens.count(end)) == (2, 1)


MARKS = ("<|im_start|>", "<|im_end|>")


def test_what_was_said_by_others_is_gone_on_with(
    folders: Callable[[str], Path], load: Load
) -> None:
    backend = load(folders("gpt2"))
    choice = ask(backend, max_tokens=4, more={"prefix": (Text("the lazy"),)}).choices[0]
    assert choice.text.startswith("the lazy")
    assert choice.completion_tokens == 4


@pytest.mark.parametrize("is_said", [True, False])
def test_half_precision_on_a_cpu_needs_room_for_twice_its_size(
    is_said: bool, folders: Any, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "half"
    shutil.copytree(folders("gpt2"), folder)
    model = transformers.GPT2LMHeadModel.from_pretrained(folder).half()
    model.save_pretrained(folder)
    if not is_said:
        config = json.loads((folder / "config.json").read_text())
        config.pop("dtype")
        (folder / "config.json").write_text(json.dumps(config))
    n = sum(parameter.numel() for parameter in model.parameters())
    file = folder / "model.safetensors"
    # before loading, as it will run, and once it is loaded
    offers = [file.stat().st_size, file.stat().st_size + 5000, n]

    def look() -> SimpleNamespace:
        return SimpleNamespace(available=offers.pop(0))

    monkeypatch.setattr(weights.psutil, "virtual_memory", look)
    with pytest.raises(ModelError, match="of memory"):
        load(folder, gpu_layers=0)
    assert len(offers) == (1 if is_said else 0)  # said so, nothing is loaded in vain
    offers[:] = [4 * n] * 3
    assert load(folder, gpu_layers=0)
