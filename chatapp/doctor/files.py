"""Where chatapp's files are, whether they can be written, and whether they are sound."""

import os
import shutil
from pathlib import Path

from chatapp.doctor.report import Report
from chatapp.gguf.size import size_text
from chatapp.paths import BUILTIN_MODEL, Paths, spell_path

_LITTLE_SPACE_BYTES = 500_000_000
_NO_SPACE_BYTES = 20_000_000


def check_files(report: Report, paths: Paths) -> None:
    """Locations, rights and free space."""
    report.facts["files"] = {
        "history": str(paths.history),
        "models": str(paths.models),
        "settings": str(paths.settings),
        "engine_log": str(paths.engine_log),
        "builtin_model": str(BUILTIN_MODEL),
        "CHATAPP_HOME": os.environ.get("CHATAPP_HOME"),
    }
    for folder in dict.fromkeys((paths.data, paths.config, paths.state)):
        existing = _nearest_existing(folder)
        if not os.access(existing, os.W_OK | os.X_OK):
            report.add(
                "error",
                "files",
                f"{existing} cannot be written to.",
                f"Change its rights (chmod u+rwx {existing}), or set CHATAPP_HOME.",
            )
    free = shutil.disk_usage(_nearest_existing(paths.data)).free
    report.facts["files"]["free_bytes"] = free
    if free < _LITTLE_SPACE_BYTES:
        report.add(
            "error" if free < _NO_SPACE_BYTES else "warning",
            "files",
            f"Only {size_text(free)} are free at {paths.data}.",
            "Delete something, or move chatapp's files with CHATAPP_HOME.",
        )
    if not BUILTIN_MODEL.is_file():
        report.add(
            "error",
            "model",
            f"The built-in model is missing: {BUILTIN_MODEL}.",
            "Install chatapp again from its sources: pip install --force-reinstall --no-deps .",
        )


def _nearest_existing(folder: Path) -> Path:
    """`folder`, or the folder it would be made in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def check_settings(report: Report, paths: Paths) -> None:
    """Whether the settings file can be read; `ConfigError` says what is wrong with it."""
    from chatapp.config import load_config

    load_config(paths)
    if paths.settings.exists():
        report.add("ok", "settings", f"{paths.settings} is sound.")
    else:
        report.add("ok", "settings", "There is no settings file; the defaults apply.")


def check_history(report: Report, paths: Paths) -> None:
    """Whether the database opens and is sound; `StoreError` says what is wrong with it."""
    if not paths.history.exists():
        report.add("ok", "history", "There is no history yet.")
        return
    from chatapp.store import Store

    with Store.open(paths.history) as store:
        n_messages, n_bytes = store.count_messages(), store.disk_usage()
        damage = store.find_damage()
        schema = store.schema_version
    mode = paths.history.stat().st_mode & 0o777
    report.facts["history"] = {
        "messages": n_messages,
        "bytes": n_bytes,
        "schema_version": schema,
        "mode": f"{mode:04o}",
    }
    if damage:
        report.add(
            "error",
            "history",
            f"{paths.history} is damaged: {damage[0]}.",
            "Save what can be read with `chatapp history export -f json -o saved.json`, move the "
            "file away, then `chatapp history import saved.json`.",
        )
    else:
        report.add("ok", "history", f"{n_messages:,} messages, the database is sound.")
    if mode & 0o077:
        report.add(
            "warning",
            "history",
            f"Others on this machine can read {paths.history}.",
            f"chmod 600 {paths.history}",
        )


def check_model(report: Report, paths: Paths) -> None:
    """Whether the model that is used by default is there and whole."""
    from chatapp.config import load_config
    from chatapp.errors import ConfigError
    from chatapp.library.checkpoints import is_checkpoint
    from chatapp.library.headers import read_info
    from chatapp.library.local import resolve_model
    from chatapp.remotes import PREFIX, find_remote

    try:
        config = load_config(paths)
    except ConfigError:  # reported already
        return
    if not config.engine.model and not BUILTIN_MODEL.is_file():
        return  # reported already
    path = resolve_model(None, config, paths)
    if str(path).startswith(PREFIX):
        name = find_remote(str(path), paths).title
        report.facts["model"] = {"path": str(path), "name": name}
        report.add("note", "model", f"{name} runs on a server, which is not asked here.")
        return
    if is_checkpoint(path):
        report.facts["model"] = {"path": spell_path(path), "name": path.name}
        report.add("note", "model", f"{path.name} is a checkpoint, which is not looked into here.")
        return
    info = read_info(path)
    report.facts["model"] = {
        "path": spell_path(info.path),
        "name": info.name,
        "arch": info.arch,
        "quantisation": info.quantisation,
        "n_params": info.n_params,
        "size_bytes": info.size_bytes,
    }
    kind = f"{info.arch}, {info.size_label}, {info.quantisation}"
    report.add("ok", "model", f"{info.name} ({kind}) is whole.")
