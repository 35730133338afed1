"""What a model is called: the name its file gives it, unless that name says nothing, and its
quantisation.

The one place that decides, so that a model has one name in the list of models, on the screen, in
the history and in exports. Converters write `general.name` from whatever folder they ran in: a
temporary folder, a snapshot's hash, `checkpoint-1000`, `model`; llama.cpp's first converter wrote
`LLaMA v2` into every file with that context length.
"""

import itertools
import os
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_ENDING = re.compile(r"\.(gguf|ggml|bin|pt|pth|safetensors|ckpt)$", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")  # of a name on a disk whose bytes are no UTF-8
_WORD = re.compile(r"[^\W_]+")
_PLACEHOLDER = re.compile(r"[{}<>$]|%[sd]|^\W*$")
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_TEMPORARY = re.compile(r"tmp[.\-_]?[a-z0-9_]{6,12}")  # as `tempfile` and `mktemp` make them
_HASH = re.compile(r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,64}")
_NUMBER = re.compile(r"\d+([tbmk]|bit)?|[vx]\d+|t\d{6}z?")
_TYPE = re.compile(r"i?q\d\w?|tq\d|b?f(p?)\d+|int[48]|mxfp4|nvfp4")
_MOMENT = re.compile(r"(checkpoint|ckpt|epoch|ep) ?\d+\b|(step|iter|iteration) ?\d{3,}\b")
"""A moment of a training, as in `checkpoint 1000` and `ep2`."""
_EMPTY = frozenset(
    _WORD.findall(
        "an and artifact artifacts base best bin blob blobs cache chat checkpoint checkpoints "
        "ckpt content converted converter copy current data default dev dir download downloads "
        "drive dst ep epoch exp experiment export exported file files final finetune finetuned "
        "folder ft full ggml gguf global hf home huggingface instruct iter iteration job "
        "language last latest llm local lora main master merge merged mnt mock model models my "
        "mymodel name new nil no none null of old opt out output outputs pretrained private "
        "project projects pytorch quant quantised quantized release repo result results "
        "revision root run runs safetensors sample save saved sft sha snapshot snapshots src "
        "stage temp temporary test tests the tmp train trained training transformers undefined "
        "unknown unnamed untitled usr var version weights work workdir workspace xl xs"
    )
)
"""Words that tell no model from another."""
_MOST_ABOVE = 3
_ARCHITECTURES = ("llama", "llama v1", "llama v2")
_ONE_OF_ITS_KIND = "chatapp built-in"
"""Nobody has it in two quantisations."""


def name_model(
    read: Callable[[str], str], path: Path, arch: str = "", quantisation: str = ""
) -> str:
    """What the model in the file `path` is called: `SmolLM2 360M Instruct Q8_0`. `read` gives a
    text of its header by its key, empty where there is none.

    A file whose own name says nothing either, as Ollama's blobs, is called by `general.basename`.
    The quantisation stands behind a name that does not tell it.
    """
    name = _name(read, path, arch)
    told = _letters(quantisation) in _letters(name).replace("FP", "F")
    if told or name == _ONE_OF_ITS_KIND or " " in quantisation:  # `type 99` is no quantisation
        return name
    return f"{name} {quantisation}"


def name_source(path: Path, said: object = "") -> str:
    """What a checkpoint is called, the folder or file `path`: by its own name, else by the nearest
    folder above it whose name tells, else by what its configuration says that it was made of.

    `said` is that `_name_or_path`. The home folder and those above it name no model, nor do the
    machine's first folders.
    """
    whole = path.resolve()
    own = whole.name if whole.is_dir() else _stem(whole)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises where there is none
    homes = {home, *home.parents, *whole.parents[-2:]}
    above = itertools.takewhile(lambda folder: folder not in homes, whole.parents)
    names = [own, *(folder.name for folder in itertools.islice(above, _MOST_ABOVE))]
    names += re.split(r"[/\\]", said)[-1:] if isinstance(said, str) else []
    told = (name.rpartition("--")[2] for name in names)  # models--owner--name of the hub's cache
    kinds = _ARCHITECTURES  # a folder's owner called it so, not a converter
    tells = (name for name in told if name.lower() in kinds or not _is_junk(name, ""))
    return next(tells, own) or "model"


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).upper()


def _name(read: Callable[[str], str], path: Path, arch: str) -> str:
    name = _read(read, "general.name")
    if not _is_junk(name, arch):
        return name
    stem = _stem(path)
    basename = _read(read, "general.basename")
    if _is_junk(stem, "") and not _is_junk(basename, arch):
        return f"{basename} {_read(read, 'general.size_label')}".rstrip()
    return stem


def _stem(path: Path) -> str:
    return _SHARD.sub("", _ENDING.sub("", _HALF.sub("\ufffd", path.name)))


def _read(read: Callable[[str], str], key: str) -> str:
    return " ".join(read(key).split())


def _is_junk(name: str, arch: str) -> bool:
    """Nobody could tell by `name` which model this is."""
    plain = _ENDING.sub("", name).lower()
    if plain in (*_ARCHITECTURES, arch.lower()) or _PLACEHOLDER.search(plain) or _is_path(plain):
        return True
    if _UUID.search(plain) or _TEMPORARY.fullmatch(plain):
        return True
    words = _WORD.findall(plain)
    together = [word for word in words if word != "global"]
    if any(map(_MOMENT.fullmatch, [*together, *map(" ".join, pairwise(together))])):
        return True
    return all(map(_is_empty, words))


def _is_path(name: str) -> bool:
    """A place on somebody's disk; `owner/name` of a hub is none."""
    if "\\" in name or name.startswith((".", "~")) or re.match(r"[a-z]:", name):
        return True
    owner, slash, rest = name.partition("/")
    return bool(slash) and (not rest or "/" in rest or all(map(_is_empty, _WORD.findall(owner))))


def _is_empty(word: str) -> bool:
    """A word that is no name: what every folder is called, a number, a type, a hash."""
    if len(word) == 1 and word.isascii():
        return True
    if word in _EMPTY or word.rstrip("0123456789") in _EMPTY:
        return True
    return any(kind.fullmatch(word) for kind in (_NUMBER, _TYPE, _HASH, _TEMPORARY))
