"""A model with a table of positions has no more of them than that, whatever is asked for."""

from pathlib import Path

import pytest
import transformers

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.errors import ContextOverflowError
from chatapp.sampling import SamplingParams
from convert.pipeline import convert
from tests.engine.transformers_folders import write_gpt2


@pytest.mark.asyncio
async def test_a_context_is_filled_and_then_refused_not_aborted(tmp_path: Path) -> None:
    """One row beyond the table would abort llama.cpp."""
    write_gpt2(tmp_path)
    rows = transformers.GPT2Config.from_pretrained(tmp_path).n_positions
    file = convert(tmp_path, tmp_path / "model.gguf", ftype="F32", parity="off").output
    client = EngineClient()
    try:
        model = await client.load(LoadOptions(path=str(file), n_ctx=rows + 500))
        assert model.n_ctx == model.n_ctx_train == rows
        assert f"not {rows + 500}" in model.notices[0]
        assert (await _ask(client, rows // 4)).n_past <= rows
        with pytest.raises(ContextOverflowError, match=f"context holds {rows}"):
            await _ask(client, 2 * rows)
        assert (await _ask(client, 1)).choices
    finally:
        await client.stop()


async def _ask(client: EngineClient, n_words: int) -> Finished:
    params = SamplingParams(temperature=0, max_tokens=10_000)
    said = [ChatMessage.of("user", "a " * n_words)]
    async for event in client.generate(Generate(request_id="1", messages=said, params=params)):
        if isinstance(event, Finished):
            return event
    raise AssertionError("the engine did not finish")
