"""Characters as tokens, as nanoGPT's `meta.pkl` lists them beside a checkpoint.

Promises that nothing in the file is run, and that what the vocabulary lacks is left out of a text,
as llama.cpp does with the converted file.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatapp.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

META_FILE = "meta.pkl"


def make_tokenizer(characters: Sequence[str]) -> Tokenizer:
    """One token for each of `characters`, by their order."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocab = {character: index for index, character in enumerate(characters)}
    tokenizer = Tokenizer(models.BPE(vocab, []))  # without merges: a character is a token
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m)."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def load_characters(folder: Path) -> Tokenizer:
    """The tokenizer that `meta.pkl` in `folder` means. Raises `ModelError`."""
    path = folder / META_FILE
    try:
        meta = _Plain(io.BytesIO(path.read_bytes())).load()
        characters = [meta["itos"][index] for index in range(len(meta["itos"]))]
    except Exception as error:  # a pickle that was damaged raises whatever its opcodes meet
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not characters or not all(isinstance(one, str) and len(one) == 1 for one in characters):
        raise ModelError(f"{path} is no vocabulary of characters.")
    return make_tokenizer(characters)


class _Plain(pickle.Unpickler):
    """Reads numbers, texts and dictionaries, and no name of anything that could run."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Refuse every name: a pickle would import and run it."""
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")
