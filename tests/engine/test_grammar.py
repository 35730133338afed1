"""Grammars: llama.cpp ends the process on what does not fit one, so nothing of that may reach it.

In the real engine process, and against llama.cpp's own filter on a real vocabulary.
"""

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import pytest

from bench.synthetic import TEMPLATE, TINY, write_model
from chatapp.engine.client import EngineClient
from chatapp.engine.llama import native
from chatapp.engine.llama.grammar import TOKEN_DATA, Grammar
from chatapp.engine.llama.samplers import Sampler
from chatapp.engine.llama.vocab import Vocab
from chatapp.engine.protocol import ChatMessage, Choice, Finished, Generate, LoadOptions
from chatapp.errors import UsageError
from chatapp.parts import parts_of
from chatapp.paths import BUILTIN_MODEL
from chatapp.sampling import SamplingParams

_ids = itertools.count()


@pytest.fixture
async def engine(tiny_model: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient()
    await client.load(LoadOptions(path=str(tiny_model), n_ctx=1024))
    pid = client.pid
    yield client
    assert client.pid == pid, "the engine ended"
    await client.stop()


@pytest.fixture(scope="module")
def vocab() -> Iterator[Vocab]:
    """The built-in model's vocabulary: pieces of characters among it."""
    native.start()
    params = native.model_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(BUILTIN_MODEL).encode(), params)
    yield Vocab(model)
    lib.llama_model_free(model)


async def answer(engine: EngineClient, grammar: str, prefix: str = "", **params: object) -> Choice:
    request = Generate(
        request_id=f"g{next(_ids)}",
        messages=[ChatMessage.of("user", "go")],
        prefix=parts_of(prefix),
        params=SamplingParams(**{"seed": 1, "max_tokens": 40, "grammar": grammar, **params}),  # type: ignore[arg-type]
    )
    async for event in engine.generate(request):
        if isinstance(event, Finished):
            return event.choices[0]
    raise AssertionError("no end")


async def test_a_beginning_that_does_not_fit_is_refused_by_name(engine: EngineClient) -> None:
    with pytest.raises(UsageError, match=r"beginning does not fit the grammar: …'yel'"):
        await answer(engine, 'root ::= "yes" | "no"', "yellow")
    with pytest.raises(UsageError, match="does not fit"):
        await answer(engine, 'root ::= "yes" | "no"', "yesno")
    schema = '{"type": "object"}'
    with pytest.raises(UsageError, match="does not fit"):
        await answer(engine, "", "Sure", json_schema=schema)
    assert (await answer(engine, 'root ::= "yes" | "no"', "ye")).text == "yes"
    whole = await answer(engine, 'root ::= "yes" | "no"', "yes")
    assert (whole.text, whole.finish_reason, whole.note) == ("yes", "stop", "")


async def test_an_answer_ends_where_nothing_is_allowed(engine: EngineClient) -> None:
    stuck = await answer(engine, 'root ::= "abab"', no_repeat_ngram_size=1)
    assert (stuck.text, stuck.finish_reason) == ("ab", "stop")
    assert "no token that is allowed fits the grammar" in stuck.note
    some = tuple((token, float("-inf")) for token in range(200))
    stuck = await answer(engine, 'root ::= "yes"', logit_bias=some)
    assert (stuck.text, "fits the grammar" in stuck.note) == ("", True)
    every = tuple((token, float("-inf")) for token in range(TINY.n_vocab))
    stuck = await answer(engine, "", logit_bias=every)
    assert (stuck.text, stuck.finish_reason) == ("", "stop")
    assert stuck.note == "The answer ends here: every token is banned."
    dead = await answer(engine, 'root ::= "a" "\\x00"')  # no text has that character
    assert (dead.text, bool(dead.note)) == ("a", True)


async def test_banned_tokens_and_grammars_go_with_every_sampler(engine: EngineClient) -> None:
    """Samplers that take logarithms get no probability of zero to see."""
    for sampler in (
        {"typical_p": 0.3},
        {"mirostat": 1},
        {"mirostat": 2},
        {"top_n_sigma": 0.1, "typical_p": 0.5},
        {"dynatemp_range": 2.0, "xtc_probability": 1.0, "xtc_threshold": 0.0},
        {"temperature": 1e-30},
        {"temperature": 0.0, "dry_multiplier": 1e6, "dry_base": 1e6, "dry_allowed_length": 0},
    ):
        found = await answer(engine, 'root ::= ("xy" | "z")+ "."', **sampler)
        assert set(found.text) <= set("xyz."), sampler


async def test_every_alternative_is_banned_alike(engine: EngineClient) -> None:
    params = SamplingParams(
        seed=1, max_tokens=30, logit_bias=((300, 100.0), (301, 100.0), (300, float("-inf")))
    )
    request = Generate(
        request_id="alike", messages=[ChatMessage.of("user", "go")], params=params, n=3
    )
    async for event in engine.generate(request):
        if isinstance(event, Finished):
            assert [set(choice.tokens) for choice in event.choices] == [{301}] * 3


async def test_a_template_s_end_of_turn_ends_a_grammar_and_does_not_cut_it(tmp_path: Path) -> None:
    """The file calls another token the end than the template writes."""
    template = TEMPLATE.replace("<|end|>", "<|system|>")
    path = write_model(tmp_path / "model.gguf", replace(TINY, template=template))
    client = EngineClient()
    try:
        await client.load(LoadOptions(path=str(path), n_ctx=1024))
        ends = ((257, 100.0), (256, float("-inf")))
        found = await answer(client, 'root ::= "yes"', logit_bias=ends)
        assert (found.text, found.finish_reason, found.note) == ("yes", "stop", "")
        found = await answer(client, "root ::= [^x]{5}", logit_bias=ends)
        assert len(found.text) == 5
    finally:
        await client.stop()


async def test_a_token_that_only_begins_as_it_should_ends_nothing(engine: EngineClient) -> None:
    """llama.cpp's filter lets `w7` pass for a `w` and one token more, and then ends the process."""
    likely = tuple((token, 50.0) for token in range(300, 400))
    found = await answer(engine, 'root ::= "w" !<[7]> "."', logit_bias=likely)
    assert (found.text[0], found.text[-1]) == ("w", ".")


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('root ::= b root "x" | "y"\nb ::= c\nc ::= ""', "root begins with itself"),
        ('root ::= root "a" | "a"', "root begins with itself"),
        ('root ::= "a" (deep)\ndeep ::= "z"? deep "x" | "y"', "deep begins with itself"),
        ("root ::= " + "(" * 60_000 + '"a"' + ")" * 60_000, "more than 200 groups"),
        (
            "root ::= r0\n"
            + "".join(f"r{i} ::= r{i + 1}\n" for i in range(30_000))
            + 'r30000 ::= "a"',
            "too many of its rules",
        ),
        (
            "root ::= r0\n"
            + "".join(f"r{i} ::= r{i + 1} | r{i + 1}\n" for i in range(60))
            + 'r60 ::= "a"',
            "too many of its rules",
        ),
        ('root ::= "a"{3,1}', "ends before it begins"),
        ('root ::= "a"{99999999999999999999}', "repetitions"),
        ('root ::= (("a"{100}){100}){100}{100}', "repetitions"),
        ("root ::= " + f'"{"a" * 1000}"' + "{2000}", "items"),
        ('root ::= "\\d+"', r"unknown escape \(line 1, at `\\d\+"),
        ('root ::= yes\n\nyes ::= "a" )', r"expecting newline or end \(line 3"),
        ("root ::= foo", "foo is used and not defined"),
        ("# nothing", "needs a rule named root"),
        ("rot ::= 'a'", "expecting newline or end"),
        ("root ::= <[99999]>", "tokens 0 to 511"),
        ("root ::= <|nothing|>", "no token of this model"),
        (" \n", "needs a rule named root"),
        ("root ::= " + " | ".join(f'"a" r{i}' for i in range(2)), "r0 is used"),
    ],
)
async def test_grammars_that_llama_cpp_cannot_follow(
    engine: EngineClient, grammar: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        await answer(engine, grammar)


async def test_a_grammar_that_is_read_in_too_many_ways_ends_in_a_sentence(
    engine: EngineClient,
) -> None:
    letter = ((98, 100.0),)  # b: each doubles the ways
    with pytest.raises(UsageError, match="too many ways"):
        await answer(
            engine,
            'root ::= "b" root "c" | "b" root "d" | "b"',
            logit_bias=letter,
        )


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ('root ::= ("a"*)* "b"', r"a*b"),
        ('root ::= "a" root?', r"a+"),
        ('root ::= ""', ""),
        ('root ::= "\\u00e9" [日-本] .', "é[日-本]."),
        ('root ::= "a"{2} "b"{0,3} "c"{1,} # so\n', r"aab{0,3}c+"),
        ('a-1 ::= "x"\r\nroot ::= a-1 |\n  "y"', "x|y"),
        ('root ::= <[65]> | "b"', r"\w+|b"),
    ],
)
async def test_what_is_unusual_and_right(engine: EngineClient, grammar: str, text: str) -> None:
    import re

    found = await answer(engine, grammar)
    if found.finish_reason == "stop":
        assert re.fullmatch(text, found.text), found.text
    assert found.note == ""


def test_an_answer_is_followed_as_llama_cpp_filters(vocab: Vocab) -> None:
    chance = random.Random(4)
    followed = 0
    for _ in range(40):
        text = "\n".join(f"{name} ::= {_alternatives(chance)}" for name in ("root", "a", "b"))
        try:
            grammar = Grammar(vocab, text)
        except UsageError:
            refused = lib.llama_sampler_init_grammar(vocab.handle, text.encode(), b"root")
            assert not refused, text
            continue
        for _step in range(4):
            rows = np.zeros(vocab.n_tokens, dtype=TOKEN_DATA)
            rows["id"] = np.arange(vocab.n_tokens)
            grammar._apply(rows)
            fitting = []
            for token in range(vocab.n_tokens):
                passes = rows["logit"][token] == 0
                if vocab.is_end(token):
                    assert passes == grammar.is_complete, text
                    continue
                state, (_bits, lacking) = grammar._follow(token)
                assert bool(state) or not passes, (text, vocab.piece(token))
                whole = lacking == 0 and vocab.piece(token, special=True)[:1] not in (b"", b"\0")
                assert passes or not (state and whole), (text, vocab.piece(token))
                if passes:
                    fitting.append(token)
            if not fitting:
                break
            grammar.accept(chance.choice(fitting))
            followed += 1
        grammar.close()
    assert followed > 60


def _alternatives(chance: random.Random, depth: int = 0) -> str:
    def item() -> str:
        kind = chance.randrange(8)
        if kind == 0 and depth < 2:
            found = f"({_alternatives(chance, depth + 1)})"
        elif kind < 3:
            found = chance.choice(["[a-c]", "[^a]", ".", "[é日]", "a", "b"])
        else:
            found = (
                '"' + "".join(chance.choice("abcé日 ") for _ in range(chance.randrange(1, 3))) + '"'
            )
        return found + (chance.choice(["*", "+", "?", "{2}", "{0,3}"]) if kind % 2 else "")

    rows = [" ".join(item() for _ in range(chance.randrange(4))) for _ in range(2)]
    return " | ".join([*rows, '"."'])


def test_a_sampler_that_cannot_be_made_leaves_nothing_behind(vocab: Vocab) -> None:
    """Each would keep 16 MB: what DRY remembers of a context of four million tokens."""
    n_ctx = 1 << 22
    long = SamplingParams(dry_multiplier=1.0, repeat_penalty=1.5, repeat_last_n=-1)
    wrong = (
        replace(long, grammar="root ::= ("),
        replace(long, json_schema='{"type": "frob"}'),
        replace(long, logit_bias=((vocab.n_tokens, 1.0),)),
    )
    Sampler(vocab, long, 1, n_ctx).close()
    before = _resident_mb()
    for _ in range(20):
        for params in wrong:
            with pytest.raises(UsageError):
                Sampler(vocab, params, 1, n_ctx)
    assert _resident_mb() - before < 200


def _resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 >> 20
