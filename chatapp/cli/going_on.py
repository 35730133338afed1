"""What the conversation that `chatapp ask --continue` goes on with keeps for itself."""

import click

from chatapp.chat_settings import ChatSettings, read_chat_settings
from chatapp.cli.setting import open_history
from chatapp.paths import Paths


def read_kept(paths: Paths) -> ChatSettings:
    """The settings of the conversation that was used last; none where there is no conversation,
    which is said when it is asked. What cannot be read of them is said on stderr."""
    with open_history(paths) as store:
        last = store.last_conversation()
    settings, wrong = read_chat_settings(last.settings) if last else (ChatSettings(), [])
    for sentence in wrong:
        click.echo(f"chatapp: {sentence}", err=True)
    return settings
