"""Byte-level BPE from a Hugging Face `tokenizer.json`.

It promises that each part of the tokenizer's pipeline is one llama.cpp has too, or an error naming
the part: the structure is compared, and afterwards `proof.py` compares what it does to text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.vocab.special import find_chat_template, find_special_ids, load_json
from convert.vocab.vocabulary import TokenKind, Vocab

FILE = "tokenizer.json"
DESCRIPTION = "byte-level BPE in tokenizer.json"

# BPE options llama.cpp's byte-level BPE does not have, with the values that mean "not used".
_UNUSED_OPTIONS: dict[str, tuple[Any, ...]] = {
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


def read(folder: Path, n_rows: int) -> Vocab:
    """The vocabulary in `folder`, for a model with `n_rows` embedding rows."""
    path = folder / FILE
    data = load_json(path)
    config_path = folder / "tokenizer_config.json"
    config = load_json(config_path) if config_path.is_file() else {}
    pre = _match_structure(data)
    ids, added = _read_ids(data), _read_added(data)
    tokens, kinds, notes = _lay_out(ids, added, n_rows)
    template = find_chat_template(config, folder)
    special = {text: index for text, (index, is_special) in added.items() if is_special}
    special_ids = find_special_ids(config, special, template is not None)
    if not config_path.is_file():
        notes.append("No tokenizer_config.json: special tokens were found by their usual names.")
    missing = 256 - sum(character in ids for character in _byte_alphabet())
    if missing:
        notes.append(f"{missing} of 256 bytes have no token: text with them loses them.")
    add_bos, add_eos = _find_added_ends(data, config, special_ids)
    vocab = Vocab(
        model="gpt2",
        pre=pre,
        tokens=tuple(tokens),
        kinds=tuple(kinds),
        merges=tuple(_read_merges(data["model"])),
        special_ids=special_ids,
        add_bos=add_bos,
        add_eos=add_eos,
        chat_template=template,
        source=path,
        notes=tuple(notes),
    )
    _check_encodable(vocab)
    return vocab


def _refuse(part: str, found: Any) -> VocabError:
    return VocabError(
        f"{FILE} has {part} that llama.cpp's GPT-2 tokenizer lacks: {str(found)[:120]}.",
        "Only a byte-level BPE as GPT-2 uses it can be carried over exactly.",
    )


def _match_structure(data: dict[str, Any]) -> str:
    """llama.cpp's name of the pre-tokenizer that `data` describes."""
    model = data.get("model")
    if not isinstance(model, dict) or model.get("type") not in {"BPE", None}:
        kind = model.get("type") if isinstance(model, dict) else model
        raise _refuse("a model", kind)
    for option, unused in _UNUSED_OPTIONS.items():
        if model.get(option) not in unused:
            raise _refuse(f"the option {option}", model[option])
    if data.get("normalizer") is not None:
        raise _refuse("a normalizer", data["normalizer"])
    steps = data.get("pre_tokenizer")
    if isinstance(steps, dict) and steps.get("type") == "Sequence":
        steps = steps.get("pretokenizers")
    steps = steps if isinstance(steps, list) else [steps]
    if len(steps) != 1 or not isinstance(steps[0], dict) or steps[0].get("type") != "ByteLevel":
        raise _refuse("a pre-tokenizer", data.get("pre_tokenizer"))
    if steps[0].get("add_prefix_space", True):
        raise _refuse("the option", "add_prefix_space=true")
    if not steps[0].get("use_regex", True):
        raise _refuse("the option", "use_regex=false")
    return "gpt-2"


def _read_ids(data: dict[str, Any]) -> dict[str, int]:
    vocab = data["model"].get("vocab")
    if not isinstance(vocab, dict) or not vocab:
        raise VocabError(f"{FILE} has no vocabulary.", "Save the tokenizer again.")
    if not all(type(index) is int for index in vocab.values()):
        raise VocabError(f"{FILE} has a token whose id is no whole number.")
    return vocab


def _read_added(data: dict[str, Any]) -> dict[str, tuple[int, bool]]:
    """Added tokens: text to (id, special)."""
    added: dict[str, tuple[int, bool]] = {}
    for item in data.get("added_tokens") or []:
        text = item.get("content") if isinstance(item, dict) else None
        if not isinstance(text, str) or type(item.get("id")) is not int:
            raise VocabError(f"{FILE} has an added token without text or id.")
        added[text] = (item["id"], bool(item.get("special")))
    return added


def _lay_out(
    ids: dict[str, int], added: dict[str, tuple[int, bool]], n_rows: int
) -> tuple[list[str], list[TokenKind], list[str]]:
    """Tokens and kinds by id. Ids nobody uses become UNUSED tokens."""
    highest = max([*ids.values(), *(index for index, _ in added.values())])
    if highest >= n_rows:
        raise VocabError(
            f"{FILE} has token ids up to {highest}, but the model has only {n_rows} rows.",
            "This tokenizer does not belong to this checkpoint.",
        )
    tokens: list[str | None] = [None] * (highest + 1)
    kinds = [TokenKind.UNUSED] * (highest + 1)
    for text, index, kind in _entries(ids, added):
        if index < 0 or tokens[index] not in {None, text}:
            raise VocabError(f"{FILE} gives the id {index} to two tokens, or it is negative.")
        tokens[index], kinds[index] = text, kind
    unused = tokens.count(None)
    notes = [f"{unused} unused ids are filled with placeholder tokens."] if unused else []
    filled = [text if text is not None else f"[UNUSED{i}]" for i, text in enumerate(tokens)]
    if len(set(filled)) != len(filled) or "" in filled:
        raise VocabError(
            f"{FILE} has an empty token, or one text under two ids; llama.cpp would abort on it."
        )
    return filled, kinds, notes


def _entries(
    ids: dict[str, int], added: dict[str, tuple[int, bool]]
) -> Iterator[tuple[str, int, TokenKind]]:
    for text, index in ids.items():
        yield text, index, TokenKind.NORMAL
    for text, (index, is_special) in added.items():
        yield text, index, TokenKind.CONTROL if is_special else TokenKind.USER_DEFINED


def _read_merges(model: dict[str, Any]) -> Iterator[str]:
    merges = model.get("merges")
    if not isinstance(merges, list) or not merges:
        raise VocabError(
            f"{FILE} has no merges, and llama.cpp loads no byte-level BPE without.",
            "Train the tokenizer with a vocabulary of more than 256 tokens.",
        )
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(_is_part(p) for p in parts):
            raise VocabError(f"{FILE} has a merge that is no pair: {merge!r:.60}.")
        yield " ".join(parts)


def _is_part(part: Any) -> bool:
    return isinstance(part, str) and part != "" and " " not in part


def _find_added_ends(
    data: dict[str, Any], config: dict[str, Any], ids: dict[str, int]
) -> tuple[bool, bool]:
    """Whether bos and eos are put around a text: from the configuration, else the tokenizer."""
    template = _find_template(data.get("post_processor"))
    add_bos = template[:1] == [ids["bos"]]
    add_eos = template[-1:] == [ids["eos"]] and len(template) > int(add_bos)
    add_bos = bool(config.get("add_bos_token", add_bos))
    add_eos = bool(config.get("add_eos_token", add_eos))
    return add_bos, add_eos


def _find_template(post: Any) -> list[int | None]:
    """The post-processor's template for one text: ids, and None where the text goes."""
    if not isinstance(post, dict):
        return []
    if post.get("type") == "Sequence":
        inner = [_find_template(step) for step in post.get("processors") or []]
        return next((template for template in inner if template), [])
    if post.get("type") != "TemplateProcessing":
        return []
    known = post.get("special_tokens") or {}
    template: list[int | None] = []
    for step in post.get("single") or []:
        name = step.get("SpecialToken", {}).get("id") if isinstance(step, dict) else None
        template += known.get(name, {}).get("ids", []) if name is not None else [None]
    return template


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def _check_encodable(vocab: Vocab) -> None:
    try:
        for text in (*vocab.tokens, *vocab.merges, vocab.chat_template or ""):
            text.encode()
    except UnicodeEncodeError:
        raise VocabError(f"{FILE} holds text that is not valid Unicode.") from None
