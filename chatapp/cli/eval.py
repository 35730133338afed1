"""`chatapp eval`: which of two models is better, with a number; its commands load when they run."""

import click

from chatapp.cli.group import Entry, LazyGroup

_COMMANDS = {
    "perplexity": Entry(
        "chatapp.cli.perplexity", "perplexity", "How well a model foresees a text."
    ),
    "tasks": Entry("chatapp.cli.tasks", "tasks", "How near a model's answers are to references."),
    "score": Entry("chatapp.cli.score", "score", "Measure files of answers without a model."),
    "compare": Entry("chatapp.cli.compare", "compare", "Which of two models is better."),
    "list": Entry("chatapp.cli.evaluations", "list_", "List what was measured."),
    "show": Entry("chatapp.cli.evaluations", "show", "Show one of them whole."),
    "plot": Entry("chatapp.cli.plot", "plot", "Draw some of them."),
    "delete": Entry("chatapp.cli.evaluations", "delete", "Remove some of them."),
}


@click.group(name="eval", cls=LazyGroup, entries=_COMMANDS)
def eval_() -> None:
    """Measure models. What was found is kept with the hash of the model."""
