"""Talks to a checkpoint in PyTorch: a plain sampler to look at a model before converting it.

Promises the prompt the engine would build, and the same text for the same seed. Surprising: it
keeps no cache and reads the whole context again for every token, which a model this small bears.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer

from chatapp.train.chat_format import END_OF_TEXT, END_OF_TURN, Turn, lay_out
from chatapp.train.checkpoint import load_checkpoint
from chatapp.train.model import GPT
from chatapp.train.tokenizer import encode_pieces, load_tokenizer, token_id


def load_model(folder: Path) -> tuple[GPT, Tokenizer]:
    """The model and tokenizer in `folder`, ready to be asked."""
    return load_checkpoint(folder).restore_model().eval(), load_tokenizer(folder)


@torch.no_grad()
def answer(
    model: GPT,
    tokenizer: Tokenizer,
    turns: Sequence[Turn],
    *,
    temperature: float = 0.7,
    top_k: int = 40,
    max_tokens: int = 200,
    seed: int = 0,
) -> tuple[str, bool]:
    """The assistant's next message, and whether it ended by itself.

    `temperature` 0 takes the likeliest token each time; `top_k` 0 samples among all.
    """
    generator = torch.Generator().manual_seed(seed)
    ends = {token_id(tokenizer, END_OF_TEXT), token_id(tokenizer, END_OF_TURN)}
    prompt = encode_pieces(tokenizer, lay_out(turns, add_generation_prompt=True))
    said: list[int] = []
    for _ in range(max_tokens):
        context = (prompt + said)[-model.args.block_size :]
        row = model.hidden(torch.tensor([context]))[0, -1]
        token = _choose(model.lm_head(row), temperature, top_k, generator)
        if token in ends:
            return str(tokenizer.decode(said)), True
        said.append(token)
    return str(tokenizer.decode(said)), False


def _choose(
    logits: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator
) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    values, indices = logits.topk(min(top_k or len(logits), len(logits)))
    drawn = torch.multinomial(torch.softmax(values / temperature, dim=-1), 1, generator=generator)
    return int(indices[drawn])
