"""`chatapp` without a command: opens the chat.

Everything that can be refused (a missing model, a wrong setting, no terminal) is refused before
the screen is taken over.
"""

import sys
from typing import TYPE_CHECKING

import click

from chatapp.errors import UsageError
from chatapp.text import strip_controls

if TYPE_CHECKING:
    from chatapp.config import BackendChoice, Config, KvType
    from chatapp.informing import GuideOnce
    from chatapp.paths import Paths
    from chatapp.store import Store

BUILTIN = "builtin"


def open_chat(
    *,
    model: str | None,
    go_on: bool,
    conversation: int | None,
    temporary: bool,
    offline: bool,
    backend: "BackendChoice | None",
    gpu_layers: int | None,
    n_ctx: int | None,
    kv_type: "KvType | None",
    chat_template: str | None,
    think: str | None,
    plain: bool,
) -> None:
    """Run the chat until the user leaves; `plain`, line by line."""
    _check(go_on=go_on, conversation=conversation, temporary=temporary, plain=plain)
    from chatapp.cli import setting
    from chatapp.config import load_config
    from chatapp.paths import find_paths

    paths = find_paths()
    config = load_config(paths)
    config = setting.override(
        config, gpu_layers=gpu_layers, n_ctx=n_ctx, kv_type=kv_type, think=think, backend=backend
    )
    try:
        path, problem = setting.choose_model(model, config, paths), ""
    except setting.SettingError as error:  # one chooses another where one sees which there are
        path, problem = setting.choose_model(BUILTIN, config, paths), str(error)
    config = setting.override_template(config, path, chat_template)
    with _open_store(paths, temporary) as store:
        conversation_id = _find_conversation(store, go_on, conversation)
        from chatapp.ui.app import ChatApp
        from chatapp.ui.key_settings import check_screen_settings
        from chatapp.ui.plain.app import PlainApp, run_plain

        checked = check_screen_settings(config, paths.settings)
        app = (PlainApp if plain else ChatApp)(
            checked,
            paths,
            store,
            setting.make_client(paths, log=not temporary),
            model=path,
            problem=problem,
            conversation_id=conversation_id,
            temporary=temporary,
            offline=offline,
            get_guide=_know(checked, paths),
        )
        if isinstance(app, PlainApp):
            run_plain(app)
        else:
            app.run()
        for text in app.unkept:
            lost = "This could not be kept, and is said here so that it is not lost:"
            click.echo(f"{lost}\n\n{strip_controls(text)}\n", err=True)
        if app.return_code:
            raise SystemExit(app.return_code)


def _know(config: "Config", paths: "Paths") -> "GuideOnce":
    """What this program knows of itself, made when it is first asked for."""
    from chatapp.cli.program import make_guide
    from chatapp.informing import GuideOnce

    return GuideOnce(lambda: make_guide(config, paths))


def _check(*, go_on: bool, conversation: int | None, temporary: bool, plain: bool) -> None:
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The chat needs a terminal.",
            "In a pipe or a script use: chatapp ask (see `chatapp ask --help`).",
        )
    if temporary and (go_on or conversation is not None):
        raise UsageError("--temporary begins a new conversation; it cannot go on with an old one.")
    if go_on and conversation is not None:
        raise UsageError("Give --continue or --conversation, not both.")


def _open_store(paths: "Paths", temporary: bool) -> "Store":
    from chatapp.cli import setting
    from chatapp.store import Store

    return Store.in_memory() if temporary else setting.open_history(paths)


def _find_conversation(store: "Store", go_on: bool, conversation: int | None) -> int | None:
    if conversation is not None:
        return store.get_conversation(conversation).id
    if go_on:
        last = store.last_conversation()
        return last.id if last else None
    return None
