"""The vocabulary's part of a model file's metadata.

It promises that every id is written and nothing is left to llama.cpp's defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.vocab.vocabulary import Vocab

if TYPE_CHECKING:
    from gguf import GGUFWriter

# gguf's spelling of the roles, "seperator" included.
_ROLE_KEYS = {"unk": "unknown", "pad": "padding", "sep": "seperator"}
# An empty list of merges is left out by gguf, and llama.cpp loads no byte-level BPE without one.
# This one never applies: text has no symbol of that name before any merge.
_INERT_MERGE = "<|inert|> <|inert|>"


def add_vocab(writer: GGUFWriter, vocab: Vocab) -> None:
    """Add everything under `tokenizer.` that `vocab` says."""
    from gguf import GGUFValueType  # 100 ms that reading a checkpoint does not need

    writer.add_tokenizer_model(vocab.model)
    writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list(vocab.tokens)
    if vocab.scores:
        writer.add_token_scores(vocab.scores)
    writer.add_token_types([int(kind) for kind in vocab.kinds])
    if vocab.model == "gpt2":
        writer.add_token_merges(vocab.merges or (_INERT_MERGE,))
    for role, index in vocab.special_ids.items():
        key = f"tokenizer.ggml.{_ROLE_KEYS.get(role, role)}_token_id"
        writer.add_key_value(key, index, GGUFValueType.UINT32)
    writer.add_add_bos_token(vocab.add_bos)
    writer.add_add_eos_token(vocab.add_eos)
    if vocab.appended:  # llama.cpp's own samplers never draw these, however likely
        writer.add_array("tokenizer.ggml.suppress_tokens", list(vocab.appended))
    for name, value in vocab.options.items():
        _add_option(writer, f"tokenizer.ggml.{name}", value)
    if vocab.chat_template:
        named = [{"name": key, "template": text} for key, text in vocab.templates.items()]
        default = {"name": "default", "template": vocab.chat_template}
        writer.add_chat_template([default, *named] if named else vocab.chat_template)


def _add_option(writer: GGUFWriter, key: str, value: bool | int | bytes) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_array(key, value)
