"""What a model is trained on, noted beside its checkpoint as hashes (`chatapp.gguf.seen`).

Of text it is made of the tokens that are trained on, so that what was held out, left out or read
twice counts as it is. What is noted beside the model that is fine-tuned stays noted.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tokenizers import Tokenizer

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole
from chatapp.gguf.seen import FILE, Seen
from chatapp.train.chat_format import SPECIAL_TOKENS
from chatapp.train.chats import Chat
from chatapp.train.packing import FACTS_FILE, Tokens

_BLOCK = 1 << 18
"""Tokens that are made text at once; the lines at its ends are cut and never found again."""


def note_texts(tokens: Tokens, tokenizer: Tokenizer, data: Path, folder: Path) -> None:
    """Write `FILE` into `folder`, unless it is newer than the tokens in the folder `data`."""
    file = folder / FILE
    try:
        if file.exists() and file.stat().st_mtime >= (data / FACTS_FILE).stat().st_mtime:
            return
        seen = Seen()
        for begin in range(0, len(tokens), _BLOCK):
            ids = tokens[begin : begin + _BLOCK].tolist()
            text = tokenizer.decode(ids, skip_special_tokens=False)
            for mark in SPECIAL_TOKENS:
                text = text.replace(mark, "\n")
            seen.add(text)
        write_whole(file, seen.dump().encode(), mode=None)
    except OSError as error:
        raise ChatAppError(f"{file} cannot be written: {error.strerror or error}.") from error


def note_chats(chats: Iterable[Chat], base: Path) -> str:
    """What goes into `FILE` beside a model that was made from that in `base` with `chats`."""
    seen = None
    with suppress(OSError, UnicodeDecodeError):
        seen = Seen.parse((base / FILE).read_text("utf-8"))
    seen = seen or Seen()
    for chat in chats:
        for said in chat.messages:
            seen.add(said.content)
    return seen.dump()
