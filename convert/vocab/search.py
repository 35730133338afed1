"""Where a model's tokenizer is: beside its weights, in the folders around, or with us.

It promises to say what was looked for and where when nothing is found, and what was assumed when
the model's size alone decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ConvertError, UsageError, VocabError
from convert.questions import Choice, Question
from convert.vocab import (
    characters,
    places,
    sentencepiece,
    shifted_pieces,
    shipped,
    tiktoken,
    tokenizer_json,
    vocab_merges,
    wordpiece,
)
from convert.vocab.alphabets import find_ids, read_text_ids
from convert.vocab.assembly import add_notes
from convert.vocab.pretokenizers import NAMES
from convert.vocab.trial import settle
from convert.vocab.vocabulary import Vocab, check_vocab
from convert.vocab.wanted import Wanted


class Source(Protocol):
    """What a vocabulary source's module offers."""

    FILES: tuple[str, ...]
    """Names its files have; the first that is there is read."""
    DESCRIPTION: str

    def read(self, path: Path, wanted: Wanted) -> Vocab:
        """The vocabulary in `path`. Raises `VocabError`."""


# In order of preference. SentencePiece's own file says more than a tokenizer.json made of it, so
# it goes before; all others were made for the checkpoint they lie beside.
SOURCES: tuple[Source, ...] = (
    sentencepiece,
    tokenizer_json,
    vocab_merges,
    tiktoken,
    wordpiece,
    characters,
)
_MOST_TEXT_BYTES = 64 << 20
_MOST_TEXTS = 8  # files beside a checkpoint that are read for a hint
_MOST_ROUNDED = 512  # rows: vocabularies are rounded up to multiples of 64 to 512
_MOST_NAMES = 8  # that are told: those of most tokenizers come first
_HINT = (
    "Give --tokenizer with a folder, a file, the text that characters were taken from, or "
    f"{' or '.join(shipped.NAMES)}."
)


def read_vocab(
    checkpoint: Checkpoint,
    n_rows: int,
    *,
    tokenizer: str | None = None,
    chat_template: str | None = None,
    pre: str | None = None,
    inexact: bool = False,
) -> Vocab:
    """The vocabulary of `checkpoint`, whose token embedding has `n_rows` rows.

    `tokenizer` is a folder, a file, or gpt2 or llama2; else it is looked for around the checkpoint.
    `chat_template` is Jinja in place of its own.
    Raises `VocabError`, saying where that was, or what llama.cpp would do otherwise: `inexact` goes
    on then.
    """
    if pre is not None and pre not in NAMES:
        raise UsageError(f"llama.cpp has no pre-tokenizer {pre!r:.40}.", "For example: qwen2.")
    wanted = Wanted(n_rows, checkpoint.config, chat_template, pre, inexact)
    vocab = _named(tokenizer, wanted) if tokenizer else _around(checkpoint, wanted)
    if chat_template is not None and vocab.chat_template is None:
        vocab = replace(vocab, chat_template=chat_template or None)
    return settle(check_vocab(vocab), inexact=inexact)


def _named(tokenizer: str, wanted: Wanted) -> Vocab:
    """What the user names: one that ships, a folder, or a file."""
    path = Path(tokenizer)
    if tokenizer in shipped.NAMES and not path.exists():
        return shipped.read(tokenizer, wanted)
    if path.is_dir():
        found = next(_files([path, path / "tokenizer"]), None)
        if found is None:
            raise VocabError(_looked_for([path]), _HINT)
        return _read(*found, wanted)
    if not path.is_file():
        raise UsageError(f"There is no tokenizer {tokenizer[:200]}.", _HINT)
    return _read(_recognise(path), path, wanted)


def _recognise(path: Path) -> Source:
    """The source that reads a file under any name."""
    suffix = path.suffix.lower()
    if path.name == "vocab.txt":
        return wordpiece
    if path.name == "merges.txt" or (path.name == "vocab.json" and not _shared(path)):
        return vocab_merges
    if suffix == ".json":
        return characters if _shared(path) else tokenizer_json
    if suffix == ".pkl":
        return characters if characters.recognise(path) else tiktoken
    if suffix in (".model", ".tiktoken"):
        return _by_head(path)
    if suffix in (".txt", ".text", ".md", ".pt", ".pth"):
        return characters
    raise UsageError(f"{path.name} is no tokenizer that we know.", _HINT)


def _shared(path: Path) -> bool:
    """Whether a name that several sources use stands for characters here."""
    return path.suffix in (".json", ".pkl") and characters.recognise(path)


def _by_head(path: Path) -> Source:
    """Of a `tokenizer.model`: SentencePiece's, or tiktoken's ranks, which Llama 3 calls so too."""
    with path.open("rb") as file:
        head = file.read(64)
    return tiktoken if tiktoken.recognise_lines(head) else sentencepiece


def _around(checkpoint: Checkpoint, wanted: Wanted) -> Vocab:
    """What lies beside the checkpoint, was saved in it, lies further off, or follows from its size.

    What lies further off may be another model's: it is taken only if it has as many tokens.
    """
    own = next(_files(places.beside(checkpoint)), None)
    if own is not None:
        return _read(*own, wanted)
    ids = find_ids(checkpoint.facts) or find_ids(checkpoint.config)
    if ids is not None and 0 <= wanted.n_rows - 1 - max(ids.values()) < _MOST_ROUNDED:
        return characters.build(checkpoint.path, ids, wanted)
    passed: list[str] = []
    for source, path in _files(places.around(checkpoint)):
        try:
            vocab = _read(source, path, wanted)
        except ConvertError as error:
            passed.append(f"{path}: {error.message[:200]}")
            continue
        if _fits(vocab, wanted.n_rows):
            note = f"The tokenizer was found in {path.parent}, not beside the checkpoint."
            return add_notes(vocab, note)
        passed.append(f"{path} has {_n_tokens(vocab)} tokens, the model {wanted.n_rows} rows.")
    if wanted.n_rows in shipped.GPT2_ROWS:
        note = f"No tokenizer was found, and {wanted.n_rows} rows are GPT-2's: its own is taken."
        return add_notes(shipped.read("gpt2", wanted), note, *_passed_over(passed))
    folders = [*places.beside(checkpoint), *places.around(checkpoint)]
    raise _missing(folders, checkpoint, wanted.n_rows, _passed_over(passed))


def _n_tokens(vocab: Vocab) -> int:
    return len(vocab.tokens) - len(vocab.appended)


def _fits(vocab: Vocab, n_rows: int) -> bool:
    """Whether the model's rows are the tokenizer's tokens, and at most rounded up."""
    n_tokens = _n_tokens(vocab)
    if n_rows in shipped.GPT2_ROWS:
        return n_tokens in (shipped.GPT2_TOKENS, n_rows)
    return n_tokens == n_rows or (n_rows % 64 == 0 and 0 < n_rows - n_tokens < _MOST_ROUNDED)


def _passed_over(passed: list[str]) -> tuple[str, ...]:
    return tuple(f"Passed over: {words}" for words in passed[:3])


def _files(folders: Iterable[Path]) -> Iterator[tuple[Source, Path]]:
    """Every tokenizer in `folders`, the best of a folder first."""
    for folder in folders:
        for source in SOURCES:
            for name in source.FILES:
                path = folder / name
                if path.is_file() and _is_of(source, path):
                    yield (_by_head(path) if source is sentencepiece else source), path
                    break


def _is_of(source: Source, path: Path) -> bool:
    """Whether a file whose name several sources know belongs to `source`."""
    others = (tokenizer_json, vocab_merges, tiktoken)
    if source is characters:
        return not any(path.name in other.FILES for other in others) or _shared(path)
    if source is sentencepiece and path.name == shifted_pieces.FILE:
        # tokenizer.json has the numbers, this file has not
        return not path.with_name(tokenizer_json.FILES[0]).is_file()
    return source not in others or path.suffix == ".tiktoken" or not _shared(path)


def _read(source: Source, path: Path, wanted: Wanted) -> Vocab:
    try:
        return check_vocab(source.read(path, wanted))
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, RecursionError) as error:
        raise VocabError(
            f"{path.name} is not in the form it should be: {str(error)[:120]}.",
            "Save the tokenizer again.",
        ) from error


def _suggest_texts(checkpoint: Checkpoint, n_rows: int) -> list[Choice]:
    """Texts beside the checkpoint that have as many characters as the model rows."""
    found: list[Choice] = []
    for path in sorted(checkpoint.folder.glob("*.txt"))[:_MOST_TEXTS]:
        try:
            if path.stat().st_size > _MOST_TEXT_BYTES:
                continue
            read_text_ids(path, n_rows)
        except (VocabError, OSError):
            continue
        found.append(
            Choice(
                str(path),
                f"a text with {n_rows} different characters, as many as the model has rows",
            )
        )
    return found


def _looked_for(folders: Iterable[Path]) -> str:
    names = list(dict.fromkeys(name for source in SOURCES for name in source.FILES))
    told = f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} other names"
    where = ", ".join(dict.fromkeys(str(folder) for folder in folders if folder.is_dir()))
    return f"No tokenizer beside the checkpoint: looked for {told}, in {where[:600]}."


def _missing(
    folders: Iterable[Path], checkpoint: Checkpoint, n_rows: int, passed: tuple[str, ...]
) -> VocabError:
    """The question for a tokenizer; those that ship are offered to the size that is theirs."""
    said = "".join(f" {words}" for words in passed)
    why = f"{_looked_for(folders)[:-1]}, and for stoi, itos or chars inside it.{said}"
    rows = {"gpt2": range(shipped.GPT2_TOKENS, 50305), "llama2": range(32000, 32001)}
    fitting = [
        Choice(name, f"ships with us; the model has {n_rows} rows, as it asks")
        for name, sizes in rows.items()
        if n_rows in sizes
    ]
    fitting += _suggest_texts(checkpoint, n_rows)
    only = fitting[0].value if len(fitting) == 1 else None
    asked = why if fitting else f"{why} {_HINT}"
    question = Question("tokenizer", asked, tuple(fitting), str, True, only, flag="--tokenizer")
    return VocabError(why, _HINT, question)
