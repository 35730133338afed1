"""Characters as tokens: from a file beside the checkpoint, inside it, or of the training text.

llama.cpp has no such tokenizer, but its byte-level BPE is one when merges build each character from
its bytes and nothing more. An unknown character is left out, as nanoGPT has no way to write it
either. A vocabulary like this has no end of text: one token is appended for it, which `fit.py`
makes impossible to choose, since llama.cpp would otherwise stop at token 11, whatever that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convert.checkpoints import torch_zip
from convert.checkpoints.objects import parse_json
from convert.checkpoints.pickles import Machine
from convert.errors import ConvertError, VocabError
from convert.vocab.alphabets import find_ids, read_text_ids
from convert.vocab.assembly import END, add_notes
from convert.vocab.bytelevel import spell_bytes
from convert.vocab.files import load_bytes
from convert.vocab.references import characters
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = (
    *("meta.pkl", "meta.json", "chars.json", "chars.pkl", "stoi.json", "stoi.pkl", "itos.json"),
    *("itos.pkl", "char_vocab.json", "char_to_idx.json", "char2idx.json", "vocab.pkl", "vocab.pt"),
    *("characters.json", "alphabet.json", "vocabulary.json", "tokenizer.pkl", "vocab.json"),
    "tokenizer.json",
)
DESCRIPTION = (
    "characters: nanoGPT's meta.pkl; a list, stoi or itos in JSON, a pickle or the checkpoint; the "
    "training text"
)

# What some put among the characters: <pad>, [UNK], <|endoftext|>.
_NAMES = "PAD|UNK|SOS|BOS|EOS|MASK|START|END|pad|unk|sos|bos|eos|mask"
_MARKER = re.compile(rf"<[^<>\s]{{1,30}}>|\[[A-Za-z_]{{1,30}}\]|{_NAMES}")
_USUAL_ENDS = (END, "<eos>", "</s>", "[EOS]", "<end>", "<EOS>", "<END>", "<|eos|>", "EOS", "eos")
_TEXTS = frozenset({".txt", ".text", ".md", ".py", ".csv"})
_MAX_BYTES = 64 << 20
_MAX_CHARACTERS = 200_000  # all of Unicode that is assigned has 155,000


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in a file of characters, which is read without running it.

    A text file is what the model was trained on. Raises `VocabError`.
    """
    if path.suffix in _TEXTS:
        vocab = build(path, read_text_ids(path, wanted.n_rows), wanted)
        return add_notes(vocab, f"Characters are those of {path.name}, numbered in sorted order.")
    ids = find_ids(_load(path))
    if ids is None:
        raise VocabError(
            f"{path.name} holds no stoi, itos or chars, nor a list of characters.",
            "Give the meta.pkl that nanoGPT's prepare.py wrote, the text that the model was "
            "trained on, or another tokenizer.",
        )
    return build(path, ids, wanted)


def recognise(path: Path) -> bool:
    """Whether `path`, under a name that others use too, holds characters."""
    if path.name == "vocab.json" and path.with_name("merges.txt").is_file():
        return False
    try:
        data = load_bytes(path)
        if len(data) > _MAX_BYTES or b'"model"' in data or b"mergeable_ranks" in data:
            return False
        return find_ids(_load(path)) is not None
    except ConvertError:
        return False


def _load(path: Path) -> Any:
    """What was saved in `path`: JSON, a pickle, or a file of torch.save. Raises `ConvertError`."""
    if path.suffix == ".json":
        try:
            return parse_json(load_bytes(path, _MAX_BYTES))
        except (ValueError, RecursionError) as error:
            raise VocabError(f"{path.name} is not valid JSON: {str(error)[:120]}.") from None
    if path.suffix in (".pt", ".pth"):
        return torch_zip.load_root(path)
    return Machine({}, _no_storage, path.name).load(load_bytes(path, _MAX_BYTES))


def _no_storage(_: Any) -> Any:
    raise TypeError("a vocabulary with tensors in it")


def build(source: Path, ids: Mapping[str, int], wanted: Wanted) -> Vocab:
    """The vocabulary of `ids`. Raises `VocabError` when its tokens are no single characters."""
    _check(source, ids, wanted.n_rows)
    single = {text: index for text, index in ids.items() if len(text) == 1}
    n_tokens = max(ids.values()) + 1
    tokens: list[str] = [f"[UNUSED{i}]" for i in range(n_tokens)]
    kinds = [TokenKind.UNUSED] * n_tokens
    for text, index in ids.items():
        marker = text not in single
        tokens[index] = text if marker else spell_bytes(text.encode())
        kinds[index] = TokenKind.CONTROL if marker else TokenKind.NORMAL
    own = next((ids[text] for text in _USUAL_ENDS if text in ids), None)
    notes = [f"{len(single)} characters are the tokens; any other is left out of a prompt."]
    if own is None:
        tokens.append(END)
        kinds.append(TokenKind.CONTROL)
        notes.append("One token is added to end a text; the model never chooses it.")
    end = n_tokens if own is None else own
    return Vocab(
        model="gpt2",
        pre="gpt-2",
        tokens=tuple(tokens),
        kinds=tuple(kinds),
        merges=tuple(merge for text in single for merge in _merges(text.encode())),
        special_ids={"bos": end, "eos": end},
        add_bos=False,
        add_eos=False,
        chat_template=None,
        source=source,
        notes=tuple(notes),
        reference=characters(single),
        alphabet="".join(sorted(single, key=lambda character: single[character])),
        appended=(n_tokens,) if own is None else (),
    )


def _check(source: Path, ids: Mapping[str, int], n_rows: int) -> None:
    long = [text for text in ids if len(text) != 1 and not _MARKER.fullmatch(text)]
    if long:
        raise VocabError(
            f"{source.name} has tokens of more than one character, such as {long[0]!r:.40}.",
            "Only characters are carried over from it; words need a tokenizer.json.",
        )
    if any("\ud800" <= character <= "\udfff" for text in ids for character in text):
        raise VocabError(f"{source.name} has a character that is no valid Unicode.")
    if len(set(ids.values())) != len(ids) or len(ids) > _MAX_CHARACTERS:
        raise VocabError(f"{source.name} gives one id to two characters.")
    if min(ids.values()) < 0 or max(ids.values()) >= n_rows:
        raise VocabError(
            f"{source.name} has ids up to {max(ids.values())}, but the model has {n_rows} rows.",
            "This vocabulary does not belong to this checkpoint.",
        )


def _merges(data: bytes) -> Iterator[str]:
    """What builds a character from its bytes, left to right."""
    for n in range(1, len(data)):
        yield f"{spell_bytes(data[:n])} {spell_bytes(data[n : n + 1])}"
