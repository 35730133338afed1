"""Text to token ids and back, through the model's own vocabulary.

Every call is one C call; nothing is cached. Token ids from outside (a stored answer) are checked
against the vocabulary's size before they reach llama.cpp, which does not check them.
"""

import ctypes
import functools
from collections.abc import Callable

import llama_cpp.llama_cpp as lib

from chatapp.engine.chat.spellings import Spellings
from chatapp.engine.chat.vocabulary import is_mark, tokenize_in_two
from chatapp.engine.llama.schema import SchemaCompiler
from chatapp.errors import EngineError, UsageError

_SPM = 1  # enum llama_vocab_type: SentencePiece
_UNKNOWN, _CONTROL, _USER_DEFINED = 1, 8, 16  # enum llama_token_attr
_PIECE_BYTES = 256


class Vocab:
    """The vocabulary of one loaded model."""

    def __init__(self, model: int) -> None:
        self.handle = lib.llama_model_get_vocab(model)
        self.n_tokens: int = lib.llama_vocab_n_tokens(self.handle)
        self.is_spm = lib.llama_vocab_type(self.handle) == _SPM
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self.handle))
        self.extra_ends: frozenset[int] = frozenset()
        """Tokens that the chat template ends answers with, though the file does not say so."""
        self.schemas = SchemaCompiler(self)
        self._spellings: tuple[str, Spellings] | None = None
        self._buffer = ctypes.create_string_buffer(_PIECE_BYTES)

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        """Token ids of `text`. `special`: control tokens are recognised by their text;
        `add_special`: BOS and the like are added where the model wants them."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        while True:
            tokens = (lib.llama_token * size)()
            n = lib.llama_tokenize(self.handle, data, len(data), tokens, size, add_special, special)
            if n >= 0:
                return list(tokens[:n])
            if n == -0x80000000:
                raise UsageError("The text is too long to be tokenised.", "Send it in parts.")
            size = -n

    def tokenize_plain(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids of a mark as ordinary text, though the vocabulary may have a token for it."""
        return tokenize_in_two(self, text, add_special=add_special)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; for control tokens nothing, or their text if `special`."""
        size = len(self._buffer)
        n = lib.llama_token_to_piece(self.handle, token, self._buffer, size, 0, special)
        if n < 0:
            self._buffer = ctypes.create_string_buffer(-n)
            return self.piece(token, special=special)
        return self._buffer.raw[:n]

    def spoken(self, token: int) -> tuple[bytes, bool]:
        """The bytes of a token, and whether it is a control token, which they then spell."""
        is_control = self.is_control(token)
        return self.piece(token, special=is_control), is_control

    def spellings_in(self, mentions: Callable[[str], bool], name: str) -> Spellings:
        """The texts of control tokens, and of those that the template called `name` mentions."""
        if self._spellings is None or self._spellings[0] != name:
            texts = [*self._marks[0], *filter(mentions, self._marks[1])]
            self._spellings = name, Spellings(texts)
        return self._spellings[1]

    @functools.cached_property
    def _marks(self) -> tuple[list[str], list[str]]:
        """The texts of control tokens, and of marks that the file has as text; looking at 150,000
        tokens takes 0.1 s, once."""
        control: list[str] = []
        defined: list[str] = []
        for token in range(self.n_tokens):
            attributes = lib.llama_vocab_get_attr(self.handle, token)
            if attributes & (_CONTROL | _UNKNOWN):
                control.append(self.spell(token))
            elif attributes & _USER_DEFINED and is_mark(text := self.spell(token)):
                (control if text.startswith("<|") else defined).append(text)
        return control, defined

    def spell(self, token: int) -> str:
        """A control token's text as templates write it; empty for none (-1)."""
        if token < 0:
            return ""
        raw = lib.llama_vocab_get_text(self.handle, token)
        return raw.decode("utf-8", "replace") if raw else ""

    def detokenize(self, tokens: list[int]) -> bytes:
        """The bytes that many tokens stand for, one after the other."""
        return b"".join(map(self.piece, tokens))

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return token in self.extra_ends or bool(lib.llama_vocab_is_eog(self.handle, token))

    def is_control(self, token: int) -> bool:
        """Whether it stands for no text but steers the model."""
        return bool(lib.llama_vocab_is_control(self.handle, token))

    def is_user_defined(self, token: int) -> bool:
        """Whether it is text that was put into the vocabulary as a whole, for instance a mark."""
        return bool(lib.llama_vocab_get_attr(self.handle, token) & _USER_DEFINED)

    @property
    def bos_text(self) -> str:
        """The text of the beginning-of-sequence token."""
        return self.spell(lib.llama_vocab_bos(self.handle))

    @property
    def eos_text(self) -> str:
        """The text of the end-of-sequence token."""
        return self.spell(lib.llama_vocab_eos(self.handle))

    def check(self, tokens: list[int]) -> None:
        """Raise `EngineError` if any id is not in this vocabulary."""
        if any(not 0 <= token < self.n_tokens for token in tokens):
            raise EngineError(
                "The stored tokens belong to another model.", "Regenerate the answer instead."
            )
