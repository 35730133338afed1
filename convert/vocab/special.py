"""Special ids and the chat template from `tokenizer_config.json`.

It promises that bos and eos are real tokens of the vocabulary, or an error: llama.cpp's own
defaults would name an ordinary one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.errors import VocabError

_ROLES = ("bos", "eos", "eot", "pad", "unk")
# Names that mean "the text ends here" wherever they occur, most common first.
_USUAL_ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|end|>", "<|im_end|>")
_MAX_JSON = 256 << 20  # the largest tokenizer.json in use has 40 MB


def load_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises `VocabError`."""
    try:
        if path.stat().st_size > _MAX_JSON:
            raise VocabError(f"{path.name} has more than {_MAX_JSON >> 20} MB.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VocabError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise VocabError(
            f"{path.name} is not valid JSON: {str(error)[:120]}.", "Save the tokenizer again."
        ) from None
    if not isinstance(value, dict):
        raise VocabError(f"{path.name} holds no JSON object.", "Save the tokenizer again.")
    return value


def find_special_ids(
    config: Mapping[str, Any], special: Mapping[str, int], has_template: bool
) -> dict[str, int]:
    """Ids by role. `special` maps the text of every special token to its id.

    A missing eos is looked for under its usual names; a missing bos is eos, as in GPT-2; eot, where
    a turn ends, is eos when there is a chat template.
    """
    ids: dict[str, int] = {}
    for role in _ROLES:
        text = _text_of(config.get(f"{role}_token"))
        if text is None:
            continue
        if text not in special:
            raise VocabError(
                f"tokenizer_config.json names {text!r:.60} as {role}_token, but it is no special "
                "token of tokenizer.json.",
                "Add it to the tokenizer as a special token.",
            )
        ids[role] = special[text]
    if "eos" not in ids:
        usual = next((text for text in _USUAL_ENDS if text in special), None)
        if usual is None:
            raise VocabError(
                "The tokenizer names no end-of-text token, so the model would never stop.",
                'Write {"eos_token": "..."} into tokenizer_config.json beside it.',
            )
        ids["eos"] = special[usual]
    ids.setdefault("bos", ids["eos"])
    if has_template:
        ids.setdefault("eot", ids["eos"])
    return {role: ids[role] for role in _ROLES if role in ids}


def find_chat_template(config: Mapping[str, Any], folder: Path) -> str | None:
    """The chat template: from the configuration, else from `chat_template.jinja` beside it."""
    template = config.get("chat_template")
    if isinstance(template, list):  # several named templates: the default one
        named = {item.get("name"): item.get("template") for item in template if _is_named(item)}
        template = named.get("default")
    if template is None and (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    if template is not None and not isinstance(template, str):
        raise VocabError("The chat_template in tokenizer_config.json is no text.")
    return template or None


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str)


def _text_of(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
