"""Where a run's tokens come from: given, found beside the checkpoint, or learned from the text.

Promises that a run which goes on has the tokens it began with.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from chatapp.engine.pytorch.characters import META_FILE, load_characters
from chatapp.errors import ChatAppError, UsageError
from chatapp.train.characters import character_tokenizer, save_characters
from chatapp.train.chat_format import END_OF_TEXT, spell
from chatapp.train.corpus import no_text, read_conversations, read_documents
from chatapp.train.progress import Reporter
from chatapp.train.reading import count_bytes
from chatapp.train.settings import Recipe, Source
from chatapp.train.tokenizer import (
    TOKENIZER_FILE,
    identify,
    load_tokenizer,
    save_tokenizer,
    token_id,
    train_tokenizer,
)

MOST_BYTES = 200 << 20
"""Of text that a vocabulary is learned from: more of it changes little."""


def find_tokenizer(
    recipe: Recipe, folder: Path, resume: bool, reporter: Reporter, given: Path | None = None
) -> Tokenizer:
    """The tokenizer of a run in `folder`; raises `ChatAppError` where there is no text."""
    if recipe.characters:
        if resume and (folder / META_FILE).is_file():
            return load_characters(folder)
        return character_tokenizer(_texts(recipe))
    if resume and (folder / TOKENIZER_FILE).is_file():
        own = load_tokenizer(folder)
        if given is not None and identify(load_given(given)) != identify(own):
            raise ChatAppError(
                f"The run in {folder} has {own.get_vocab_size()} tokens of its own, which are not "
                f"those of {given}.",
                "Leave out --tokenizer, or begin anew in another folder.",
            )
        return own
    if given is not None:
        return load_given(given)
    reporter.say("tokenizer: learning words from the text")
    return train_tokenizer(_texts(recipe, MOST_BYTES), recipe.model.vocab_size)


def load_given(place: Path) -> Tokenizer:
    """The tokenizer in a folder, which must know how a text ends; raises `ChatAppError`."""
    folder = place.parent if place.name == TOKENIZER_FILE else place
    if not (folder / TOKENIZER_FILE).is_file():
        raise UsageError(
            f"There is no tokenizer at {place}.",
            "Name a folder that chatapp train tokenizer has made.",
        )
    tokenizer = load_tokenizer(folder)
    token_id(tokenizer, END_OF_TEXT)
    return tokenizer


def save_vocabulary(tokenizer: Tokenizer, recipe: Recipe, folder: Path) -> None:
    """Write what the converter reads beside the checkpoint of a base model."""
    if recipe.characters:
        save_characters(tokenizer, folder)
    else:
        save_tokenizer(tokenizer, folder, recipe.model.block_size, chat=False)


def _texts(recipe: Recipe, most: int = 0) -> Iterator[str]:
    """The text of all sources; where that is more than `most` bytes, every so many documents."""
    size = sum(count_bytes(source.path) for source in recipe.text)
    step = -(-size // most) if most else 1
    is_empty = True
    for source in recipe.text:
        for document in islice(read_documents(source), 0, None, max(1, step)):
            is_empty = False
            yield spell(document.pieces)
    if is_empty:
        raise no_text(recipe.text)
    for source in recipe.chat:
        for talk in read_conversations(Source(source.path)):
            yield from (turn.content for turn in talk)
