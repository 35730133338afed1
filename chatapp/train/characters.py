"""Characters as tokens, as nanoGPT's first example has them: one id for each that occurs.

Promises nanoGPT's `meta.pkl` (`vocab_size`, `itos`, `stoi`) beside the checkpoint, and a vocabulary
that is a function of the text alone. There are no special tokens: such a model completes text and
never ends by itself.
"""

import pickle
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from chatapp.engine.pytorch.characters import META_FILE, make_tokenizer
from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """One token for every character in `texts`, in code point order."""
    found: set[str] = set()
    for text in texts:
        found.update(text)
    if not found:
        raise ChatAppError("There is no text to learn characters from.")
    return make_tokenizer(sorted(found))


def save_characters(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `meta.pkl` as nanoGPT's data/shakespeare_char/prepare.py does."""
    stoi = tokenizer.get_vocab()
    itos = {index: character for character, index in stoi.items()}
    meta = {"vocab_size": len(stoi), "itos": itos, "stoi": stoi}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / META_FILE, pickle.dumps(meta, protocol=2), mode=None)
