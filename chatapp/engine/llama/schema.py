"""Answers that follow a JSON schema: llguidance says which tokens may come next.

The only module that imports llguidance. Its tokenizer is made of this model's vocabulary when the
first schema comes (0.3 s for 49,152 tokens) and kept, as is the last schema that was prepared.
The pieces are those that the answer is assembled of, so what fits here is what will be read.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from chatapp.errors import EngineError, UsageError
from chatapp.structured.keywords import prepare
from chatapp.structured.places import find_cause
from chatapp.structured.reading import read_schema

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

    from chatapp.engine.llama.vocab import Vocab

_MARK = b"\xff"
"""llguidance's prefix of tokens that are no text."""
_SPACE = r"[ ]|\n[ \t]{0,24}"
"""Between two tokens of JSON: more than this only weak models write, and some without end."""
_NO_BEGINNING = "Unsatisfiable schema: an answer cannot even begin"


class SchemaCompiler:
    """Makes a `Schema` of a schema's text, for one vocabulary."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._tokenizer: LLTokenizer | None = None
        self._last: tuple[tuple[str, int], LLMatcher] | None = None

    def compile(self, text: str, longest: int) -> Schema:
        """A schema at its beginning; a text in it is no longer than `longest` characters.

        `UsageError` names the keyword and place of what an answer cannot be held to.
        """
        if self._last is None or self._last[0] != (text, longest):
            self._last = (text, longest), self._make_matcher(text, longest)
        return Schema(self._vocab, self._last[1].deep_copy())

    def _make_matcher(self, text: str, longest: int) -> LLMatcher:
        schema = read_schema(text)
        prepared = prepare(schema, longest)
        made = self._try(prepared)
        if isinstance(made, str):
            raise find_cause(schema, prepared, made, self._complain)
        return made

    def _complain(self, prepared: str) -> str:
        made = self._try(prepared)
        return made if isinstance(made, str) else ""

    def _try(self, prepared: str) -> LLMatcher | str:
        from llguidance import LLMatcher, LLParserLimits

        if self._tokenizer is None:
            self._tokenizer = _make_tokenizer(self._vocab)
        limits = LLParserLimits(verbose_errors=False)
        try:
            grammar = LLMatcher.grammar_from_json_schema(
                prepared, overrides={"whitespace_pattern": _SPACE}
            )
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
            began = matcher.deep_copy()
            began.compute_bitmask()
        # Foreign code: what it does not expect it answers with a panic, which is no Exception.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return str(error) or type(error).__name__
        if matcher.is_error():
            return str(matcher.get_error())
        return _NO_BEGINNING if began.is_error() else matcher


class Schema:
    """Where an answer stands in a schema."""

    filters_exactly = True

    def __init__(self, vocab: Vocab, matcher: LLMatcher) -> None:
        self._vocab = vocab
        self._matcher = matcher
        self._ahead: list[int] = []
        """Tokens that must come next, as far as they were looked for."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return self._matcher.is_accepting()

    def only_token(self) -> int | None:
        """The one token that may come next; None if there are several, or none.

        Half of the tokens of a usual object are names and punctuation that the schema gives.
        """
        if not self._ahead:
            self._ahead = self._matcher.compute_ff_tokens()
        return self._ahead[0] if self._ahead else None

    def fits(self, token: int) -> bool:
        """Whether the constraint lets `token` come next."""
        if self._vocab.is_end(token):
            return self.is_complete
        return self._matcher.validate_tokens([token]) == 1

    def filter(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits with -inf for every token that does not fit."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        allowed = np.unpackbits(packed, bitorder="little")[: len(logits)]
        return np.where(allowed, logits, np.float32(-np.inf))

    def accept(self, token: int) -> None:
        """Go on behind `token`, which fits."""
        self._ahead = self._ahead[1:] if self._ahead[:1] == [token] else []
        if not self._vocab.is_end(token):
            self._matcher.consume_token(token)
            self._check()

    def close(self) -> None:
        """Nothing is held that Python would not free."""

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = str(self._matcher.get_error()).partition("\n")[0][:200]
            raise EngineError(
                f"The JSON schema is too much to follow at this place of the answer: {reason}.",
                "A schema with shorter patterns and fewer alternatives is easier to follow.",
            )


def _make_tokenizer(vocab: Vocab) -> LLTokenizer:
    from llguidance import LLTokenizer

    ends = [token for token in range(vocab.n_tokens) if vocab.is_end(token)]
    if not ends:
        raise UsageError("No token of this model ends an answer, so none can be held to a schema.")
    tokenize = ctypes.cast(lib._lib.llama_tokenize, ctypes.c_void_p).value
    make: Any = LLTokenizer.from_llamacpp  # type: ignore[attr-defined]  # its stub lacks it
    try:
        made: LLTokenizer = make(
            tokens=[_spell(vocab, token) for token in range(vocab.n_tokens)],
            vocab_ptr=vocab.handle,
            tokenize_fptr=tokenize,
            eos_token=ends,
            slices=LLTokenizer.json_slices(),
        )
    except ValueError as error:  # T5's drops every control character, and one is looked for
        raise UsageError(
            f"What this model writes cannot be held to a JSON schema: {error}.",
            "A grammar can be followed: --grammar FILE.",
        ) from None
    return made


def _spell(vocab: Vocab, token: int) -> bytes:
    """A token's text as an answer gets it; marks, though they have a text, are none of it."""
    piece = vocab.piece(token)
    if not piece or vocab.is_end(token):
        return _MARK + (vocab.piece(token, special=True) or b"<%d>" % token)
    is_mark = piece.startswith(b"<") and piece.endswith(b">") and vocab.is_user_defined(token)
    return _MARK + piece if is_mark else piece
