"""The tokenizers that ship with the converter: GPT-2's and Llama 2's, for `--tokenizer NAME`.

GPT-2's tokens follow from its merges: 256 bytes, the printable ones first, then every merge's
result in order, and the end of text.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from convert.vocab import sentencepiece
from convert.vocab.bytelevel import byte_alphabet
from convert.vocab.references import byte_ranks
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

_DATA = Path(__file__).parent / "data"
NAMES = ("gpt2", "llama2")
GPT2_TOKENS = 50257
# GPT-2's own size, and nanoGPT's, which rounds it up to a multiple of 64.
GPT2_ROWS = (GPT2_TOKENS, 50304)
_END = "<|endoftext|>"
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def read(name: str, wanted: Wanted) -> Vocab:
    """The vocabulary that ships with us under `name`: "gpt2" or "llama2"."""
    return read_gpt2() if name == "gpt2" else sentencepiece.read(llama2_path(), wanted)


def llama2_path() -> Path:
    """Where Llama 2's SentencePiece model lies, which ships with us."""
    return _DATA / "llama2-tokenizer.model"


def read_gpt2() -> Vocab:
    """The vocabulary of GPT-2's byte-level BPE, which ships with us."""
    path = _DATA / "gpt2-merges.txt.gz"
    merges = gzip.decompress(path.read_bytes()).decode().splitlines()
    alphabet = byte_alphabet()
    plain = sorted(range(256), key=lambda byte: (alphabet[byte] >= chr(256), alphabet[byte]))
    tokens = [alphabet[byte] for byte in plain]
    tokens += [merge.replace(" ", "") for merge in merges]
    spelled = {character: byte for byte, character in enumerate(alphabet)}
    ranks = {bytes(spelled[c] for c in token): i for i, token in enumerate(tokens)}
    end = len(tokens)
    return Vocab(
        model="gpt2",
        pre="gpt-2",
        tokens=(*tokens, _END),
        kinds=(*[TokenKind.NORMAL] * end, TokenKind.CONTROL),
        merges=tuple(merges),
        special_ids={"bos": end, "eos": end},
        add_bos=False,
        add_eos=False,
        chat_template=None,
        source=path,
        reference=byte_ranks(ranks, _SPLIT, {_END: end}),
        markers=(_END,),
    )
