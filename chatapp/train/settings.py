"""What a training run is told: model, data, pretraining and fine-tuning, from a TOML recipe.

Promises that a recipe with an unknown key or a value out of bounds is refused before anything
starts, with the nearest known name. Paths in a recipe are relative to the recipe's folder.
"""

import difflib
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from chatapp.errors import ConfigError, UsageError
from chatapp.paths import expand_home
from chatapp.train.model import ModelArgs
from chatapp.train.reading import count_bytes
from chatapp.train.shapes import Args, class_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to learn from."""

    path: Path
    """Text (documents separated by a line holding a form feed), `.jsonl`, either with `.gz`, or a
    folder of such files."""
    repeat: float = 1.0
    """How often it is read in an epoch; 0.5 takes every second document."""


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """Next-token prediction on packed text."""

    steps: int = 2000
    """Optimizer steps."""
    batch_tokens: int = 4096
    """Tokens a step."""
    window: int = 256
    """Tokens a row; shorter is faster, and offsets still train every position."""
    long_from: float = 0.9
    """From this share of the steps on, rows are as long as the model's context."""
    learning_rate: float = 1e-3
    """Peak, after the warm-up."""
    floor: float = 0.05
    """Final learning rate as a share of the peak."""
    warmup: int = 100
    """Steps of linear warm-up."""
    optimizer: str = "adamw"
    """`adamw`, or `muon` for the matrices of the layers beside it."""
    beta2: float = 0.95
    """Of AdamW: how slowly it forgets how large gradients were."""
    compile: bool = False
    """Whether PyTorch compiles the model, which takes a minute; it pays on a GPU in long runs."""
    weight_decay: float = 0.1
    """On matrices only."""
    grad_clip: float = 1.0
    """Largest gradient norm; 0 is off."""
    seed: int = 1337
    eval_every: int = 250
    """Steps between measurements on held-out text, each with a checkpoint."""
    eval_rows: int = 200
    """Held-out rows a measurement reads at most."""


@dataclass(frozen=True, slots=True)
class FinetuneSettings(PretrainSettings):
    """Supervised turns: loss on what the assistant says, and on its end-of-turn token."""

    steps: int = 1000
    learning_rate: float = 3e-4
    warmup: int = 50
    joined: float = 0.4
    """Share of rows that hold several conversations one after another, so that late positions
    and changes of topic are learned too."""
    max_turns: int = 0
    """Take at most so many turns of a conversation; 0 is all."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of a run."""

    model: Args = field(default_factory=ModelArgs)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    text: tuple[Source, ...] = ()
    """What is pretrained on."""
    chat: tuple[Source, ...] = ()
    """What is fine-tuned on; empty leaves the fine-tuning out."""
    heldout: Path | None = None
    """Text for the validation loss; without it `share` of the text is held out."""
    share: float = 0.02
    """Of the text, held out: whole documents, or the end of a long one."""
    characters: bool = False
    """Tokens are characters, as in nanoGPT's first example; such a model has no turns."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""
    temperature: float = -1.0
    """What the model is best sampled with, written to `generation_config.json`; -1 says nothing."""
    guide: bool = False
    """It learns to answer from facts about chatapp, which are then put before every question; in
    the same file."""

    def __post_init__(self) -> None:
        if not self.text:
            raise ConfigError("The recipe names no text to train on.", "Add [[text]] path = …")
        if self.characters and self.chat:
            raise ConfigError("A model of characters has no turns.", "Leave [[chat]] out.")
        for stage in (self.pretrain, self.finetune):
            _check_stage(stage, self.model)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint's `config` keeps them."""
        return {
            "model": asdict(self.model),
            "pretrain": asdict(self.pretrain),
            "finetune": asdict(self.finetune),
            "text": [
                {"path": str(source.path.name), "repeat": source.repeat} for source in self.text
            ],
            "chat": [
                {"path": str(source.path.name), "repeat": source.repeat} for source in self.chat
            ],
        }


BOUNDS: dict[str, tuple[float, float]] = {
    "steps": (1, 10_000_000),
    "batch_tokens": (2, 16_777_216),
    "window": (2, 1_048_576),
    "long_from": (0.0, 1.0),
    "learning_rate": (1e-9, 1.0),
    "floor": (0.0, 1.0),
    "warmup": (0, 1_000_000),
    "beta2": (0.5, 0.99999),
    "weight_decay": (0.0, 10.0),
    "grad_clip": (0.0, 1e6),
    "seed": (0, 2**31 - 1),
    "eval_every": (1, 10_000_000),
    "eval_rows": (1, 1_000_000),
    "joined": (0.0, 1.0),
    "max_turns": (0, 1_000_000),
    "threads": (0, 4096),
    "temperature": (-1.0, 100.0),
    "share": (0.0, 0.5),
    "repeat": (0.0, 10_000.0),
    "n_layer": (1, 1024),
    "n_head": (1, 1024),
    "n_embd": (1, 65_536),
    "block_size": (1, 1_048_576),
    "n_kv_head": (0, 1024),
    "n_ff": (0, 1_048_576),
    "rope_theta": (1.0, 1e9),
    "vocab_size": (1, 1_048_576),
}
"""Of every number in a recipe by its key, but for `dropout`, which the model checks."""

OPTIMIZERS = ("adamw", "muon")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes"}


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; raises `ConfigError` naming file and key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}.") from error
    return build_recipe(table, path)


def build_recipe(table: dict[str, Any], path: Path) -> Recipe:
    """The recipe that `table` holds, which was read from `path`; raises `ConfigError`."""
    _check_names(table, {entry.name for entry in fields(Recipe)}, str(path))
    heldout = _take(table, "heldout", "", str(path))
    return Recipe(
        model=_build_model(table.get("model", {}), f"{path} [model]"),
        pretrain=_build(PretrainSettings, table.get("pretrain", {}), f"{path} [pretrain]"),
        finetune=_build(FinetuneSettings, table.get("finetune", {}), f"{path} [finetune]"),
        text=_read_sources(table.get("text", []), path, "text"),
        chat=_read_sources(table.get("chat", []), path, "chat"),
        heldout=path.parent / expand_home(heldout) if heldout else None,
        share=_take(table, "share", 0.02, str(path)),
        characters=_take(table, "characters", False, str(path)),
        threads=_take(table, "threads", 0, str(path)),
        temperature=_take(table, "temperature", -1.0, str(path)),
        guide=_take(table, "guide", False, str(path)),
    )


def make_recipe(files: tuple[Path, ...], characters: bool = False) -> Recipe:
    """Sensible settings for somebody's own text files: a small model, no fine-tuning.

    The model follows the amount of text, so that a few kilobytes do not train millions of numbers.
    Characters get nanoGPT's size for a CPU: about two minutes on two cores.
    """
    text = tuple(Source(file) for file in files)
    if characters:
        model = ModelArgs(n_layer=4, n_head=4, n_embd=128, block_size=128, vocab_size=256)
        settings = PretrainSettings(
            steps=1300, batch_tokens=1536, window=64, learning_rate=2e-3, long_from=0.8
        )
        return Recipe(model=model, pretrain=settings, text=text, characters=True, share=0.1)
    size = sum(map(count_bytes, files))
    small = size < 2_000_000
    model = ModelArgs(
        n_layer=4 if small else 6,
        n_head=4 if small else 6,
        n_embd=256 if small else 384,
        block_size=256 if small else 512,
        vocab_size=1024 if small else 4096,
        dropout=0.1 if small else 0.0,
    )
    return Recipe(model=model, text=text)


def _read_sources(entries: Any, recipe: Path, key: str) -> tuple[Source, ...]:
    place = f"{recipe} [[{key}]]"
    if not isinstance(entries, list):
        raise ConfigError(f"{recipe}: {key} must be a list.", f"Write [[{key}]] above each path.")
    sources: list[Source] = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise ConfigError(f"{place} must be a table.", f"Write [[{key}]] and path = …")
        _check_names(entry, {"path", "repeat"}, place)
        pattern = _take(entry, "path", "", place)
        if not pattern:
            raise ConfigError(f"{recipe}: every [[{key}]] needs a path.")
        repeat = _take(entry, "repeat", 1.0, place)
        sources += [Source(file, repeat) for file in _find(recipe.parent, pattern, place)]
    return tuple(sources)


def _find(folder: Path, pattern: str, place: str) -> list[Path]:
    """The files that a path or a pattern means, sorted; it may be absolute or begin with `~`."""
    wanted = expand_home(pattern)
    root = Path(wanted.anchor) if wanted.is_absolute() else folder
    try:
        if (folder / wanted).exists():  # a name may hold `[` or `*`, too
            return [folder / wanted]
        found = sorted(root.glob(str(wanted.relative_to(wanted.anchor))))
    except (OSError, ValueError, NotImplementedError) as error:
        raise ConfigError(f"{place}: {pattern!r} is no path: {error}.") from error
    if not found:
        raise ConfigError(f"{place}: no file matches {pattern}.", "Paths start at the recipe.")
    return found


def _take(table: dict[str, Any], name: str, default: T, place: str) -> T:
    """The value of a key, or `default`; `ConfigError` when its type or size is another."""
    value = table.get(name, default)
    kind = type(default)
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 1e300 else math.inf  # a longer one overflows
    if type(value) is not kind:
        raise ConfigError(f"{place}: {name} must be {_KINDS[kind]}, not {value!r}.")
    _check_bound(name, value, place)
    return value


def _build(kind: type[T], table: Any, place: str) -> T:
    if not isinstance(table, dict):
        raise ConfigError(f"{place} must be a table.")
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    _check_names(table, set(known), place)
    try:
        return kind(**{name: _take(table, name, known[name].default, place) for name in table})
    except UsageError as error:  # the model's own: heads that do not divide the width
        raise ConfigError(f"{place}: {error.message}", error.hint) from error


def _build_model(table: Any, place: str) -> Args:
    if not isinstance(table, dict):
        raise ConfigError(f"{place} must be a table.")
    try:
        kind = class_of(table)
    except UsageError as error:
        raise ConfigError(f"{place}: {error.message}", error.hint) from error
    if kind is ModelArgs:
        table = {name: value for name, value in table.items() if name != "shape"}
    return _build(kind, table, place)


def _check_names(table: dict[str, Any], known: set[str], place: str) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."
            raise ConfigError(f"{place}: unknown key {name}.", hint)


def _check_bound(name: str, value: Any, place: str) -> None:
    low, high = BOUNDS.get(name, (-math.inf, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:
        raise ConfigError(f"{place}: {name} is {value}, it must lie between {low:g} and {high:g}.")


def _check_stage(stage: PretrainSettings, model: Args) -> None:
    if stage.optimizer not in OPTIMIZERS:
        raise ConfigError(f"The optimizer {stage.optimizer!r} is unknown.", "Use adamw or muon.")
    for entry in fields(stage):
        _check_bound(entry.name, getattr(stage, entry.name), "The settings")
    if stage.batch_tokens < min(stage.window, model.block_size):
        raise ConfigError(
            f"batch_tokens ({stage.batch_tokens}) is less than one window ({stage.window})."
        )
