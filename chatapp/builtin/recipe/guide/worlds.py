"""Programs that questions are asked about: this one, and others with other names."""

from pathlib import Path

from chatapp.cli.program import read_program
from chatapp.config import Config
from chatapp.guide.facts import Program
from chatapp.guide.retrieval import Guide
from chatapp.guide.retrieval.learned import Weights
from chatapp.paths import Paths


def read_real() -> Program:
    """This program with its own keys and settings, in the usual folders."""
    home = Paths(
        Path("~/.local/share/chatapp"), Path("~/.config/chatapp"), Path("~/.local/state/chatapp")
    )
    return read_program(Config(), home)


class World:
    """A program, what is known of it, and how that is found."""

    def __init__(self, program: Program, weights: Weights) -> None:
        self.program = program
        self.guide = Guide(program, weights)
        self.facts = self.guide.facts
        self.by_hand = [fact for fact in self.facts if fact.by_hand]
        self.named = {one: fact for fact in self.facts for one in fact.ids}
