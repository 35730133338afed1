"""Byte-level BPE, trained here, the same in training and in llama.cpp.

Promises a lossless round trip of any text, and GPT-2's way of splitting words, which llama.cpp
knows as the pre-tokenizer `gpt-2`. May not normalise or add a space in front: the engine does not.
Surprising: special tokens come first (ids 0 to 4), so that adding words later moves none of them.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole
from chatapp.train.chat_format import (
    CHAT_TEMPLATE,
    END_OF_TEXT,
    END_OF_TURN,
    SPECIAL_TOKENS,
    Marker,
    Piece,
)

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of at most `vocab_size` tokens, 256 bytes and the special ones included.

    Source: GPT-2's `encoder.py`, through the `tokenizers` library.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, model_max_length: int, chat: bool) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` as Hugging Face names them.

    `chat` says whether the model has learned turns: only then does it get a chat template and end
    its answers with the end-of-turn token.
    """
    config: dict[str, object] = {
        "tokenizer_class": "GPT2TokenizerFast",
        "add_prefix_space": False,
        "add_bos_token": False,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TURN if chat else END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": model_max_length,
    }
    if chat:
        config["chat_template"] = CHAT_TEMPLATE
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TOKENIZER_FILE, tokenizer.to_str(pretty=True).encode(), mode=None)
    write_whole(folder / CONFIG_FILE, json.dumps(config, indent=2).encode(), mode=None)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer beside a checkpoint; raises `ChatAppError` where there is none."""
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise ChatAppError(f"{path} is missing.", "Copy it from where the model was trained.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain `Exception` for whatever it finds in it
        raise ChatAppError(
            f"{path} cannot be read as a tokenizer: {error}.",
            "Copy it again from where the model was trained.",
        ) from error


def identify(tokenizer: Tokenizer) -> str:
    """A hash of which token has which number, the same in every version of the library."""
    numbers = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


def knows_turns(folder: Path) -> bool:
    """Whether the model in `folder` was trained on turns: it has a chat template then."""
    try:
        return "chat_template" in json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of `text`, nothing added. No text becomes a special token, whatever it spells."""
    tokenizer.encode_special_tokens = True  # as ordinary text; the name reads like the opposite
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def encode_pieces(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> list[int]:
    """Token ids of text and markers; a marker that the vocabulary lacks is spelled out."""
    ids: list[int] = []
    for piece in pieces:
        number = tokenizer.token_to_id(piece.token) if isinstance(piece, Marker) else None
        if number is not None:
            ids.append(number)
        else:
            ids += encode(tokenizer, piece.token if isinstance(piece, Marker) else piece)
    return ids


def encode_all(tokenizer: Tokenizer, rows: Sequence[Sequence[Piece]]) -> list[list[int]]:
    """Token ids of many rows of pieces, on all cores."""
    tokenizer.encode_special_tokens = True
    texts: list[str] = []
    plans: list[list[int | None]] = []  # an id, or None: that of the next text
    for row in rows:
        plan: list[int | None] = []
        for piece in row:
            number = tokenizer.token_to_id(piece.token) if isinstance(piece, Marker) else None
            plan.append(number)
            if number is None:
                texts.append(piece.token if isinstance(piece, Marker) else piece)
        plans.append(plan)
    encoded = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return [
        [
            number
            for entry in plan
            for number in ((entry,) if entry is not None else next(encoded).ids)
        ]
        for plan in plans
    ]


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that must be there; raises `ChatAppError` when it is not."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ChatAppError(
            f"The tokenizer has no token {token}.", "Use the one that training here has made."
        )
    return int(number)
