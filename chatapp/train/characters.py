"""Characters as tokens, as nanoGPT's first example has them: one id for each that occurs.

Promises nanoGPT's `meta.pkl` (`vocab_size`, `itos`, `stoi`) beside the checkpoint, and a vocabulary
that is a function of the text alone. There are no special tokens: such a model completes text and
never ends by itself.
"""

import io
import pickle
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole

META_FILE = "meta.pkl"


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """One token for every character in `texts`, in code point order."""
    found: set[str] = set()
    for text in texts:
        found.update(text)
    if not found:
        raise ChatAppError("There is no text to learn characters from.")
    return _make(sorted(found))


def _make(characters: list[str]) -> Tokenizer:
    vocab = {character: index for index, character in enumerate(characters)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=characters[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m)."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def save_characters(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `meta.pkl` as nanoGPT's data/shakespeare_char/prepare.py does."""
    stoi = tokenizer.get_vocab()
    itos = {index: character for character, index in stoi.items()}
    meta = {"vocab_size": len(stoi), "itos": itos, "stoi": stoi}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / META_FILE, pickle.dumps(meta, protocol=2), mode=None)


def load_characters(folder: Path) -> Tokenizer:
    """The tokenizer that `meta.pkl` in `folder` means, of which nothing is run."""
    path = folder / META_FILE
    try:
        meta = _Plain(io.BytesIO(path.read_bytes())).load()
        characters = [meta["itos"][index] for index in range(len(meta["itos"]))]
    except Exception as error:  # a pickle that was damaged raises whatever its opcodes meet
        raise ChatAppError(f"{path} cannot be read: {error}.") from error
    if not characters or not all(isinstance(one, str) and len(one) == 1 for one in characters):
        raise ChatAppError(f"{path} is no vocabulary of characters.")
    return _make(characters)


class _Plain(pickle.Unpickler):
    """Reads numbers, texts and dictionaries, and no name of anything that could run."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Refuse."""
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")
