"""`chatapp models add-remote`: servers that models run on instead of this machine."""

from typing import TYPE_CHECKING

import click

from chatapp.errors import UsageError

if TYPE_CHECKING:
    from chatapp.paths import Paths


@click.command("add-remote")
@click.argument("name")
@click.argument("url")
@click.option(
    "--model", metavar="MODEL", default="", help="Which of its models; if it has one, it."
)
@click.option("--key-env", metavar="VARIABLE", default="", help="The variable that holds the key.")
@click.option(
    "--keyring", "use_keyring", is_flag=True, help="Ask for the key, keep it in the keyring."
)
def add_remote(name: str, url: str, model: str, key_env: str, use_keyring: bool) -> None:
    """Use a model on an OpenAI-compatible server: vLLM, SGLang, llama-server, Ollama.

    \b
    chatapp models add-remote lab http://10.0.0.5:8000/v1
    chatapp --model remote:lab

    A key is read from CHATAPP_KEY_<NAME>, from the variable that --key-env names, or from the
    system's keyring. It is never written to the settings, the history or a log. A name that is
    there already is replaced.
    """
    from chatapp.paths import find_paths
    from chatapp.remotes import PREFIX, make_remote, read_remotes, save_remotes

    paths = find_paths()
    remote = make_remote(name, url, model, key_env)
    if use_keyring:
        _ask_for_key(name)
    before = read_remotes(paths)
    save_remotes(before | {name: remote}, paths)
    if name in before and before[name].url != remote.url:
        click.echo(f"It replaces {before[name].url}.", err=True)
    click.echo(f"Text to {PREFIX}{name} goes to {remote.url}.", err=True)
    if not remote.is_local and remote.url.startswith("http://"):
        click.echo("It goes there unencrypted: whoever is on the way can read it.", err=True)
    click.echo(f"Chat with it: chatapp --model {PREFIX}{name}", err=True)


def remove_remote(name: str, paths: "Paths") -> None:
    """Forget a server, and its key in the keyring."""
    from chatapp.remotes import find_remote, read_remotes, save_remotes

    remote = find_remote(name, paths)
    left = read_remotes(paths)
    del left[remote.name]
    save_remotes(left, paths)
    remote.forget_key()
    click.echo(f"{name} is forgotten.", err=True)


def _ask_for_key(name: str) -> None:
    try:
        import keyring
    except ImportError:
        raise UsageError(
            "The package keyring is not installed.",
            "pip install '.[keyring]' (in the folder of chatapp's sources), or --key-env VARIABLE.",
        ) from None
    from chatapp.remotes import SERVICE, clean_key

    key = clean_key(click.prompt("Key", hide_input=True, err=True), "your answer")
    try:
        keyring.set_password(SERVICE, name, key)
    except Exception as error:  # noqa: BLE001 -- every backend has errors of its own
        raise UsageError(f"The keyring does not take it: {error}.", "Use --key-env.") from None
