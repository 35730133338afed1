"""The `chatapp` command: which part runs, and how what went wrong is said.

Promises: `chatapp --help` and `--version` import nothing heavy (each command's module is imported
when that command runs, and imports what it needs inside its functions); a `ChatAppError` from
anywhere ends here as one sentence and a hint on stderr, with its exit code. Exit codes: 0 done,
1 failed, 2 wrong use, 130 interrupted, 141 when the reader of a pipe went away.

`CHATAPP_BACKEND=echo` puts the scripted echo engine in place of llama.cpp, for tests and demos.
"""

import contextlib
import os
import signal
import sys
from dataclasses import dataclass

import click

from chatapp import __version__
from chatapp.cli.engine_flags import engine_options
from chatapp.cli.group import Entry, LazyGroup
from chatapp.cli.streams import prepare_streams, silence_stdout
from chatapp.errors import ChatAppError

READER_LEFT = 141
"""128 + SIGPIPE: what a shell sees of any program whose reader has left."""

_COMMANDS = {
    "ask": Entry("chatapp.cli.ask", "ask", "Answer one prompt on stdout; works in pipes."),
    "embed": Entry("chatapp.cli.embed", "embed", "Turn texts into vectors; say which are alike."),
    "models": Entry("chatapp.cli.models", "models", "Find, fetch and describe model files."),
    "presets": Entry("chatapp.cli.presets", "presets", "List personas and prompt templates."),
    "history": Entry("chatapp.cli.history", "history", "List, search, export past conversations."),
    "help": Entry("chatapp.cli.help", "help_", "Say what chatapp knows about a question."),
    "doctor": Entry("chatapp.cli.doctor", "doctor", "Check the installation and say what to mend."),
    "convert": Entry("chatapp.cli.convert", "convert", "Make a GGUF of a PyTorch checkpoint."),
    "quantize": Entry("chatapp.cli.convert", "quantize", "Make a smaller GGUF of a GGUF."),
    "inspect": Entry("chatapp.cli.convert", "inspect", "Show what a checkpoint or GGUF is."),
    "diff": Entry("chatapp.cli.convert", "diff", "Compare two models, tensor by tensor."),
    "eval": Entry(
        "chatapp.cli.eval", "eval_", "Measure models: perplexity, BLEU, ROUGE; compare them."
    ),
    "bench": Entry("chatapp.cli.bench", "bench", "Measure how fast a model reads and writes."),
    "train": Entry("chatapp.cli.train", "train", "Train a small GPT of your own."),
}

_EPILOG = """\b
Examples:
  chatapp                                  chat with the built-in model
  chatapp --model ~/models/qwen.gguf -c    go on with the last conversation
  git diff | chatapp ask "write a commit message"

\b
Shell completion: add to ~/.bashrc (or put zsh_source in ~/.zshrc)
  eval "$(_CHATAPP_COMPLETE=bash_source chatapp)"

CHATAPP_HOME moves settings, models and history to another folder.
"""


@click.group(
    cls=LazyGroup,
    entries=_COMMANDS,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-m", "--model", metavar="MODEL", help="A GGUF file or its name, or a checkpoint.")
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the last conversation.")
@click.option("--conversation", metavar="ID", type=int, help="Open this conversation.")
@click.option("--temporary", is_flag=True, help="Keep the conversation in memory only.")
@click.option("--plain", is_flag=True, help="Line by line, for screen readers: nothing is drawn.")
@click.option("--offline", is_flag=True, help="Refuse to use the network, whatever the command.")
@engine_options
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="chatapp", message="%(prog)s %(version)s")
@click.pass_context
def root(
    ctx: click.Context,
    /,
    debug: bool,
    **options: object,
) -> None:
    """Chat in the terminal with language models on your own machine.

    Without a command the chat opens.
    """
    ctx.obj.debug = ctx.obj.debug or debug
    if options["offline"]:  # for every command, and for the engine's process
        os.environ["CHATAPP_OFFLINE"] = "1"
    if ctx.invoked_subcommand is None:
        from chatapp.cli.tui import open_chat

        open_chat(**options)  # type: ignore[arg-type] # click has checked them
        return
    given = [
        name for name, value in options.items() if value not in (None, False) and name != "offline"
    ]
    if given:
        flag = "--continue" if given[0] == "go_on" else f"--{given[0].replace('_', '-')}"
        raise click.UsageError(
            f"{flag} belongs to the chat; give options of `{ctx.invoked_subcommand}` after its "
            f"name: chatapp {ctx.invoked_subcommand} ...",
            ctx,
        )


@dataclass(slots=True)
class Session:
    """What one run of the command line was told about itself."""

    debug: bool


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. `arguments` are the process's own unless given."""
    prepare_streams()
    _leave_in_order()
    stdout = sys.stdout
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()  # whoever read our output has left: nothing is said
        code = READER_LEFT
    except OSError as error:
        silence_stdout()
        _complain_of(error)
        code = 1
    except SystemExit:
        if sys.stdout is stdout:
            raise
        code = READER_LEFT  # click has found it out and put a silent stream in the place of ours
    sys.exit(code)


def _leave_in_order() -> None:
    """SIGTERM and a closed terminal end us as Ctrl+C does: no half-written file stays behind.

    A signal that whoever started us wants ignored (`nohup`) stays so.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows knows no hang-up
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)


def _leave(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # the second one does not wait
    raise SystemExit(128 + number)


def _run(arguments: list[str] | None) -> int:
    session = Session(debug=os.environ.get("CHATAPP_DEBUG") == "1")
    try:
        code = root.main(arguments, prog_name="chatapp", standalone_mode=False, obj=session)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except ChatAppError as error:
        if session.debug:
            raise
        _complain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder without permission: no bug of ours
        if session.debug:
            raise
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        silence_stdout()  # if it is stdout that failed, the next flush would complain again
        _complain_of(error)
        return 1
    return code if isinstance(code, int) else 0


def _complain_of(error: OSError) -> None:
    where = f"{error.filename}: " if error.filename else ""
    _complain(f"{where}{error.strerror or str(error) or type(error).__name__}.", "")


def _complain(message: str, hint: str) -> None:
    from chatapp.text import strip_controls

    click.echo(f"chatapp: {strip_controls(message)}", err=True)
    for line in strip_controls(hint).splitlines():
        click.echo(f"  {line}", err=True)
