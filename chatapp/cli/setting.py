"""What commands have in common: settings, store, engine and model as the command line asks.

Everything is imported inside: a command that needs no store pays for none.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chatapp.errors import ChatAppError, ModelError, UsageError

if TYPE_CHECKING:
    from chatapp.config import BackendChoice, Config, KvType
    from chatapp.engine.client import EngineClient
    from chatapp.engine.protocol import LoadOptions
    from chatapp.paths import Paths
    from chatapp.store import Store


def backend_name() -> str:
    """`llama`, or what `CHATAPP_BACKEND` says; `echo` is for tests and demos."""
    name = os.environ.get("CHATAPP_BACKEND") or "llama"
    if name not in ("llama", "echo"):
        raise UsageError(f"CHATAPP_BACKEND is {name}.", "It can be llama or echo.")
    return name


def open_history(paths: "Paths", *, recover: bool = True) -> "Store":
    """The store on disk, with the answers that a crash cut short marked as interrupted."""
    from chatapp.mending import mend
    from chatapp.store import Store

    store = Store.open(paths.history, mend=mend)
    if recover:
        store.recover()
    return store


def make_client(paths: "Paths", *, log: bool = True) -> "EngineClient":
    """An engine client; no process is started yet."""
    from chatapp.engine.client import EngineClient

    return EngineClient(backend=backend_name(), log_path=paths.engine_log if log else None)


def choose_model(name: str | None, config: "Config", paths: "Paths") -> Path:
    """The model file that is asked for; the error names the setting when that is what is wrong."""
    from chatapp.library.local import resolve_model

    try:
        return resolve_model(name, config, paths)
    except ChatAppError as error:
        if backend_name() == "echo" and isinstance(error, ModelError):  # it reads no file
            return Path(name or "echo")
        if name or not config.engine.model:
            raise
        raise SettingError(
            f"The model of the settings cannot be used ([engine] model in {paths.settings}): "
            f"{error.message}",
            error.hint,
        ) from error


def part_model(words: tuple[str, ...], rest: str) -> tuple[str | None, tuple[str, ...]]:
    """(the model, what follows it) of arguments whose first may be left out; None is the model of
    the settings, or the built-in one. Raises `UsageError` where a model alone was given: `rest` is
    what is missing then.
    """
    if len(words) > 1:
        return words[0], words[1:]
    if _is_model(words[0]):
        raise UsageError(f"{words[0]} is a model: {rest} is missing.")
    return None, words


def _is_model(word: str) -> bool:
    from chatapp.config import load_config
    from chatapp.gguf.header import is_gguf
    from chatapp.library.checkpoints import is_checkpoint
    from chatapp.library.local import resolve_model
    from chatapp.paths import find_paths, read_path, sees_file

    path = read_path(word)
    if sees_file(path):
        return is_gguf(path) or is_checkpoint(path)
    paths = find_paths()
    try:
        return bool(resolve_model(word, load_config(paths), paths))
    except ModelError:
        return False


class SettingError(ModelError):
    """The model that the settings name cannot be found."""


def override(
    config: "Config",
    *,
    gpu_layers: int | None,
    n_ctx: int | None,
    kv_type: "KvType | None",
    think: str | None,
    backend: "BackendChoice | None" = None,
) -> "Config":
    """Settings with the options that were given in their place."""
    engine = config.engine
    if gpu_layers is not None:
        engine = replace(engine, gpu_layers=gpu_layers)
    if n_ctx is not None:
        engine = replace(engine, n_ctx=n_ctx)
    if kv_type is not None:
        engine = replace(engine, kv_type=kv_type)
    if backend is not None:
        engine = replace(engine, backend=backend)
    chat = config.chat if think is None else replace(config.chat, think=think)
    return replace(config, engine=engine, chat=chat)


def override_template(config: "Config", model: Path, named: str | None) -> "Config":
    """Settings with the chat template that was asked for in place of the one for `model`."""
    if named is None:
        return config
    from chatapp.engine.chat.files import read_template
    from chatapp.gguf.known import find_format
    from chatapp.paths import expand_home, spell_path

    _refuse_remote(model, "--chat-template")
    here = Path.cwd()
    read_template(named, here)  # what is wrong with it is said before anything is loaded
    given = named if find_format(named) else str(here / expand_home(named))
    return replace(config, templates={spell_path(model): given, **config.templates})


def _refuse_remote(model: Path, flag: str) -> None:
    from chatapp.remotes import PREFIX

    if str(model).startswith(PREFIX):
        raise UsageError(
            f"{model} is a server, which writes its prompts itself.",
            f"Leave out {flag}, or choose a model file.",
        )


def refuse_server(model: Path, why: str) -> None:
    """Raise `UsageError` with the reason where `model` is not on this machine."""
    from chatapp.remotes import PREFIX

    if str(model).startswith(PREFIX):
        raise UsageError(f"{model} is a server: {why}.", "Choose a model on this machine.")


def load_options(
    config: "Config", paths: "Paths", model: Path, *, n_parallel: int = 1, raw: bool = False
) -> "LoadOptions":
    """How the engine is told to hold `model`; `raw`: without a chat template."""
    from chatapp.engine.chat.files import template_for
    from chatapp.engine.protocol import LoadOptions
    from chatapp.paths import spell_path

    if raw:
        _refuse_remote(model, "--raw")
    engine = config.engine
    return LoadOptions(
        path=spell_path(model),
        n_ctx=engine.n_ctx,
        gpu_layers=engine.gpu_layers,
        n_threads=engine.n_threads,
        adapt_threads=engine.adapt_threads,
        n_parallel=n_parallel,
        flash_attn=engine.flash_attn,
        kv_type=engine.kv_type,
        chat_template="" if raw else template_for(model, config.templates, paths.config),
        raw=raw,
        backend=engine.backend,
    )
