"""Where other programs keep their model files: Hugging Face's cache, LM Studio, Ollama, llama.cpp.

Promises to look and to change nothing: files are run where they lie. Folders come from each
program's own environment variables, then its usual place. What cannot be read is passed over.
Ollama keeps weights as blobs without a suffix; its manifests say which blob is which model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatapp.paths import expand_home, sees_file, sees_folder

_OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")
"""Of the service that Ollama's installer sets up on Linux."""
_MAX_MANIFEST = 1 << 20  # bytes; real ones have a few hundred
_MAX_MANIFESTS = 10_000
_MODEL = "application/vnd.ollama.image.model"
_PROJECTOR = "application/vnd.ollama.image.projector"
LATEST = ":latest"
"""The tag that Ollama takes when none is said."""
_DEFAULT_REGISTRY = ("registry.ollama.ai", "library")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to look for `.gguf` files in."""

    folder: Path
    source: str
    depth: int
    """Levels of folders below it that are looked into."""


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A model file that goes by another name than its own."""

    path: Path
    name: str
    """As in `qwen3:0.6b`."""
    source: str
    projector: Path | None = None
    """Its vision projector."""


def list_places() -> list[Place]:
    """Folders of other programs that exist on this machine."""
    home = Path.home()
    cache = _folder("XDG_CACHE_HOME") or home / ".cache"
    hub = _folder("HF_HUB_CACHE") or (_folder("HF_HOME") or cache / "huggingface") / "hub"
    studio = _studio_home(home)
    places = [
        Place(hub, "Hugging Face cache", 5),
        Place(_folder("LLAMA_CACHE") or cache / "llama.cpp", "llama.cpp cache", 1),
        Place(studio / "models", "LM Studio", 4),
        Place(home / ".cache" / "lm-studio" / "models", "LM Studio", 4),
        Place(home / "Library" / "Caches" / "llama.cpp", "llama.cpp cache", 1),
    ]
    found: dict[str, Place] = {}
    for place in places:
        if sees_folder(place.folder):
            found.setdefault(os.path.realpath(place.folder), place)
    return list(found.values())


def list_blobs() -> list[NamedBlob]:
    """Models that Ollama has, by the names it gives them."""
    folders = [_folder("OLLAMA_MODELS") or Path.home() / ".ollama" / "models", _OLLAMA_SERVICE]
    return [blob for folder in dict.fromkeys(folders) for blob in _read_ollama(folder)]


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return expand_home(value) if value else None


def _studio_home(home: Path) -> Path:
    """LM Studio writes where its folder is into a file, once the user has moved it."""
    try:
        with (home / ".lmstudio-home-pointer").open(encoding="utf-8-sig") as file:
            said = file.read(4096).strip()
    except (OSError, UnicodeDecodeError):
        said = ""
    return Path(said) if said and "\0" not in said else home / ".lmstudio"


def _read_ollama(folder: Path) -> Iterator[NamedBlob]:
    root = folder / "manifests"
    for count, (path, parts) in enumerate(_files_below(root)):
        if count >= _MAX_MANIFESTS:
            return
        blobs = _layers(path)
        model = blobs.get(_MODEL)
        weights = None if model is None else _blob(folder, model)
        if weights is None:
            continue
        projector = blobs.get(_PROJECTOR)
        yield NamedBlob(
            weights, _name(parts), "Ollama", None if projector is None else _blob(folder, projector)
        )


def _files_below(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Manifests: files four levels down (host, owner, model, tag)."""
    for folder, folders, names in os.walk(root):
        parts = Path(folder).relative_to(root).parts
        if len(parts) >= 3:
            folders.clear()
        if len(parts) == 3:
            yield from ((Path(folder) / name, (*parts, name)) for name in sorted(names))
        folders.sort()


def _layers(path: Path) -> dict[str, str]:
    """Media type to digest of a manifest's first layer of that type."""
    if not sees_file(path):  # opening a pipe would wait for its writer
        return {}
    try:
        with path.open("rb") as file:
            manifest: Any = json.loads(file.read(_MAX_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return {}
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    found: dict[str, str] = {}
    for layer in layers if isinstance(layers, list) else []:
        kind = layer.get("mediaType") if isinstance(layer, dict) else None
        digest = layer.get("digest") if isinstance(layer, dict) else None
        if isinstance(kind, str) and isinstance(digest, str):
            found.setdefault(kind, digest)
    return found


def _blob(folder: Path, digest: str) -> Path | None:
    """The file of a digest such as `sha256:ab12…`, or None for anything else."""
    kind, _, number = digest.partition(":")
    if kind != "sha256" or len(number) != 64 or not number.isalnum():
        return None
    path = folder / "blobs" / f"sha256-{number}"
    return path if sees_file(path) else None


def _name(parts: tuple[str, ...]) -> str:
    host, owner, model, tag = parts
    if (host, owner) == _DEFAULT_REGISTRY:
        return f"{model}:{tag}"
    return (
        f"{owner}/{model}:{tag}"
        if host == _DEFAULT_REGISTRY[0]
        else "/".join(parts[:3]) + f":{tag}"
    )
