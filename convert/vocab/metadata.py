"""The vocabulary's part of a model file's metadata: every id is written, none left to defaults."""

from gguf import GGUFValueType, GGUFWriter

from convert.vocab.vocabulary import Vocab


def add_vocab(writer: GGUFWriter, vocab: Vocab) -> None:
    """Add everything under `tokenizer.` that `vocab` says."""
    writer.add_tokenizer_model(vocab.model)
    writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list(vocab.tokens)
    writer.add_token_types([int(kind) for kind in vocab.kinds])
    writer.add_token_merges(vocab.merges)
    for role, index in vocab.special_ids.items():
        key = "unknown" if role == "unk" else "padding" if role == "pad" else role
        writer.add_key_value(f"tokenizer.ggml.{key}_token_id", index, GGUFValueType.UINT32)
    writer.add_add_bos_token(vocab.add_bos)
    writer.add_add_eos_token(vocab.add_eos)
    if vocab.chat_template:
        writer.add_chat_template(vocab.chat_template)
