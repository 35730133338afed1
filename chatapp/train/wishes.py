"""What the command line asks of a run, beside its recipe or its texts."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chatapp.errors import UsageError
from chatapp.train.settings import PretrainSettings, Recipe
from chatapp.train.shapes import SHAPES, Args, resize


@dataclass(frozen=True, slots=True)
class Wishes:
    """Each None or False leaves what the recipe, or the default, says."""

    steps: int | None = None
    """Pretraining steps."""
    characters: bool = False
    tokenizer: Path | None = None
    """The folder of a tokenizer to use in place of one made from the text."""
    shape: str | None = None
    """`gpt2` or `llama`."""
    size: str | None = None
    """A name, or a number of parameters (`10M`)."""
    context: int | None = None
    """Tokens."""
    vocab_size: int | None = None
    minutes: float | None = None
    """How long training may take; size, batch, steps and learning rate follow from it."""
    batch_tokens: int | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    compile: bool | None = None
    dropout: float | None = None
    seed: int | None = None

    def change(self, recipe: Recipe) -> Recipe:
        """The recipe as it is wished; raises `UsageError` or `ConfigError`."""
        return replace(
            recipe,
            model=self._change_model(recipe.model),
            pretrain=self._change_stage(recipe.pretrain),
            characters=recipe.characters or self.characters,
        )

    def _change_model(self, args: Args) -> Args:
        if self.shape is not None and SHAPES[self.shape] is not type(args):
            kind = SHAPES[self.shape]
            shared = set(kind.__dataclass_fields__) & set(args.as_dict()) - {"shape"}
            args = kind(**{name: getattr(args, name) for name in shared})
        changes: dict[str, Any] = {
            "block_size": self.context,
            "vocab_size": self.vocab_size,
            "dropout": self.dropout,
        }
        args = replace(args, **{name: to for name, to in changes.items() if to is not None})
        return resize(args, self.size) if self.size else args

    def _change_stage(self, stage: PretrainSettings) -> PretrainSettings:
        changes: dict[str, Any] = {
            "steps": self.steps,
            "batch_tokens": self.batch_tokens,
            "learning_rate": self.learning_rate,
            "optimizer": self.optimizer,
            "compile": self.compile,
            "seed": self.seed,
        }
        if self.context is not None:
            changes["window"] = min(stage.window, self.context)
            needed = max(stage.batch_tokens, self.context)
            changes["batch_tokens"] = self.batch_tokens or needed
        if self.minutes is not None and self.steps is not None:
            raise UsageError("--minutes says how many steps there are.", "Leave out --steps.")
        return replace(stage, **{name: to for name, to in changes.items() if to is not None})
