"""GGUF headers made byte by byte, so that they can be wrong in every way."""

import struct

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 5, 6, 7, 8, 9, 10


def text(value: str | bytes) -> bytes:
    """A length and the bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    """One key with its value."""
    return text(key) + struct.pack("<I", kind) + value


def texts(*values: str) -> bytes:
    """The value of an array of strings."""
    return struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))


def numbers(*values: int) -> bytes:
    """The value of an array of u32."""
    return struct.pack("<IQ", U32, len(values)) + struct.pack(f"<{len(values)}I", *values)


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    """One row of the tensor table."""
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


def header(entries: list[bytes], tensors: list[bytes], version: int = 3) -> bytes:
    """A file's front; the data is missing."""
    counts = struct.pack("<IQQ", version, len(tensors), len(entries))
    return b"GGUF" + counts + b"".join(entries) + b"".join(tensors)


def pad(front: bytes, n_data: int) -> bytes:
    """A front, filled up to the alignment, and that much data."""
    return front + bytes(-len(front) % 32) + bytes(n_data)


def entries(n_vocab: int = 5) -> list[bytes]:
    """The metadata of a small model."""
    return [
        entry("general.architecture", STRING, text("llama")),
        entry("general.name", STRING, text("Tiny 北京")),
        entry("general.license", STRING, text("mit")),
        entry("general.file_type", U32, struct.pack("<I", 15)),
        entry("llama.context_length", U32, struct.pack("<I", 4096)),
        entry("llama.block_count", U32, struct.pack("<I", 2)),
        entry("llama.embedding_length", U32, struct.pack("<I", 64)),
        entry("llama.attention.head_count", U32, struct.pack("<I", 4)),
        entry("llama.rope.freq_base", F32, struct.pack("<f", 1e4)),
        entry("tokenizer.ggml.add_bos_token", BOOL, b"\x01"),
        entry("tokenizer.ggml.model", STRING, text("gpt2")),
        entry("tokenizer.ggml.tokens", ARRAY, texts(*(f"token{i}" for i in range(n_vocab)))),
        entry("tokenizer.ggml.token_type", ARRAY, numbers(*range(n_vocab))),
        entry("tokenizer.chat_template", STRING, text("{{ messages }}" * 500)),
    ]


def small_model() -> bytes:
    """A whole file: 64x5 F32 and 256x2 Q4_K."""
    tensors = [
        tensor("token_embd.weight", (64, 5), 0, 0),
        tensor("output.weight", (256, 2), 12, 1280),
    ]
    return pad(header(entries(), tensors), 1280 + 288)
