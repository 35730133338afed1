"""Training from one call: a recipe (or text files) in, a folder with a checkpoint out.

Promises that OUT holds `ckpt.pt` and its tokenizer at the end (`tokenizer.json` and
`tokenizer_config.json`, or `meta.pkl` for characters), and that `resume` goes on exactly where an
interrupted run stopped. With a fine-tuning stage the pretrained checkpoint is in `OUT/pretrain/`.
"""

import json
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.replacing import write_whole
from chatapp.train.characters import character_tokenizer, save_characters
from chatapp.train.chat_format import spell
from chatapp.train.checkpoint import (
    CHECKPOINT_FILE,
    Checkpoint,
    load_checkpoint,
    make_model,
    save_checkpoint,
)
from chatapp.train.corpus import read_conversations, read_documents
from chatapp.train.finetune import finetune_stage
from chatapp.train.loop import Stage, run_stage
from chatapp.train.model import ModelArgs
from chatapp.train.pretrain import pretrain_stage
from chatapp.train.progress import Reporter, StderrReporter
from chatapp.train.settings import Recipe, Source, make_recipe, read_recipe
from chatapp.train.tokenizer import TOKENIZER_FILE, load_tokenizer, save_tokenizer, train_tokenizer


def train(
    sources: tuple[Path, ...],
    out: Path,
    *,
    resume: bool = False,
    steps: int | None = None,
    characters: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Train as `sources` say, one `.toml` recipe or text files; the final `ckpt.pt`.

    `steps` replaces the number of pretraining steps; `characters` makes every character a token.
    Raises `UsageError` or `ConfigError` for what cannot be used, `ChatAppError` when OUT already
    holds a run and `resume` is false, and `KeyboardInterrupt` after a Ctrl+C, when everything has
    been saved.
    """
    reporter = reporter or StderrReporter()
    recipe = _recipe(sources, steps, characters)
    first = out / "pretrain" if recipe.chat else out
    _refuse_overwriting(out, first, resume)
    torch.set_num_threads(recipe.threads or torch.get_num_threads())
    tokenizer = _tokenizer(recipe, first, resume, reporter)
    size = tokenizer.get_vocab_size()
    recipe = replace(recipe, model=replace(recipe.model, vocab_size=size))
    if recipe.characters:
        save_characters(tokenizer, first)
    else:
        save_tokenizer(tokenizer, first, recipe.model.block_size, chat=False)
    checkpoint = None
    if not (recipe.chat and _exists(out) and resume):
        stage = pretrain_stage(recipe, tokenizer, first)
        checkpoint = _run(stage, recipe, None, resume, reporter)
    if recipe.chat:
        save_tokenizer(tokenizer, out, recipe.model.block_size, chat=True)
        if recipe.temperature >= 0:
            config = json.dumps({"temperature": recipe.temperature})
            write_whole(out / GENERATION_FILE, config.encode(), mode=None)
        stage = finetune_stage(recipe, tokenizer, out)
        _run(stage, recipe, checkpoint, resume, reporter)
    return out / CHECKPOINT_FILE


GENERATION_FILE = "generation_config.json"
"""Hugging Face's name for how a model is best sampled; the converter carries it over."""


def _run(
    stage: Stage, recipe: Recipe, base: Checkpoint | None, resume: bool, reporter: Reporter
) -> Checkpoint:
    """Run one stage from its own checkpoint, from the stage before it, or from new weights."""
    torch.manual_seed(stage.settings.seed)
    earlier = load_checkpoint(stage.folder) if resume and _exists(stage.folder) else None
    origin = earlier or base
    if origin:
        _refuse_another_shape(origin, recipe.model)
    model = origin.restore_model() if origin else make_model(recipe.model)
    reporter.say(f"{stage.name}: {model.count_parameters():,} parameters")
    checkpoint = run_stage(stage, model, earlier, reporter)
    save_checkpoint(checkpoint, stage.folder)
    return checkpoint


def _refuse_another_shape(checkpoint: Checkpoint, wanted: ModelArgs) -> None:
    """A recipe that was changed since trains another model; dropout alone may differ."""
    saved = checkpoint.read_args().as_dict()
    for name, value in wanted.as_dict().items():
        if name != "dropout" and saved[name] != value:
            raise ChatAppError(
                f"The run in this folder has {name} = {saved[name]}, this one would have {value}.",
                "Use the recipe and texts it began with, or another folder.",
            )


def _recipe(sources: tuple[Path, ...], steps: int | None, characters: bool) -> Recipe:
    if not sources:
        raise UsageError("Say what to train on: a recipe (.toml) or text files.")
    for source in sources:
        if not source.is_file():
            raise UsageError(f"There is no file {source}.")
    if sources[0].suffix == ".toml":
        if len(sources) > 1:
            raise UsageError("Give one recipe, or text files, not both.")
        recipe = read_recipe(sources[0])
        recipe = replace(recipe, characters=recipe.characters or characters)
    else:
        recipe = make_recipe(sources, characters)
    if steps is not None:
        recipe = replace(recipe, pretrain=replace(recipe.pretrain, steps=steps))
    return recipe


def _refuse_overwriting(out: Path, first: Path, resume: bool) -> None:
    if not resume and (_exists(out) or _exists(first)):
        raise ChatAppError(
            f"{out} already holds a training run.", "Use --resume to go on, or another folder."
        )


def _exists(folder: Path) -> bool:
    return (folder / CHECKPOINT_FILE).is_file()


def _tokenizer(recipe: Recipe, folder: Path, resume: bool, reporter: Reporter) -> Tokenizer:
    if recipe.characters:  # the same text gives the same tokens: nothing to load when resuming
        return character_tokenizer(
            spell(document)
            for source in recipe.text
            for document in read_documents(Source(source.path))
        )
    if resume and (folder / TOKENIZER_FILE).is_file():
        return load_tokenizer(folder)
    reporter.say("tokenizer: learning words from the text")
    texts = [
        spell(document)
        for source in recipe.text
        for document in read_documents(Source(source.path))
    ]
    for source in recipe.chat:
        for talk in read_conversations(Source(source.path)):
            texts += [turn.content for turn in talk]
    return train_tokenizer(texts, recipe.model.vocab_size)
