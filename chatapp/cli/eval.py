"""`chatapp eval`: which of two models is better, with a number; its commands load when they run."""

import click

from chatapp.cli.group import Entry, LazyGroup

_COMMANDS = {
    "perplexity": Entry(
        "chatapp.cli.perplexity", "perplexity", "How well a model foresees a text."
    ),
    "list": Entry("chatapp.cli.evaluations", "list_", "List what was measured."),
    "show": Entry("chatapp.cli.evaluations", "show", "Show one of them whole."),
    "delete": Entry("chatapp.cli.evaluations", "delete", "Remove some of them."),
}


@click.group(name="eval", cls=LazyGroup, entries=_COMMANDS)
def eval_() -> None:
    """Measure models. What was found is kept with the hash of the model."""
