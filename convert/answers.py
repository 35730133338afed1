"""What the user says about a checkpoint: the flags that answer questions, and files of answers.

`--set KEY=VALUE` gives one value, `--set FILE` a file of them: TOML (KEY = VALUE lines), or JSON
such as the config.json of the model it was trained from. Later ones win. `arch` and `tokenizer` in
a file are those flags.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import ConvertError, UsageError

if TYPE_CHECKING:
    from convert.checkpoints.checkpoint import Checkpoint

_MAX_BYTES = 1 << 20
_FLAGS = ("arch", "tokenizer")
_INEXACT = "inexact_tokenizer"
# What tokenizers read of it.
_OF_TOKENIZERS = frozenset(
    {"do_lower_case", "bos_token", "eos_token", "eot_token", "eom_token", "pad_token"}
    | {"unk_token", "sep_token", "cls_token", "mask_token"}
)
_HEADS = ("n_head", "num_attention_heads")
# Read past `Settings`: what decides which family reads a checkpoint, and aliases of one number.
_ELSEWHERE = _OF_TOKENIZERS | frozenset(
    {_INEXACT, *_HEADS, *_FLAGS, "model_type", "architectures", "dataset", "kind"}
)


def add_flags(group: argparse._ArgumentGroup) -> None:
    """The flags that answer what a checkpoint leaves open."""
    add = group.add_argument
    add(
        "--tokenizer",
        metavar="DIR|FILE|gpt2|llama2",
        help="where the tokenizer is, if not beside the checkpoint; two ship with us",
    )
    add(
        "--inexact-tokenizer",
        action="store_true",
        help="go on although llama.cpp splits some texts otherwise; they are shown",
    )
    add("--arch", metavar="FAMILY", help="the family, where it is not recognised")
    add("--n-head", metavar="N", type=int, help="number of attention heads")
    add(
        "--set",
        metavar="KEY=VALUE|FILE",
        action="append",
        default=[],
        help="a value for the model's configuration, or a TOML or JSON file of them; repeatable",
    )


def read_answers(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `add_flags` took, as fields of `Options`. Raises `UsageError`."""
    settings: dict[str, Any] = {}
    typed: list[str] = []
    for word in arguments.set:
        named = _names_file(word)
        found = read_file(Path(word)) if named else dict([parse_setting(word)])
        settings |= found
        typed += [] if named and word.endswith(".json") else list(found)
    if arguments.n_head is not None:
        settings |= dict.fromkeys(_HEADS, arguments.n_head)
    flags = {name: settings.pop(name, None) for name in _FLAGS}
    for name, value in flags.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} is {value!r:.40}, not a text.")
        flags[name] = getattr(arguments, name) or value
    inexact = settings.pop(_INEXACT, False) is True or bool(arguments.inexact_tokenizer)
    return {
        **flags,
        "settings": settings,
        "typed": tuple(typed),
        _INEXACT: inexact,
        "text": getattr(arguments, "text", None),
    }


def _names_file(word: str) -> bool:
    """Whether `word` is no KEY=VALUE: nothing is set in it, its key would be a path, or it is a
    file that is there."""
    key, equals, _ = word.partition("=")
    if not equals or os.sep in key or "/" in key:
        return True
    try:
        return Path(word).is_file()
    except OSError:  # too long for a name
        return False


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` as (key, value): a number, true, false, or text. Raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text[:60]!r} is not key=value.", "For example: --set n_head=12.")
    return key.strip(), _plain(value.strip())


def _plain(value: str) -> Any:
    if value.lower() in {"true", "false"}:
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def read_file(path: Path) -> dict[str, Any]:
    """The answers in `path`, TOML or (by its name) JSON. Raises `UsageError`."""
    if not path.is_file():
        raise UsageError(
            f"--set {str(path)[:100]} is neither KEY=VALUE nor a file that is there.",
            "For example: --set n_head=12, or --set answers.toml with lines such as n_head = 12.",
        )
    from convert.checkpoints.objects import load_object  # numpy: 100 ms
    from convert.vocab.files import load_text

    try:
        if path.suffix == ".json":
            return load_object(path)
        return tomllib.loads(load_text(path, _MAX_BYTES))
    except (ConvertError, OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} cannot be read: {str(error)[:160]}.",
            'A file of answers has lines such as n_head = 12 and activation = "gelu".',
        ) from None


def unread(typed: tuple[str, ...], checkpoint: Checkpoint) -> tuple[str, ...]:
    """Notes on what was said and nobody asked for. Raises `UsageError` where a name is nearly one
    that somebody asked for."""
    known = checkpoint.questions.known
    notes = []
    for key in dict.fromkeys(typed):
        if key in known or key in _ELSEWHERE:
            continue
        near = get_close_matches(key, [*known], n=1, cutoff=0.7)
        if near:
            raise UsageError(
                f"Nothing of this model is called {key[:60]!r}.", f"Nearest: --set {near[0]}=VALUE."
            )
        notes.append(f"--set {key[:60]}: nothing of this model reads it.")
    return tuple(notes)
