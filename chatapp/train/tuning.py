"""Fine-tuning from one call: a model and chats in, a folder out that opens in the chat.

Promises that OUT holds the result at the end (a Hugging Face folder, a checkpoint of ours, or an
adapter in peft's names), that `best/` holds the one with the least held-out loss, and that a run
which was interrupted goes on exactly where it stopped. Nothing is written before every line of
every file has been looked at.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from chatapp.errors import ChatAppError
from chatapp.gguf.replacing import write_whole
from chatapp.gguf.seen import FILE
from chatapp.train.bases import Base, FolderBase, Writer, open_base
from chatapp.train.checkpoint import CHECKPOINT_FILE, DAMAGED, Checkpoint, load_checkpoint
from chatapp.train.claiming import claim
from chatapp.train.examples import Examples, encode_chats, read_sources
from chatapp.train.finetune import chat_stage
from chatapp.train.keeping import BEST_FOLDER
from chatapp.train.language_model import LanguageModel
from chatapp.train.loop import Stage, run_stage
from chatapp.train.noting import note_chats
from chatapp.train.parallel import join
from chatapp.train.plot import draw_losses
from chatapp.train.pretrained import Pretrained
from chatapp.train.progress import Reporter, Silent, StderrReporter
from chatapp.train.room import BEST, Room, room_for_tuning
from chatapp.train.stopping import command_to_go_on, say_when_stopped
from chatapp.train.tuning_plan import describe_tuning, measure_tuning, plan_tuning
from chatapp.train.tuning_settings import (
    STATE_FOLDER,
    Tuning,
    find_tuning,
    read_tuning,
    write_tuning,
)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of a run."""

    folder: Path
    """Where the model, or the adapter, is: the one with the least held-out loss."""
    command: str
    """What leads to the chat."""


def tune(tuning: Tuning, out: Path, reporter: Reporter | None = None) -> Tuned:
    """Fine-tune as `tuning` says into `out`. Raises `ChatAppError`, and `KeyboardInterrupt` after
    a Ctrl+C, when everything has been saved."""
    with claim(out):
        if not join().rank:  # of several processes the first one writes
            _refuse_overwriting(out)
        return _start(tuning, out, _speaker(reporter)).go(None)


def go_on_tuning(out: Path, steps: int | None = None, reporter: Reporter | None = None) -> Tuned:
    """Go on with the run in `out`, to so many steps if that is said. Raises as `tune`."""
    tuning = read_tuning(out)
    if steps and tuning.settings is not None:
        tuning = replace(tuning, settings=replace(tuning.settings, steps=steps))
    with claim(out):
        run = _start(tuning, out, _speaker(reporter))
        earlier = None
        if (run.state / CHECKPOINT_FILE).is_file():
            earlier = load_checkpoint(run.state)
        return run.go(earlier)


def _start(tuning: Tuning, out: Path, reporter: Reporter) -> "_Run":
    with say_when_stopped(reporter.say):
        return _Run(tuning, out, reporter)


def foretell_tuning(tuning: Tuning, reporter: Reporter | None = None) -> list[str]:
    """What a run would be: model, chats, time, memory and disk, a line each. Writes nothing."""
    run = _Run(tuning, Path(), _speaker(reporter))
    assert run.tuning.settings is not None
    pace = measure_tuning(run.tuning.settings, run.base, run.examples)
    return describe_tuning(run.tuning, run.base, run.examples, pace)


class _Run:
    """A run before its first step: model, chats and plan."""

    def __init__(self, tuning: Tuning, out: Path, reporter: Reporter) -> None:
        self.out, self.reporter = out, reporter
        join()
        chats, held = read_sources(tuning, reporter)
        frozen = tuning.lora is not None
        self.base: Base = open_base(tuning.base, tuning.context, tuning.template, frozen=frozen)
        for notice in self.base.notices:
            reporter.say(notice)
        self.examples: Examples = encode_chats(chats, held, self.base, tuning, reporter)
        self._seen = note_chats(chats, self.base.path)
        # what is trained of our own is kept as a checkpoint, and has no other form
        self._writer: Writer | None = self.base if isinstance(self.base, FolderBase) else None
        if tuning.lora is not None:
            from chatapp.train.lora import Lora  # peft, which full fine-tuning does without

            torch.manual_seed(tuning.seed)  # an adapter begins at random
            self._writer = Lora(self.base, tuning.lora)
        self.tuning = plan_tuning(tuning, self.base, self.examples)
        self.state = out if self._writer is None else out / STATE_FOLDER

    def go(self, earlier: Checkpoint | None) -> Tuned:
        """Train from `earlier`, or from the base, to the end."""
        rank = join().rank
        if earlier is not None:
            self._restore(earlier)
            if self._is_at_its_end(earlier):
                self.reporter.say(f"The run in {self.out} is at its end, step {earlier.iter_num}.")
                return self._end(earlier)
        if not rank:
            self._find_room().check(self.out)
            write_tuning(self.tuning, self.out)
            if self._writer is None:
                self.base.prepare(self.out)
                write_whole(self.out / FILE, self._seen.encode(), mode=None)
        for line in describe_tuning(self.tuning, self.base, self.examples):
            self.reporter.say(line)
        try:
            last = run_stage(self._make_stage(), self.base.model, earlier, self.reporter)
        finally:
            if not rank and (picture := draw_losses(self.state)):
                self.reporter.say(f"The loss over the run: {picture}")
        if not rank and self._writer is not None:
            self._write(self._writer, last.model, self.out)
        return self._end(last)

    def _is_at_its_end(self, earlier: Checkpoint) -> bool:
        """Whether all steps were taken, and what came of them was written after the last one."""
        assert self.tuning.settings is not None
        if earlier.iter_num < self.tuning.settings.steps:
            return False
        kept = (self.state / CHECKPOINT_FILE).stat().st_mtime_ns
        written = [file.stat().st_mtime_ns for file in self.out.glob("*.safetensors")]
        return self._writer is None or max(written, default=0) >= kept

    def _find_room(self) -> Room:
        model = self.base.model
        trained = model.count_trained()
        if self.tuning.lora is None and isinstance(model, Pretrained):
            written = model.count_parameters() * model.dtype.itemsize
            return room_for_tuning(trained, written, apart=True)
        return room_for_tuning(trained, BEST * trained, apart=self._writer is not None)

    def _make_stage(self) -> Stage:
        settings, examples = self.tuning.settings, self.examples
        assert settings is not None
        block = self.base.model.args.block_size
        stage = chat_stage(settings, examples.train, examples.held, block, self.state)
        stage = replace(
            stage, home=self.out, config={"chats": examples.digest(), **self.base.facts}
        )
        writer = self._writer
        if writer is None:
            return stage
        best_folder = self.out / BEST_FOLDER
        return replace(stage, publish=lambda best: self._write(writer, best.model, best_folder))

    def _write(self, writer: Writer, state: Mapping[str, Tensor], folder: Path) -> None:
        writer.write(state, folder)
        write_whole(folder / FILE, self._seen.encode(), mode=None)

    def _restore(self, earlier: Checkpoint) -> None:
        if earlier.config.get("chats") != self.examples.digest():
            raise ChatAppError(
                f"The chats, or their template, are not those that the run in {self.out} began "
                "with.",
                "Put them back, or begin anew in another folder.",
            )
        _take_state(self.base.model, earlier)

    def _end(self, last: Checkpoint) -> Tuned:
        chosen = self.out
        if last.best_step < last.iter_num and (self.out / BEST_FOLDER).is_dir():
            chosen = self.out / BEST_FOLDER
            self.reporter.say(
                f"Held-out loss was least at step {last.best_step}: {last.best_val_loss:.3f}. "
                f"That one is in {chosen}."
            )
        words = ["chatapp", "--model", str(chosen)]
        if self.tuning.lora is not None:
            words = ["chatapp", "convert", str(self.base.path), "--lora", str(chosen), "--chat"]
        return Tuned(chosen, shlex.join(words))


def _refuse_overwriting(out: Path) -> None:
    if find_tuning(out):
        raise ChatAppError(
            f"{out} already holds a training run.", f"Go on with it: {command_to_go_on(out)}"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ChatAppError(f"{out} is not empty.", "Name a new folder.")


def _take_state(model: LanguageModel, earlier: Checkpoint) -> None:
    """Give `model` the weights of a checkpoint; raises `ChatAppError` when they are others'."""
    kept = model.kept_state()
    if {name: one.shape for name, one in kept.items()} != {
        name: one.shape for name, one in earlier.model.items()
    }:
        raise ChatAppError("The checkpoint's weights are not those of its model.", DAMAGED)
    model.load_state_dict(earlier.model, strict=False)


def _speaker(reporter: Reporter | None) -> Reporter:
    """Who is told: of several processes the first one speaks."""
    return Silent() if join().rank else reporter or StderrReporter()
