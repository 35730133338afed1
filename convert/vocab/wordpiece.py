"""WordPiece, as BERT uses it: llama.cpp's model "bert".

It promises the ids of every special token, since llama.cpp's own are bert-base-uncased's. llama.cpp
keeps the pieces the other way round: one that begins a word gets a phantom space (U+2581) and one
that continues it loses its `##`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import category

from convert.errors import VocabError
from convert.questions import Choice, Question
from convert.vocab.assembly import add_notes, assemble
from convert.vocab.classes import SAVE, WORD_PIECES, find_class
from convert.vocab.files import load_json_if_there, load_text
from convert.vocab.json_parts import FILE, find_post_template, flatten, read_ids, refuse
from convert.vocab.layout import Added, read_added
from convert.vocab.references import tokenizers_built, tokenizers_file, transformers_class
from convert.vocab.vocabulary import Reference, TokenKind, Vocab
from convert.vocab.wanted import Wanted

FILES: tuple[str, ...] = ("vocab.txt",)
DESCRIPTION = "BERT's vocab.txt"

_SPACE = "\u2581"
_SPECIAL = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_DECOMPOSED = (
    "Without accents, llama.cpp splits Korean and scripts with spacing vowel signs (Hindi, Tamil, "
    "Burmese and others) otherwise than the original: they were not compared."
)
_TOKEN_TYPES = 2  # sentence A and B; llama.cpp refuses none, and fit_vocab knows the true number


@dataclass(frozen=True)
class _Normalizer:
    lowercase: bool
    strip_accents: bool


def read(path: Path, wanted: Wanted) -> Vocab:
    """The vocabulary in `path`, one token a line. Raises `VocabError`."""
    lines = load_text(path).splitlines()
    ids = {line.rstrip("\r"): index for index, line in enumerate(lines) if line}
    config = load_json_if_there(path.parent / "tokenizer_config.json")
    name = find_class(path.parent, wanted.config, WORD_PIECES)
    if name is not None and name not in WORD_PIECES:
        raise VocabError(f"{path.name} is used by {name}, which is not known to be BERT's.", SAVE)
    said = config.get("do_lower_case", wanted.config.get("do_lower_case"))
    if said is None and any(map(_has_capitals, ids)):
        raise _ask_case(path)
    lowercase = said is None or bool(said)
    accents = config.get("strip_accents")
    if config.get("tokenize_chinese_chars", True) is not True:
        raise VocabError(
            f"{path.parent.name} has tokenize_chinese_chars=false; llama.cpp always splits Chinese."
        )
    normalizer = _Normalizer(lowercase, lowercase if accents is None else bool(accents))
    added = {t: Added(ids[t], special=True) for t in _SPECIAL.values() if t in ids}
    built = tokenizers_built(lambda: _build(ids, added, normalizer), path.name)
    reference = transformers_class(
        name or "BertTokenizer", path.parent, [*added], built, do_lower_case=lowercase
    )
    vocab = _assemble(path, wanted, ids, added, normalizer, reference, ())
    if said is not None:
        return vocab
    case = "text is lower-cased, as BERT's class does: no token has a capital"
    return add_notes(vocab, f"{path.name} does not say do_lower_case: {case}.")


def _ask_case(path: Path) -> VocabError:
    """Of no use to a tokenizer that writes none are capitals; yet its class would write none."""
    why = (
        f"{path.name} has tokens with capitals, and nothing says do_lower_case: without it, BERT's "
        "class writes all text in small letters."
    )
    choices = (
        Choice(False, "text is taken as it is: a cased model"),
        Choice(True, "text is lower-cased first, and those tokens never come"),
    )
    hint = "Say it with --set do_lower_case=false or true."
    return VocabError(why, hint, Question("do_lower_case", why, choices))


def _has_capitals(text: str) -> bool:
    return text != text.lower() and text not in _SPECIAL.values() and not text.startswith("[")


def from_json(path: Path, data: dict[str, Any], wanted: Wanted) -> Vocab:
    """The vocabulary in `data`, read from `path`. Raises `VocabError`."""
    model = data["model"]
    if model.get("continuing_subword_prefix", "##") != "##":
        raise refuse("a prefix of pieces", model["continuing_subword_prefix"])
    normalizer = _read_normalizer(data.get("normalizer"))
    steps = flatten(data.get("pre_tokenizer"), "pretokenizers")
    if [step.get("type") for step in steps] != ["BertPreTokenizer"]:
        raise refuse("a pre-tokenizer", data.get("pre_tokenizer"))
    added = read_added(data.get("added_tokens") or [], FILE)
    post = find_post_template(data)
    return _assemble(
        path, wanted, read_ids(model.get("vocab")), added, normalizer, tokenizers_file(path), post
    )


def _read_normalizer(normalizer: Any) -> _Normalizer:
    steps = flatten(normalizer, "normalizers")
    if [step.get("type") for step in steps] != ["BertNormalizer"]:
        raise refuse("a normalizer", normalizer)
    step = steps[0]
    if not (step.get("clean_text", True) and step.get("handle_chinese_chars", True)):
        raise refuse("a normalizer", step)
    lowercase = bool(step.get("lowercase", True))
    accents = step.get("strip_accents")
    return _Normalizer(lowercase, lowercase if accents is None else bool(accents))


def _assemble(
    path: Path,
    wanted: Wanted,
    ids: Mapping[str, int],
    added: Mapping[str, Added],
    normalizer: _Normalizer,
    reference: Reference,
    post: Any,
) -> Vocab:
    special = {role: text for role, text in _SPECIAL.items() if text in ids}
    if "unk" not in special or "cls" not in special or "sep" not in special:
        raise VocabError(f"{path.name} has no [UNK], [CLS] or [SEP], which llama.cpp needs.")
    named = special | {"bos": special["cls"], "eos": special["sep"]}
    vocab = assemble(path, wanted, "bert", ids, added, named=named, post=post, promote=True)
    tokens = tuple(
        text if kind != TokenKind.NORMAL else text[2:] if text.startswith("##") else _SPACE + text
        for text, kind in zip(vocab.tokens, vocab.kinds, strict=True)
    )
    vocab = replace(
        vocab,
        tokens=tokens,
        # llama.cpp puts both around every text, whatever the file says
        add_bos=True,
        add_eos=True,
        options={
            "token_type_count": _TOKEN_TYPES,
            "normalizer.lowercase": normalizer.lowercase,
            "normalizer.strip_accents": normalizer.strip_accents,
        },
        reference=reference,
        lossless=False,
    )
    if normalizer.strip_accents:
        vocab = add_notes(replace(vocab, differs=_is_decomposed), _DECOMPOSED)
    if list(post) and (post[0], post[-1]) != (vocab.special_ids["bos"], vocab.special_ids["sep"]):
        return add_notes(vocab, "llama.cpp puts [CLS] and [SEP] around every text.")
    return vocab


def _is_decomposed(text: str) -> bool:
    """Whether `text` has Hangul, or marks that take space, which llama.cpp takes for accents."""
    return any("\uac00" <= c <= "\ud7a3" or category(c) in {"Mc", "Me"} for c in text)


def _build(ids: Mapping[str, int], added: Mapping[str, Added], normalizer: _Normalizer) -> Any:
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers

    built = tokenizers.Tokenizer(models.WordPiece(dict(ids), unk_token=_SPECIAL["unk"]))
    built.normalizer = normalizers.BertNormalizer(
        lowercase=normalizer.lowercase, strip_accents=normalizer.strip_accents
    )
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.add_special_tokens(list(added))
    return built
