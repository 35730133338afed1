"""A model file before llama.cpp sees it: whether it can be one, and which one it is."""

import hashlib
from pathlib import Path

from chatapp.errors import ModelError

_SAMPLE_BYTES = 1 << 20


def check_file(path: Path) -> int:
    """Size in bytes of a file that at least begins like a model."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise ModelError(
            f"There is no model file {path}.", "`chatapp models list` shows those that were found."
        ) from None
    except IsADirectoryError:
        raise ModelError(
            f"{path} is a folder, not a model file.",
            "`chatapp convert` makes a model file from a folder with a checkpoint.",
        ) from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    if magic != b"GGUF":
        what = "is empty" if not magic else "is not a GGUF model file"
        raise ModelError(
            f"{path} {what}.", "chatapp runs GGUF files; `chatapp convert` makes them."
        )
    return path.stat().st_size


def fingerprint(path: Path) -> str:
    """Hash of a file's size, its first and its last MiB: cheap, and new for every conversion."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]
