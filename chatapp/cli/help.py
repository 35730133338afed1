"""`chatapp help`: what chatapp knows of itself, found for a question, without any model."""

import click

from chatapp.errors import UsageError

_EPILOG = """\b
Examples:
  chatapp help how do I change the colours
  chatapp help 怎么退出

A model phrases an answer from the same with: chatapp ask --guide "QUESTION"
"""


@click.command("help", epilog=_EPILOG)
@click.argument("question", nargs=-1)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: ids, text, score and doubt of each."
)
@click.pass_context
def help_(ctx: click.Context, question: tuple[str, ...], *, as_json: bool) -> None:
    """Print what chatapp knows about QUESTION; without one, the commands.

    Nothing is asked of a model or the network. It ends with 1 where nothing is known.
    """
    text = " ".join(question).strip()
    if not text:
        if as_json:
            raise UsageError("--json needs a question.", "As in: chatapp help --json models folder")
        assert ctx.parent is not None
        click.echo(ctx.parent.get_help())
        return
    from chatapp.cli.output import dump_json
    from chatapp.cli.program import make_guide
    from chatapp.config import load_config
    from chatapp.guide.retrieval.finding import language_of
    from chatapp.paths import find_paths

    config = load_config(paths := find_paths())
    found = make_guide(config, paths).find(text)
    language = language_of(text)
    if as_json:
        rows = [
            {
                "ids": one.fact.ids,
                "text": one.fact.text[language],
                "score": round(one.score, 2),
                "doubtful": one.is_doubtful,
            }
            for one in found
        ]
        click.echo(dump_json(rows))
    if found and found[0].is_doubtful and not as_json:
        click.echo("chatapp: perhaps something else is meant; if it is chatapp:", err=True)
    for one in [] if as_json else found:
        click.echo(one.fact.text[language])
    if not found:
        click.echo("chatapp: nothing is known about that; chatapp --help lists commands.", err=True)
        ctx.exit(1)
