"""Chat templates: where they lie, and a sample of what they write.

A template comes with the model, so it is untrusted code: `chatapp.gguf.sandbox` runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from chatapp.gguf.errors import TemplateError
from chatapp.gguf.known import FORMATS, find_format
from chatapp.gguf.sandbox import TemplateProcess
from convert.errors import VocabError
from convert.vocab.files import load_json, load_json_if_there, load_text
from convert.vocab.vocabulary import Vocab

SAMPLE = (
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "Thanks!"},
)
_MAX_TEMPLATE = 1 << 20  # bytes; the longest in use has 30 kB
_SHOWN = 2000  # characters of a rendered sample


def find_templates(
    folder: Path, config: Mapping[str, Any], override: str | None
) -> tuple[str | None, dict[str, str]]:
    """The chat template and further named ones. Raises `VocabError`.

    `override` first; then, as transformers does, the files beside the tokenizer before its
    configuration.
    """
    named = _named(config.get("chat_template"))
    named |= _named(load_json_if_there(folder / "chat_template.json").get("chat_template"))
    more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    for path in [*more[:16], folder / "chat_template.jinja"]:
        if path.is_file():
            name = "default" if path.parent == folder else path.stem
            named[name] = load_text(path, _MAX_TEMPLATE)
    if override is not None:
        named["default"] = override
    default = named.pop("default", None) or None
    return default, {key: text for key, text in named.items() if text} if default else {}


def load_template(named: str) -> str:
    """The chat template that a person names: a format, a file of Jinja, or one of transformers'
    that holds it (`tokenizer_config.json`). Raises `VocabError`."""
    path = Path(named)
    if (known := find_format(named)) and not path.is_file():
        return known.source
    if not path.is_file():
        raise VocabError(
            f"There is no chat template {named[:200]}.",
            f"Give a file of Jinja, or one of {', '.join(sorted(one.name for one in FORMATS))}.",
        )
    if path.suffix == ".json":
        found = _named(load_json(path).get("chat_template")).get("default")
        if not found:
            raise VocabError(f"There is no chat_template in {path}.")
        return found
    return load_text(path, _MAX_TEMPLATE)


def choose_template(named: str | None, adapter: Path | None) -> str | None:
    """The chat template in place of the model's own: the one that a person names, else the one
    beside the adapter, which was trained with it. Raises `VocabError`."""
    if named is not None:
        return load_template(named)
    if adapter is None:
        return None
    config = load_json_if_there(adapter / "tokenizer_config.json")
    return find_templates(adapter, config, None)[0]


def _named(value: Any) -> dict[str, str]:
    """One template, or a list of objects with name and template, by name."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"default": value}
    if not isinstance(value, list):
        raise VocabError("The chat_template in tokenizer_config.json is no text.")
    pairs = [(i.get("name"), i.get("template")) for i in value if isinstance(i, dict)]
    return {k: text for k, text in pairs if isinstance(k, str) and isinstance(text, str)}


def render_sample(vocab: Vocab) -> str:
    """Three messages as the model's chat template writes them, cut to 2,000 characters.

    Empty without a template. Raises `VocabError` when it cannot be rendered.
    """
    if not vocab.chat_template:
        return ""
    words = {
        f"{role}_token": vocab.tokens[index]
        for role, index in vocab.special_ids.items()
        if role in ("bos", "eos", "pad", "unk")
    }
    text, failure = _render(vocab.chat_template, **words)
    if failure:
        raise VocabError(failure, "Give another with --chat-template FILE.")
    return text


@lru_cache(maxsize=4)  # the plan, its notes and the report each want it
def _render(template: str, **words: str) -> tuple[str, str]:
    """(the sample, or why there is none)."""
    try:
        with TemplateProcess() as process:
            text = process.render(
                template, SAMPLE, add_generation_prompt=True, tools=None, documents=None, **words
            )
    except TemplateError as error:
        return "", error.message
    return text[:_SHOWN], ""


def sample_or_nothing(vocab: Vocab) -> str:
    """The rendered sample; empty where it fails, which `template_notes` says."""
    try:
        return render_sample(vocab)
    except VocabError:
        return ""


def template_notes(vocab: Vocab) -> tuple[str, ...]:
    """What rendering shows that the user should know. A failure is a note: weights are no worse."""
    try:
        sample = render_sample(vocab)
    except VocabError as error:
        return (error.message,)
    bos = vocab.tokens[vocab.special_ids["bos"]]
    if sample and vocab.add_bos and sample.startswith(bos):
        note = (
            f"The chat template writes {bos!r:.40} and the tokenizer adds it too: kept as in the "
            "original. chatapp and llama.cpp's server put only one."
        )
        return (note,)
    return ()
