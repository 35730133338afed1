"""An answer of every family, cut anywhere and gone on with, is the answer that was not cut."""

from pathlib import Path

from chatapp.answer import AnswerState, Tokens, apply
from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Delta, Finished, Generate, LoadOptions
from chatapp.sampling import SamplingParams
from tests.formats.family import HELLO, Family


async def test_gone_on_with_from_every_token(tmp_path: Path, family: Family) -> None:
    client = EngineClient()
    try:
        await client.load(LoadOptions(path=str(family.write(tmp_path)), n_ctx=1024))
        whole = await say(client)
        assert whole.finish_reason == ("tool_calls" if family.first.calls else "stop")
        for n_tokens in cuts(list(whole.tokens)):
            part = await say(client, n_tokens)
            assert part.finish_reason == "length"
            assert list(part.tokens) == list(whole.tokens)[:n_tokens]
            if not family.first.calls:  # without its name a call may still turn out to be text
                assert not any(mark in part.text for mark in family.raw_marks())
            rest = await say(client, begun=part)
            assert (list(rest.tokens), rest.parts) == (list(whole.tokens), whole.parts), n_tokens
            assert rest.finish_reason == whole.finish_reason
    finally:
        await client.stop()


def cuts(tokens: list[int]) -> list[int]:
    """Lengths to cut at: around every special token, and now and then in between."""
    near = {at + step for at, token in enumerate(tokens) if token >= 256 for step in range(3)}
    return [n for n in range(1, len(tokens)) if n in near or n % 13 == 0]


async def say(
    client: EngineClient, max_tokens: int = -1, begun: AnswerState | None = None
) -> AnswerState:
    """One answer, or its beginning, or its rest."""
    begun = begun or AnswerState()
    request = Generate(
        request_id="r",
        messages=[ChatMessage.of("user", HELLO)],
        params=SamplingParams(temperature=0, max_tokens=max_tokens),
        prefix=begun.parts,
        prefix_tokens=list(begun.tokens),
    )
    state = AnswerState(begun.parts, Tokens(list(begun.tokens)))
    async for event in client.generate(request):
        if isinstance(event, Delta | Finished):
            state = apply(state, event)
    return state
