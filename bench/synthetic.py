"""Model files with random weights: for benchmarks and tests, since speed and mechanics do not
depend on the weights' values.

Writes a GGUF of arch `llama` with a byte-level BPE vocabulary: 256 bytes, four control tokens and
made-up words up to `n_vocab`. Quantised tensors get random quants with small scales directly, so a
0.5B-parameter file takes seconds.

    python -m bench.synthetic OUT.gguf            # 0.5 B parameters, Q4_K_M, 150k vocabulary
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CONTROL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
_BLOCK = 256
_BLOCK_BYTES = {"Q4_K": 144, "Q6_K": 210}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a random model; the defaults are the half-billion one."""

    n_embd: int = 1024
    n_layers: int = 22
    n_ff: int = 4096
    n_head: int = 16
    n_head_kv: int = 4
    n_vocab: int = 151_936
    n_ctx: int = 32_768
    ftype: str = "Q4_K_M"
    """`Q4_K_M` or `F32`."""
    template: str | Sequence[Mapping[str, str]] | None = TEMPLATE
    """The chat template, or several, each with `name` and `template`."""
    control: tuple[str, ...] = CONTROL
    """Control tokens; the first begins texts and ends them."""
    name: str = ""
    """`general.name`; empty: its sizes."""
    arch: str = "llama"
    """`llama`, or `gemma3`, whose layers look at a sliding window."""
    sampling: tuple[tuple[str, gguf.GGUFValueType, object], ...] = ()
    """What the file recommends: names behind `general.sampling.`, types and values."""


TINY = Shape(
    n_embd=64, n_layers=2, n_ff=128, n_head=4, n_head_kv=2, n_vocab=512, n_ctx=16_384, ftype="F32"
)
"""A model that decodes thousands of tokens a second, for tests."""


def write_model(path: Path, shape: Shape = Shape(), seed: int = 1) -> Path:
    """Write a random model file of `shape` to `path`."""
    writer = gguf.GGUFWriter(path, shape.arch)
    _add_hparams(writer, shape)
    _add_vocab(writer, shape)
    generator = np.random.default_rng(seed)
    for name, rows, columns, kind in _tensors(shape):
        if kind in _BLOCK_BYTES:
            data = _random_blocks(generator, rows, columns, kind)
            writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
        elif rows == 1:
            writer.add_tensor(name, np.ones(columns, dtype=np.float32))
        else:
            writer.add_tensor(name, generator.standard_normal((rows, columns), np.float32) * 0.2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_hparams(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(shape.name or f"random {shape.n_layers}x{shape.n_embd}")
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.n_embd // shape.n_head)
    writer.add_vocab_size(shape.n_vocab)
    for name, kind, value in shape.sampling:
        item = gguf.GGUFValueType.STRING if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(f"general.sampling.{name}", value, kind, item)
    if shape.arch == "gemma3":
        writer.add_sliding_window(1024)
        writer.add_key_length(shape.n_embd // shape.n_head)
        writer.add_value_length(shape.n_embd // shape.n_head)


def _add_vocab(writer: gguf.GGUFWriter, shape: Shape) -> None:
    letters = [chr(code) for code in byte_letters()]
    words = [f"w{index}" for index in range(shape.n_vocab - 256 - len(shape.control))]
    tokens = [*letters, *shape.control, *words]
    types = [gguf.TokenType.NORMAL] * len(tokens)
    types[256 : 256 + len(shape.control)] = [gguf.TokenType.CONTROL] * len(shape.control)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["w 0"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(256)
    writer.add_add_bos_token(False)
    if shape.template is not None:
        writer.add_chat_template(shape.template)


def byte_letters() -> Iterator[int]:
    """GPT-2's printable stand-in for each byte (`bytes_to_unicode`)."""
    spare = 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            yield byte
        else:
            yield spare
            spare += 1


def _tensors(shape: Shape) -> Iterator[tuple[str, int, int, str]]:
    """(name, rows, columns, type), with Q6_K where llama.cpp's Q4_K_M puts it."""
    small, large = ("Q4_K", "Q6_K") if shape.ftype == "Q4_K_M" else ("F32", "F32")
    d, kv = shape.n_embd, shape.n_embd // shape.n_head * shape.n_head_kv
    yield "token_embd.weight", shape.n_vocab, d, large  # tied: the output layer too
    for layer in range(shape.n_layers):
        better = layer < shape.n_layers // 8 or layer % 3 == 2
        mixed = large if better else small
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", 1, d, "F32"
        yield block + "attn_q.weight", d, d, small
        yield block + "attn_k.weight", kv, d, small
        yield block + "attn_v.weight", kv, d, mixed
        yield block + "attn_output.weight", d, d, small
        yield block + "ffn_norm.weight", 1, d, "F32"
        if shape.arch == "gemma3":
            for name in ("attn_q_norm", "attn_k_norm"):
                yield f"{block}{name}.weight", 1, d // shape.n_head, "F32"
            for name in ("post_attention_norm", "post_ffw_norm"):
                yield f"{block}{name}.weight", 1, d, "F32"
        yield block + "ffn_gate.weight", shape.n_ff, d, small
        yield block + "ffn_up.weight", shape.n_ff, d, small
        yield block + "ffn_down.weight", d, shape.n_ff, mixed
    yield "output_norm.weight", 1, d, "F32"


def _random_blocks(
    generator: np.random.Generator, rows: int, columns: int, kind: str
) -> npt.NDArray[np.uint8]:
    """Rows of random quants; the scales are set so that weights stay around +-0.03."""
    size = _BLOCK_BYTES[kind]
    n_blocks = columns // _BLOCK
    data = generator.integers(0, 256, (rows, n_blocks, size), dtype=np.uint8)
    scale = np.frombuffer(np.float16(1e-4).tobytes(), dtype=np.uint8)
    if kind == "Q4_K":
        data[:, :, 0:2], data[:, :, 2:4] = scale, scale
    else:
        data[:, :, 208:210] = np.frombuffer(np.float16(1e-5).tobytes(), dtype=np.uint8)
    return data.reshape(rows, n_blocks * size)


if __name__ == "__main__":
    written = write_model(Path(sys.argv[1]))
    print(f"{written}: {written.stat().st_size / 2**20:.0f} MiB")
