"""`chatapp eval plot`: a picture of what was measured."""

from pathlib import Path

import click


@click.command()
@click.argument("numbers", metavar="ID...", type=int, nargs=-1, required=True)
@click.option(
    "--out",
    metavar="FILE",
    default="evaluations.png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture, .png, .svg or .pdf; by default evaluations.png.",
)
def plot(numbers: tuple[int, ...], out: Path) -> None:
    """Draw the scores of evaluations, each with its interval."""
    from chatapp.cli.setting import open_history
    from chatapp.evaluate.plot import draw_evaluations
    from chatapp.paths import find_paths

    with open_history(find_paths(), recover=False) as store:
        rows = [store.evaluations.get(number) for number in numbers]
    figures = draw_evaluations(rows, out)
    click.echo(f"{out}: {', '.join(figures)}")
