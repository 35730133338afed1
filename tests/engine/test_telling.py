"""Deltas: whatever an answer becomes, the client that applies them has it too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.turns import begins
from chatapp.answer import AnswerState, Tokens, apply
from chatapp.engine.protocol import Choice, Delta, Finished, Timings, Usage
from chatapp.engine.telling import Teller
from chatapp.errors import EngineError
from chatapp.parts import Parts, Reasoning, Text

TEXTS = st.text(alphabet="ab\n�北", max_size=6)
PARTS = st.lists(st.one_of(st.builds(Text, TEXTS), st.builds(Reasoning, TEXTS)), max_size=4).map(
    lambda parts: tuple(part for part in parts if part.text)
)


@given(st.lists(PARTS, min_size=1, max_size=6), st.booleans())
def test_the_client_has_what_was_told_and_nothing_is_taken_back_for_a_while(
    told: list[Parts], twice: bool
) -> None:
    first, *rest = told
    teller = Teller("r", parts=first)
    state = AnswerState(first)
    tokens: list[int] = []
    for parts in rest:
        tokens.append(len(tokens))
        for delta in teller.tell(parts, tokens):
            state = apply(state, delta)
            if twice:
                assert apply(state, delta) == state
        assert begins(parts, state.parts)
        assert list(state.tokens) == tokens
    end = Choice(parts=told[-1], tokens=tokens)
    finished = Finished(request_id="r", choices=[end], usage=Usage(), timings=Timings())
    assert apply(state, finished).parts == told[-1]


def test_a_growing_answer_is_told_once() -> None:
    teller = Teller("r")
    text = ""
    said = []
    for piece in ("Hel", "lo", "", " you"):
        text += piece
        said += teller.tell((Text(text),), [])
    assert [(delta.at, delta.text) for delta in said] == [(0, "Hel"), (3, "lo"), (5, " you")]


def test_half_a_character_is_replaced_when_the_rest_of_it_comes() -> None:
    teller = Teller("r", parts=(Text("a\ufffd"),), n_tokens=2)
    assert teller.tell((Text("a"),), [1, 2]) == []
    [delta] = teller.tell((Text("a北"),), [1, 2, 3])
    assert (delta.at, delta.text, delta.tokens, delta.tokens_at) == (1, "北", [3], 2)


@pytest.mark.parametrize("delta", [{"at": 3}, {"part": 1}, {"tokens_at": 1, "tokens": [1]}])
def test_a_gap_is_no_answer(delta: dict[str, object]) -> None:
    with pytest.raises(EngineError, match="skipped"):
        apply(AnswerState(), Delta(request_id="r", text="x", **delta))  # type: ignore[arg-type]


def test_another_alternative_and_another_models_tokens_change_nothing() -> None:
    state = AnswerState((Text("a"),), Tokens([7]), keeps_tokens=False)
    assert apply(state, Delta(request_id="r", index=1, text="x")) == state
    grown = apply(state, Delta(request_id="r", at=1, text="b", tokens=[1, 2, 3]))
    assert (grown.parts, grown.tokens) == ((Text("ab"),), (7,))


def test_a_long_answer_costs_no_more_a_token_than_a_short_one() -> None:
    """What grows shares its memory: nothing of it is copied for a token more."""
    state = AnswerState()
    for number in range(20_000):
        state = apply(state, Delta(request_id="r", tokens=[number], tokens_at=number))
        if number == 10:
            early = state
    assert list(early.tokens) == list(range(11))
    assert len(state.tokens) == 20_000
    assert state.tokens._all is early.tokens._all
    other = apply(early, Delta(request_id="r", tokens=[7], tokens_at=11))
    assert list(other.tokens) == [*range(11), 7]
    assert state.tokens == tuple(range(20_000))
