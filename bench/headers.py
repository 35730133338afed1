"""A thousand model files' headers: read for the first time, and again.

    python -m bench.headers [--files N] [--tokens N]

Every file has the header of a large model (a vocabulary and merges of 152,000 texts, 5.7 MB) and no
weights; eight of ten share a tokenizer, as the quantisations of one model do. One is broken, and
has to be named. A peer in the same run: walking over one such header without remembering anything.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from pathlib import Path

from chatapp.gguf.model_info import read_model_info
from chatapp.library.headers import Headers


def write_header(path: Path, n_tokens: int, seed: int) -> None:
    """A header of `n_tokens` tokens and as many merges, spelled differently for every seed."""

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    def texts(values: list[str]) -> bytes:
        return struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))

    keys = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("tokenizer.ggml.tokens") + texts([f"token{seed}{i}" for i in range(n_tokens)]),
        text("tokenizer.ggml.merges") + texts([f"a{seed}{i} b{i}" for i in range(n_tokens)]),
    ]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=152_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-headers-") as name:
        folder = Path(name) / "models"
        folder.mkdir()
        kinds = [Path(name) / f"kind{seed}" for seed in range(3)]
        for seed, kind in enumerate(kinds):
            write_header(kind, arguments.tokens, seed)
        contents = [kind.read_bytes() for kind in kinds]
        for index in range(arguments.files):
            tokenizer = 0 if index % 10 < 8 else index % 10 - 7
            (folder / f"{index:05}.gguf").write_bytes(contents[tokenizer])
        broken = folder / f"{arguments.files // 2:05}.gguf"
        broken.write_bytes(b"GGUF" + bytes(40))
        started = time.perf_counter()
        read_model_info(kinds[0])
        alone = time.perf_counter() - started
        print(f"one header, nothing remembered  {alone * 1000:8.1f} ms")
        for what in ("cold", "remembered"):
            started = time.perf_counter()
            headers = Headers(Path(name) / "headers.json")
            found = list(headers.read_all(sorted(folder.iterdir())))
            headers.save()
            seconds = time.perf_counter() - started
            ratio = seconds / (alone * len(found))
            print(f"{len(found)} headers, {what:<12} {seconds:12.2f} s   {ratio:.3f} of one by one")
            named = [str(info) for _, info in found if isinstance(info, Exception)]
            assert len(named) == 1, named
            assert broken.name in named[0], named
        print(f"named and skipped: {named[0][-100:]}")


if __name__ == "__main__":
    main()
