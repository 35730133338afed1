"""Text to token ids and back, through a tokenizer of transformers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatapp.engine.chat.spellings import Spellings
from chatapp.engine.chat.vocabulary import is_mark, tokenize_in_two
from chatapp.errors import EngineError, ModelError

_CONTEXT = 6
"""Tokens before a new one that its text may depend on: white space, halves of characters."""
_HALF = "\ufffd"


class TorchVocab:
    """The vocabulary of one loaded model."""

    def __init__(self, tokenizer: Any, n_rows: int, ends: frozenset[int]) -> None:
        """`n_rows`: tokens that the model may say; `ends`: those that end an answer."""
        self._tokenizer = tokenizer
        self.n_tokens = min(len(tokenizer), n_rows)
        self._ends = ends
        self.extra_ends: frozenset[int] = frozenset()
        added = tokenizer.added_tokens_decoder
        self._control = {number for number, token in added.items() if token.special}
        self._control |= set(tokenizer.all_special_ids)
        self._defined = {n: str(token) for n, token in added.items() if n not in self._control}
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._is_bytes = "ByteLevel" in str(getattr(backend, "decoder", ""))
        self._spellings: tuple[str, Spellings] | None = None
        self.head, self.tail = self._find_frame()
        """What the tokenizer puts around a text by itself."""

    @property
    def is_spm(self) -> bool:
        """Only of bytes can it be told where one token's text ends and the next one's begins."""
        return not self._is_bytes

    @property
    def bos_text(self) -> str:
        """The text of the beginning-of-sequence token; empty where there is none."""
        return self._tokenizer.bos_token or ""

    @property
    def eos_text(self) -> str:
        """The text of the end-of-sequence token; empty where there is none."""
        return self._tokenizer.eos_token or ""

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        """Token ids of `text`. `special`: control tokens are recognised by their text;
        `add_special`: what the tokenizer puts before a text is put there."""
        plain = text.encode("utf-8", "replace").decode()  # halves of surrogates are no text
        ids: list[int] = self._tokenizer.encode(
            plain, add_special_tokens=False, split_special_tokens=not special, verbose=False
        )
        return [*self.head, *ids] if add_special else ids

    def tokenize_plain(self, text: str, *, add_special: bool = False) -> list[int]:
        """Token ids of a mark as ordinary text, though the vocabulary may have a token for it."""
        return tokenize_in_two(self, text, add_special=add_special)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; for control tokens nothing, or their text if `special`."""
        text = self.spell(token)
        if token in self._control:
            return text.encode() if special else b""
        if token in self._defined:
            return text.encode()
        if self._is_bytes:
            return b"".join(_BYTES.get(character) or character.encode() for character in text)
        return text.replace("\u2581", " ").encode()

    def spoken(self, token: int) -> tuple[bytes, bool]:
        """The bytes of a token, and whether it is a control token, which they then spell."""
        return self.piece(token, special=True), token in self._control

    def spellings_in(self, mentions: Callable[[str], bool], name: str) -> Spellings:
        """The texts of control tokens, and of those that the template called `name` mentions."""
        if self._spellings is None or self._spellings[0] != name:
            control = map(self.spell, self._control)
            defined = (text for text in self._defined.values() if is_mark(text) and mentions(text))
            self._spellings = name, Spellings([*control, *defined])
        return self._spellings[1]

    def spell(self, token: int) -> str:
        """A token's text as its tokenizer has it; empty for none (-1)."""
        if token < 0:
            return ""
        return str(self._tokenizer.convert_ids_to_tokens(token) or "")

    def detokenize(self, tokens: list[int]) -> bytes:
        """The bytes that many tokens stand for, one after the other."""
        return b"".join(map(self.piece, tokens))

    def decode(self, tokens: list[int]) -> str:
        """Their text as the tokenizer makes it, control tokens spelled out."""
        return str(
            self._tokenizer.decode(
                tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return self._ends | self.extra_ends

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return token in self.ends

    def is_control(self, token: int) -> bool:
        """Whether it stands for no text but steers the model."""
        return token in self._control

    def check(self, tokens: list[int]) -> None:
        """Raise `EngineError` if any id is not in this vocabulary."""
        if any(not 0 <= token < self.n_tokens for token in tokens):
            raise EngineError(
                "The stored tokens belong to another model.", "Regenerate the answer instead."
            )

    def check_prompt(self, tokens: list[int]) -> None:
        """Raise `ModelError` where the tokenizer has tokens that the model does not know."""
        if max(tokens, default=0) >= self.n_tokens:
            raise ModelError(
                f"The tokenizer makes token {max(tokens)} of this text, and the model has "
                f"{self.n_tokens}.",
                "It is the tokenizer of another model, or tokens were added to it alone.",
            )

    def listen(self, before: list[int]) -> Speller:
        """What says the text of tokens that are sampled behind the tokens `before`."""
        return Speller(self, before, is_bytes=self._is_bytes)

    def _find_frame(self) -> tuple[list[int], list[int]]:
        """The tokens that the tokenizer puts before and behind a text."""
        plain = self._tokenizer.encode("a", add_special_tokens=False)
        framed = self._tokenizer.encode("a")
        for at in range(len(framed) - len(plain) + 1):
            if plain and framed[at : at + len(plain)] == plain:
                return framed[:at], framed[at + len(plain) :]
        return [], []


class Speller:
    """Says the text of one token after the other; the half of a character waits for the rest."""

    def __init__(self, vocab: TorchVocab, before: list[int], *, is_bytes: bool) -> None:
        self._vocab = vocab
        self._is_bytes = is_bytes
        self._tokens = before[-_CONTEXT:]
        self._begin, self._said = 0, len(self._tokens)
        """From where on tokens are decoded, and how many of them have been said."""

    def take(self, token: int) -> tuple[bytes, bool]:
        """The bytes that are certain now, and whether they spell a control token."""
        if self._is_bytes or self._vocab.is_control(token):
            self._tokens.append(token)
            self._begin, self._said = len(self._tokens) - 1, len(self._tokens)
            return self._vocab.spoken(token)
        self._tokens.append(token)
        text = self._new_text()
        if text.endswith(_HALF):
            return b"", False
        self._begin, self._said = self._said, len(self._tokens)
        return text.encode(), False

    def rest(self) -> bytes:
        """What still waits, when no token will follow."""
        return self._new_text().encode() if self._said < len(self._tokens) else b""

    def _new_text(self) -> str:
        known = self._vocab.decode(self._tokens[self._begin : self._said])
        return self._vocab.decode(self._tokens[self._begin :])[len(known) :]


def _byte_alphabet() -> dict[str, bytes]:
    """GPT-2's characters for bytes: those that can be printed are themselves, the others stand
    behind U+0100. Source: `bytes_to_unicode` in OpenAI's `encoder.py`."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    characters |= {chr(0x100 + place): byte for place, byte in enumerate(others)}
    return {character: bytes([byte]) for character, byte in characters.items()}


_BYTES = _byte_alphabet()
