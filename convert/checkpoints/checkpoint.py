"""What a checkpoint is once its storage format no longer matters: named tensors and plain facts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from convert.checkpoints.tensor import Tensor
from convert.questions import Answer, Question, Questions

_TEXT = "text_config"
_OF_THE_WHOLE = frozenset({"model_type", "architectures", _TEXT})


@dataclass(frozen=True)
class Finding:
    """A setting that neither configuration nor shapes tell, and that was measured."""

    value: Any
    clear: bool
    """Whether the measurement decides it; else it is what most people do."""
    detail: str
    """The figures, in words."""


@dataclass(frozen=True)
class Checkpoint:
    """Lazy tensors with the names the training code gave them, and what was saved beside them."""

    path: Path
    """The file or folder that was opened."""
    format: str
    """Name in the registry of formats."""
    tensors: dict[str, Tensor]
    """By name, with wrapper prefixes such as `_orig_mod.` removed."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Everything saved beside the weights as plain values: `model_args`, `iter_num`, ..."""
    notes: tuple[str, ...] = ()
    """What the user should know about how it was read."""
    config: dict[str, Any] = field(default_factory=dict)
    """The model's own description of itself: `config.json`, `params.json`, nanoGPT's `model_args`.
    What the user gives with --set is laid over it."""
    files: tuple[Path, ...] = ()
    """The files the weights lie in, hashed for provenance; () means `path` alone."""
    adapter: Path | None = None
    """The folder of the LoRA that is merged into it."""

    findings: dict[str, Finding] = field(default_factory=dict)
    """What was measured, by setting."""

    questions: Questions = field(default_factory=Questions, compare=False)
    """What it leaves open; copies that are read under other names share them."""

    def told(self, settings: dict[str, Any]) -> Checkpoint:
        """The same with the user's `settings` laid over its own; of a model that also sees or
        hears, over those of its language model too."""
        config = self.config | settings
        text = config.get(_TEXT)
        if isinstance(text, dict):
            meant = {
                key: value
                for key, value in settings.items()
                if key not in _OF_THE_WHOLE and (key in text or key not in self.config)
            }
            config[_TEXT] = text | meant
        return replace(self, config=config)

    def ask(self, question: Question) -> Answer:
        """What the configuration answers; else the question is kept, and a value for the moment
        comes back. Raises `ArchitectureError` for an answer that does not fit."""
        return self.questions.ask(question, self.config)

    @property
    def folder(self) -> Path:
        """Where the tokenizer is looked for."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """`files`, or `path` where there is only that."""
        return self.files or (self.path,)

    def fact(self, *keys: str) -> Any:
        """The value found by following `keys`, or None where there is none."""
        value: Any = self.facts
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    def number(self, *keys: str) -> float | None:
        """The value at `keys` as a float, or None where it is not a number."""
        value = self.fact(*keys)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return float(value)
        except OverflowError:
            return None
