"""Which backend runs what was named: a server, a model file, a checkpoint.

A checkpoint is converted where that needs no question, and then is a model file like any other;
else it runs in PyTorch, which is said with the reason. `LoadOptions.backend` decides otherwise; it
speaks of checkpoints alone, as it may stand in the settings, where other models are named too.
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from chatapp.engine.backend import Backend
from chatapp.engine.converted import find_model_file
from chatapp.engine.protocol import LoadOptions, ModelDescription
from chatapp.errors import ChatAppError, ConversionError, EngineError, ModelError
from chatapp.library.checkpoints import is_checkpoint
from chatapp.paths import read_path, spell_path
from chatapp.remotes import PREFIX

Switch = Callable[[str], Backend]
"""Makes the backend of that name the one that answers, and gives it."""


class Report(Protocol):
    """Takes how far a load is."""

    def __call__(self, fraction: float, doing: str = "loading") -> None:
        """`fraction`: 0 to 1 of what is being done."""


def load_model(
    options: LoadOptions, local: str, switch: Switch, report: Report
) -> ModelDescription:
    """Load what `options` name; `local` is the backend that the process was started for.

    Raises what the backend raises, and `ModelError` where none runs it.
    """
    asked = "llama" if options.embed else options.backend  # here vectors are its alone
    if options.path.startswith(PREFIX):
        return switch("remote").load(options, report)
    if local == "echo":
        return switch("echo").load(options, report)
    path = read_path(options.path)
    if not is_checkpoint(path):
        model = switch("llama").load(options, report)
        if asked != "torch":
            return model
        notice = f"{path.name} is a model file: it runs in llama.cpp, and PyTorch runs checkpoints."
        return replace(model, notices=[notice, *model.notices])
    if asked == "torch":
        return switch("torch").load(options, report)
    try:
        file, is_new = find_model_file(path, lambda fraction: report(fraction, "converting"))
    except ConversionError as error:
        if asked == "llama":
            raise
        return _load_as_it_is(path, error, options, switch, report)
    try:
        model = switch("llama").load(replace(options, path=spell_path(file)), report)
    except ModelError as error:
        raise _name_source(error, file, path) from error
    said = f"{path.name} was converted to a model file, which is kept until it changes."
    return replace(model, path=options.path, notices=[*([said] if is_new else []), *model.notices])


def _name_source(error: ModelError, file: Path, source: Path) -> ModelError:
    """`error` with the name of what the user knows in place of the file that was made of it."""
    said = [error.message, error.hint]
    for theirs, ours in ((f"{file}", f"{source}"), (file.name, source.name)):
        said = [
            sentence.replace(shlex.quote(theirs), shlex.quote(ours)).replace(theirs, ours)
            for sentence in said
        ]
    return type(error)(*said)


def _load_as_it_is(
    path: Path, why: ConversionError, options: LoadOptions, switch: Switch, report: Report
) -> ModelDescription:
    """Run a checkpoint in PyTorch because it could not be converted."""
    try:
        model = switch("torch").load(options, report)
    except ChatAppError as error:
        way = error.hint if isinstance(error, EngineError) else ""  # others speak of converting it
        raise ModelError(
            f"{path.name} cannot be converted: {why.message}",
            f"{why.hint}\nNor can it run as it is: {error.message} {way}".strip(),
        ) from error
    notice = f"{path.name} runs in PyTorch, not converted: {why.message}"
    return replace(model, notices=[notice, *model.notices])
