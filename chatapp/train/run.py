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
from chatapp.gguf.processors import count_threads
from chatapp.gguf.replacing import write_whole
from chatapp.gguf.seen import FILE
from chatapp.train.checkpoint import (
    CHECKPOINT_FILE,
    GENERATION_FILE,
    Checkpoint,
    load_checkpoint,
)
from chatapp.train.claiming import claim
from chatapp.train.finetune import finetune_stage
from chatapp.train.keeping import BEST_FOLDER
from chatapp.train.loop import Stage, run_stage
from chatapp.train.optimizers import has_muon
from chatapp.train.parallel import Ranks, join, leave
from chatapp.train.plan import check_memory, count_tokens, describe_run, plan
from chatapp.train.plot import draw_losses
from chatapp.train.pretrain import PRETRAIN_FOLDER, pretrain_stage
from chatapp.train.progress import Reporter, Silent, StderrReporter
from chatapp.train.record import find_run, read_record, write_record
from chatapp.train.room import Room, room_for_stages
from chatapp.train.sample import Sampler
from chatapp.train.settings import Recipe, make_recipe, read_recipe
from chatapp.train.shapes import Args, count, describe_shape, make_model
from chatapp.train.stopping import say_when_stopped
from chatapp.train.tokenizer import TOKENIZER_FILE, save_tokenizer
from chatapp.train.vocabulary import find_tokenizer, load_given, save_vocabulary
from chatapp.train.wishes import Wishes


def train(
    sources: tuple[Path, ...],
    out: Path,
    *,
    resume: bool = False,
    wishes: Wishes | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Train as `sources` say, one `.toml` recipe or text files; the final `ckpt.pt`.

    Raises `UsageError` or `ConfigError` for what cannot be used, `ChatAppError` when OUT already
    holds a run and `resume` is false, or another process trains in it, and `KeyboardInterrupt`
    (`SystemExit` after a SIGTERM) when training was stopped and everything has been saved.
    """
    wishes = wishes or Wishes()
    recipe = _recipe(sources, wishes)
    with claim(out):
        if not resume:
            _refuse_overwriting(out)
        if wishes.minutes and resume and _is_begun(out):
            recipe = read_record(out)  # as it was planned then
        elif wishes.minutes:
            if join().world > 1:
                raise UsageError(
                    "--minutes measures one process.",
                    "Give --size, --batch and --steps to several.",
                )
            with say_when_stopped(_speaker(reporter).say):
                recipe = plan(recipe, wishes, _speaker(reporter))
        return _train(recipe, out, resume, wishes.tokenizer, _speaker(reporter))


def go_on(out: Path, wishes: Wishes | None = None, reporter: Reporter | None = None) -> Path:
    """Go on with the run in `out`, whose recipe lies there; its `ckpt.pt`. Raises as `train`."""
    out = find_run(out)
    recipe = (wishes or Wishes()).change(read_record(out))
    with claim(out):
        return _train(recipe, out, True, None, _speaker(reporter))


def foretell(sources: tuple[Path, ...], wishes: Wishes) -> list[str]:
    """What a run would be: size, time, memory and disk, a line each. Nothing is written."""
    recipe = _recipe(sources, wishes)
    if wishes.minutes:
        recipe = plan(recipe, wishes, Silent())
    return describe_run(recipe)


def learn_tokenizer(
    sources: tuple[Path, ...], out: Path, vocab_size: int, reporter: Reporter | None = None
) -> Path:
    """Train a tokenizer on `sources` and write it into `out`; its `tokenizer.json`."""
    recipe = _recipe(sources, Wishes())
    recipe = replace(recipe, model=replace(recipe.model, vocab_size=vocab_size))
    if (out / TOKENIZER_FILE).exists():
        raise ChatAppError(f"{out} already holds a tokenizer.", "Name another folder.")
    tokenizer = find_tokenizer(recipe, out, False, reporter or StderrReporter())
    save_tokenizer(tokenizer, out, recipe.model.block_size, chat=False)
    return out / TOKENIZER_FILE


def _train(recipe: Recipe, out: Path, resume: bool, given: Path | None, reporter: Reporter) -> Path:
    """`given` is the folder of a tokenizer to use."""
    ranks = join()
    first = out / PRETRAIN_FOLDER if recipe.chat else out
    torch.set_num_threads(recipe.threads or min(torch.get_num_threads(), count_threads()))
    if recipe.pretrain.optimizer == "muon" and not has_muon():
        reporter.say("This PyTorch has no Muon (2.9 has): AdamW is used.")
    with say_when_stopped(reporter.say), ranks.first():
        reached = out if recipe.chat and resume and _exists(out) else first
        earlier = load_checkpoint(reached) if resume and _exists(reached) else None
        going_on = earlier is not None or ranks.rank > 0
        tokenizer = find_tokenizer(recipe, reached, going_on, reporter, given)
        size = tokenizer.get_vocab_size()
        recipe = replace(recipe, model=replace(recipe.model, vocab_size=size))
        if earlier is not None:
            earlier.check_tokenizer(tokenizer, reached)
            _refuse_another_shape(earlier, recipe.model)
        last = recipe.finetune if recipe.chat else recipe.pretrain
        ended = earlier if earlier and reached == out and earlier.iter_num >= last.steps else None
        if not ranks.rank and not ended:
            check_memory(recipe.model)
            _find_room(recipe).check(out)
            write_record(recipe, out)
            save_vocabulary(tokenizer, recipe, first)
        needed = first == reached and not ended
        if needed:
            stage = pretrain_stage(recipe, tokenizer, first, reporter, going_on)
    if ended:
        reporter.say(f"The run in {out} is at its end, step {ended.iter_num:,}.")
        leave()
        return out / CHECKPOINT_FILE
    checkpoint = None
    if needed:
        stage = replace(_with_samples(stage, tokenizer, ranks), home=out)
        checkpoint = _run(stage, recipe, None, earlier, reporter)
        earlier = None
    if recipe.chat:
        if not ranks.rank:
            _prepare_chat(recipe, tokenizer, first, out)
        stage = finetune_stage(recipe, tokenizer, out)
        _run(stage, recipe, checkpoint, earlier, reporter)
    leave()
    return out / CHECKPOINT_FILE


def _find_room(recipe: Recipe) -> Room:
    width = 2 if recipe.model.vocab_size <= 1 << 16 else 4
    stages = (recipe.pretrain, recipe.finetune) if recipe.chat else (recipe.pretrain,)
    optimizers = [stage.optimizer for stage in stages]
    return room_for_stages(count(recipe.model), count_tokens(recipe) * width, optimizers)


def _prepare_chat(recipe: Recipe, tokenizer: Tokenizer, first: Path, out: Path) -> None:
    save_tokenizer(tokenizer, out, recipe.model.block_size, chat=True)
    if (first / FILE).is_file():
        write_whole(out / FILE, (first / FILE).read_bytes(), mode=None)
    config: dict[str, object] = {}
    if recipe.temperature >= 0:
        config["temperature"] = recipe.temperature
    if recipe.guide:
        config["chatapp_guide"] = True
    if config:
        write_whole(out / GENERATION_FILE, json.dumps(config).encode(), mode=None)


def _run(
    stage: Stage,
    recipe: Recipe,
    base: Checkpoint | None,
    earlier: Checkpoint | None,
    reporter: Reporter,
) -> Checkpoint:
    """Run one stage from its own checkpoint, from the stage before it, or from new weights."""
    torch.manual_seed(stage.settings.seed)
    origin = earlier or base
    model = origin.restore_model(recipe.model) if origin else make_model(recipe.model)
    reporter.say(f"{stage.name}: {model.count_parameters():,} parameters")
    describe_shape(recipe.model, stage.folder)
    try:
        checkpoint = run_stage(stage, model, earlier, reporter)
    finally:
        if picture := draw_losses(stage.folder):
            reporter.say(f"The loss over the run: {picture}")
    if checkpoint.best_step < checkpoint.iter_num and (stage.folder / BEST_FOLDER).is_dir():
        reporter.say(
            f"Held-out loss was least at step {checkpoint.best_step}: "
            f"{checkpoint.best_val_loss:.3f}. That one is in {stage.folder / BEST_FOLDER}."
        )
    return checkpoint


def _with_samples(stage: Stage, tokenizer: Tokenizer, ranks: Ranks) -> Stage:
    """The stage with a model that writes now and then; shards cannot."""
    if ranks.world > 1:
        return stage
    prompt = stage.heldout[0].tokens[0, :16].tolist() if stage.heldout else []
    return replace(stage, sample=Sampler(tokenizer, prompt))


def _refuse_another_shape(checkpoint: Checkpoint, wanted: Args) -> None:
    """A recipe that was changed since trains another model; dropout alone may differ."""
    saved = checkpoint.read_args().as_dict()
    for name, value in wanted.as_dict().items():
        if name != "dropout" and saved.get(name) != value:
            was = saved.get(name, "none")
            raise ChatAppError(
                f"The run in this folder has {name} = {was}, this one would have {value}.",
                "Use the recipe and texts it began with, or another folder.",
            )


def _recipe(sources: tuple[Path, ...], wishes: Wishes) -> Recipe:
    if not sources:
        raise UsageError("Say what to train on: a recipe (.toml) or text files.")
    for source in sources:
        if not source.exists():
            raise UsageError(f"There is no file {source}.")
    if sources[0].suffix == ".toml":
        if len(sources) > 1:
            raise UsageError("Give one recipe, or text files, not both.")
        recipe = read_recipe(sources[0])
    else:
        recipe = make_recipe(sources, wishes.characters)
    if wishes.tokenizer is not None:  # its size is part of the model's
        wishes = replace(wishes, vocab_size=load_given(wishes.tokenizer).get_vocab_size())
    return wishes.change(recipe)


def _refuse_overwriting(out: Path) -> None:
    if _is_begun(out):
        raise ChatAppError(
            f"{out} already holds a training run.", "Use --resume to go on, or another folder."
        )


def _is_begun(out: Path) -> bool:
    return _exists(out) or _exists(out / PRETRAIN_FOLDER)


def _exists(folder: Path) -> bool:
    return (folder / CHECKPOINT_FILE).is_file()


def _speaker(reporter: Reporter | None) -> Reporter:
    """Who is told: of several processes the first one speaks."""
    if join().rank:
        return Silent()
    return reporter or StderrReporter()
