"""Parts of `tokenizer.json` that several kinds of tokenizer have."""

from __future__ import annotations

from typing import Any

from convert.errors import VocabError

FILE = "tokenizer.json"


def refuse(part: str, found: Any) -> VocabError:
    """The error for a part that has no counterpart."""
    return VocabError(
        f"{FILE} has {part} that llama.cpp's tokenizers lack: {str(found)[:120]}.",
        "Only tokenizers that split text exactly alike are carried over.",
    )


def read_ids(vocab: Any, where: str = FILE) -> dict[str, int]:
    """Ids by token from an object in the file `where`. Raises `VocabError`."""
    if not isinstance(vocab, dict) or not vocab:
        raise VocabError(f"{where} has no vocabulary.", "Save the tokenizer again.")
    odd = next((text for text, index in vocab.items() if type(index) is not int), None)
    if odd is not None:
        raise VocabError(f"{where} has a token whose id is no whole number: {odd!r:.40}.")
    return vocab


def flatten(value: Any, inner: str, depth: int = 0) -> list[dict[str, Any]]:
    """A step, or the steps of a Sequence kept under the key `inner`, in order."""
    if not isinstance(value, dict) or depth > 4:
        return []
    steps = value.get(inner)
    if value.get("type") == "Sequence" and isinstance(steps, list):
        return [step for item in steps[:32] for step in flatten(item, inner, depth + 1)]
    return [value]


def find_post_template(data: dict[str, Any]) -> list[int | None]:
    """The post-processor's template for one text: ids, and None where the text goes."""
    steps = [_template(step) for step in flatten(data.get("post_processor"), "processors")]
    return next((template for template in steps if template), [])


def _template(post: dict[str, Any]) -> list[int | None]:
    if post.get("type") in {"RobertaProcessing", "BertProcessing"}:
        ends = [post.get("cls"), post.get("sep")]
        first, last = [end[1] if isinstance(end, list) and len(end) == 2 else None for end in ends]
        return [first, None, last]
    if post.get("type") != "TemplateProcessing":
        return []
    known = post.get("special_tokens") or {}
    template: list[int | None] = []
    for step in post.get("single") or []:
        name = step.get("SpecialToken", {}).get("id") if isinstance(step, dict) else None
        template += known.get(name, {}).get("ids", []) if name is not None else [None]
    return template
