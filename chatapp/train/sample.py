"""Talks to a checkpoint in PyTorch: a plain sampler to look at a model before converting it.

Promises the prompt the engine would build, and the same text for the same seed. Surprising: it
keeps no cache and reads the whole context again for every token, which a model this small bears.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from chatapp.engine.pytorch.characters import META_FILE, load_characters
from chatapp.text import one_line
from chatapp.train.chat_format import END_OF_TEXT, END_OF_TURN, Turn, lay_out
from chatapp.train.checkpoint import CHECKPOINT_FILE, load_checkpoint
from chatapp.train.language_model import LanguageModel
from chatapp.train.tokenizer import encode_pieces, knows_turns, load_tokenizer, token_id


@dataclass(frozen=True, slots=True)
class Draw:
    """How the tokens of a sample are drawn: temperature, top-k and seed."""

    temperature: float = 0.8
    """0 takes the likeliest each time."""
    top_k: int = 40
    """0 samples among all."""
    max_tokens: int = 200
    seed: int = 0


def write(folder: Path, prompt: str, draw: Draw) -> str:
    """What the checkpoint in `folder` says to `prompt`: an answer if it has learned turns, else
    `prompt` and how it goes on. Raises `ChatAppError`."""
    folder = folder.parent if folder.name == CHECKPOINT_FILE else folder
    checkpoint = load_checkpoint(folder)
    model = checkpoint.restore_model().eval()
    characters = (folder / META_FILE).is_file()
    tokenizer = load_characters(folder) if characters else load_tokenizer(folder)
    checkpoint.check_tokenizer(tokenizer, folder)
    if knows_turns(folder):
        ends = {token_id(tokenizer, END_OF_TEXT), token_id(tokenizer, END_OF_TURN)}
        ids = encode_pieces(tokenizer, lay_out([Turn("user", prompt)], add_generation_prompt=True))
        return str(tokenizer.decode(go_on(model, ids, ends, draw)[0]))
    end = tokenizer.token_to_id(END_OF_TEXT)
    ids = encode_pieces(tokenizer, [prompt]) or [end or 0]
    said, _ = go_on(model, ids, {end}, draw)
    return prompt + str(tokenizer.decode(said))


def load_model(folder: Path) -> tuple[LanguageModel, Tokenizer]:
    """The model and tokenizer in `folder`, ready to be asked."""
    checkpoint, tokenizer = load_checkpoint(folder), load_tokenizer(folder)
    checkpoint.check_tokenizer(tokenizer, folder)
    return checkpoint.restore_model().eval(), tokenizer


def answer(
    model: LanguageModel,
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
    ends = {token_id(tokenizer, END_OF_TEXT), token_id(tokenizer, END_OF_TURN)}
    prompt = encode_pieces(tokenizer, lay_out(turns, add_generation_prompt=True))
    draw = Draw(temperature, top_k, max_tokens, seed)
    said, ended = go_on(model, prompt, ends, draw)
    return str(tokenizer.decode(said)), ended


@torch.no_grad()
def go_on(
    model: LanguageModel, prompt: Sequence[int], ends: Collection[int | None], draw: Draw
) -> tuple[list[int], bool]:
    """The token ids that follow `prompt` until one of `ends`, and whether one came."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(draw.seed)
    said: list[int] = []
    for _ in range(draw.max_tokens):
        context = [*prompt, *said][-model.args.block_size :]
        logits = model.next_logits(torch.tensor([context], device=device))[0].float().cpu()
        token = _choose(logits, draw.temperature, draw.top_k, generator)
        if token in ends:
            return said, True
        said.append(token)
    return said, False


def _choose(
    logits: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator
) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    values, indices = logits.topk(min(top_k or len(logits), len(logits)))
    drawn = torch.multinomial(torch.softmax(values / temperature, dim=-1), 1, generator=generator)
    return int(indices[drawn])


class Sampler:
    """Lets a model write a little, now and then, while it learns."""

    def __init__(
        self, tokenizer: Tokenizer, prompt: Sequence[int] = (), every: float = 30.0
    ) -> None:
        """`prompt`: what it goes on with; `every`: seconds between two texts at least."""
        self._tokenizer, self._every = tokenizer, every
        self._prompt = list(prompt) or [tokenizer.token_to_id(END_OF_TEXT) or 0]
        self._last = time.monotonic()

    def __call__(self, model: LanguageModel) -> str:
        """What it writes, on one line; "" when it wrote not long ago."""
        if time.monotonic() - self._last < self._every:
            return ""
        end = self._tokenizer.token_to_id(END_OF_TEXT)
        ids, _ = go_on(model, self._prompt, {end}, Draw(max_tokens=40))
        self._last = time.monotonic()
        given, said = (one_line(str(self._tokenizer.decode(part))) for part in (self._prompt, ids))
        return f"  it is given: {given}\n  and goes on: {said}"
