"""The original tokenizers, for the proof: by the library that made them where it is installed.

Each function gives a `Reference` and loads nothing. Where no library knows a kind, the rule is
simple enough to be written down here: ranks of byte pairs, and characters one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from convert.errors import ProofError
from convert.vocab.vocabulary import Encode, Reference


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def tokenizers_file(path: Path) -> Reference:
    """`tokenizer.json` as Hugging Face's tokenizers runs it."""

    def load() -> Encode:
        import tokenizers

        return _guard(lambda: tokenizers.Tokenizer.from_file(str(path)), path.name)

    return Reference(_named("tokenizers"), load)


def tokenizers_built(build: Callable[[], Any], where: str) -> Reference:
    """A tokenizer that `build` puts together of Hugging Face's parts."""
    return Reference(_named("tokenizers"), lambda: _guard(build, where))


def transformers_class(
    name: str, folder: Path, special: Sequence[str], otherwise: Reference, **said: bool
) -> Reference:
    """The tokenizer in `folder` as transformers' class `name` builds it: nobody's guess but its
    makers'. Where transformers is not installed, or has no such class: `otherwise`.

    Nothing in the folder is run: the class is transformers' own. `special` are further tokens that
    are to be found in text, `said` what the user says that the folder does not.
    """
    try:
        found = f"{name} of transformers {version('transformers')}"
    except PackageNotFoundError:
        return otherwise

    def load() -> Encode:
        transformers: Any = import_module("transformers")
        transformers.logging.set_verbosity_error()
        kind = getattr(transformers, name, None)
        if kind is None:
            return otherwise.load()

        def build() -> Any:
            backend = kind.from_pretrained(
                str(folder), local_files_only=True, **said
            ).backend_tokenizer
            known = {token.content for token in backend.get_added_tokens_decoder().values()}
            backend.add_special_tokens([text for text in special if text not in known])
            return backend

        return _guard(build, folder.name)

    return Reference(found, load)


def _guard(build: Callable[[], Any], where: str) -> Encode:
    try:
        tokenizer = build()
        # what a batch was made with in training: neither belongs to a text's own tokens
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001  (the Rust library raises bare Exception)
        raise ProofError(
            f"{where} cannot be loaded by tokenizers: {str(error)[:200]}.",
            "Save the tokenizer again.",
        ) from None

    def encode(text: str) -> list[int]:
        try:
            ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        except Exception as error:  # noqa: BLE001  (as above)
            raise ProofError(f"{where} cannot split {text[:40]!r}: {str(error)[:120]}.") from None
        return ids

    return encode


def sentencepiece_file(path: Path) -> Reference:
    """`tokenizer.model` as Google's sentencepiece runs it. It knows no special tokens in text."""

    def load() -> Encode:
        import sentencepiece

        try:
            processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise ProofError(
                f"{path.name} cannot be loaded by sentencepiece: {str(error)[:200]}."
            ) from None
        return lambda text: list(processor.encode(text))

    return Reference(_named("sentencepiece"), load)


def sentencepiece_shifted(path: Path, shift: int, unknown: int) -> Reference:
    """The same with every piece numbered `shift` higher, and the unknown as `unknown`."""

    def load() -> Encode:
        encode = sentencepiece_file(path).load()
        return lambda text: [index + shift if index else unknown for index in encode(text)]

    return Reference(_named("sentencepiece"), load)


def byte_ranks(ranks: Mapping[bytes, int], pattern: str, special: Mapping[str, int]) -> Reference:
    """tiktoken's rule: split by `pattern`, then merge the pair of lowest rank until none is left.

    The expression is run by tokenizers, whose engine knows the same syntax.
    """

    def load() -> Encode:
        from tokenizers import Regex, pre_tokenizers

        splitter = pre_tokenizers.Split(Regex(pattern), "isolated")

        def encode(text: str) -> list[int]:
            ids: list[int] = []
            for part, found in _split_special(text, special):
                if found is not None:
                    ids.append(found)
                    continue
                for word, _ in splitter.pre_tokenize_str(part):
                    pieces = merge_bytes(word.encode(), ranks)
                    ids += [ranks[piece] for piece in pieces if piece in ranks]
            return ids

        return encode

    return Reference("tiktoken's rule", load)


def _split_special(text: str, special: Mapping[str, int]) -> Sequence[tuple[str, int | None]]:
    parts: list[tuple[str, int | None]] = []
    while text:
        found = [(text.find(word), -len(word), word) for word in special if word in text]
        if not found:
            return [*parts, (text, None)]
        at, _, word = min(found)
        parts += [(text[:at], None)] if at else []
        parts.append((word, special[word]))
        text = text[at + len(word) :]
    return parts


def merge_bytes(word: bytes, ranks: Mapping[bytes, int], below: int | None = None) -> list[bytes]:
    """`word` merged by `ranks`, only by those under `below` where it is given."""
    parts = [word[i : i + 1] for i in range(len(word))]
    while len(parts) > 1:
        pairs = [ranks.get(a + b) for a, b in pairwise(parts)]
        known = [(rank, i) for i, rank in enumerate(pairs) if rank is not None]
        if not known or (below is not None and min(known)[0] >= below):
            return parts
        at = min(known)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def characters(ids: Mapping[str, int]) -> Reference:
    """One token for a character; one that the vocabulary lacks is left out."""

    def load() -> Encode:
        return lambda text: [ids[character] for character in text if character in ids]

    return Reference("one token a character", load)
