"""A conversion from end to end: plan, read, map, quantise, write, prove; one function a step.

It promises a proved file under the final name, or an exception and nothing left. Memory follows a
block of rows, not the model (the proof in PyTorch, which is optional, needs the whole model).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.answers import unread
from convert.architectures import bare, is_hand_written, read_model, told
from convert.architectures.model import Model
from convert.author.command import call_author
from convert.checkpoints import locate, open_checkpoint, others_beside, peft_adapter
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import CheckpointError, OutputError, UsageError, VocabError
from convert.generation_config import read_guide, read_temperature
from convert.options import Options
from convert.output import PartFile, check_output, check_space
from convert.plan import (
    Importance,
    Plan,
    choose_ftype,
    choose_name,
    choose_output,
    fallback_notes,
    source_ftype,
)
from convert.progress import Progress, silent
from convert.provenance import describe_source, stamp
from convert.samples import PROSE, read_text
from convert.sizing import choose_by_size
from convert.typemap import type_map, weight_bytes
from convert.vocab import read_vocab
from convert.vocab.chat import choose_template, template_notes
from convert.vocab.fit import fit_vocab
from convert.vocab.vocabulary import Vocab

if TYPE_CHECKING:
    from convert.parity.references import Reference

# Types whose own error is far below what a wrong mapping does to the logits.
_NEARLY_EXACT = frozenset({"F32", "F16", "BF16", "Q8_0"})


@dataclass(frozen=True)
class Result:
    """What a conversion did. After a dry run `bytes` is 0 and there is no `proof`."""

    output: Path
    bytes: int
    plan: dict[str, Any]
    proof: dict[str, Any] | None
    seconds: float


def convert(
    source: Path, output: Path | None = None, *, progress: Progress = silent, **options: Any
) -> Result:
    """Convert `source` with the fields of `Options` as keywords. Raises `ConvertError`."""
    return run_conversion(Options(source, output, **options), progress)


def run_conversion(options: Options, progress: Progress = silent) -> Result:
    """Convert a checkpoint or its folder to a GGUF. Raises `ConvertError`."""
    started = time.monotonic()
    plan = make_plan(options, progress)
    progress("plan", **plan.as_dict())
    # --max-kl names the file after the type it comes to, and checks again then
    unnamed = options.output is None or options.output.is_dir()
    try:
        check_output(plan, options.force or (options.max_kl is not None and unnamed))
    except (UsageError, OutputError) as error:
        if not options.dry_run:
            raise
        progress("note", text=error.message)
    text = read_text(options.parity_text)
    matrix_text = None if options.imatrix is None else read_text(options.imatrix)
    if options.dry_run:
        return Result(plan.output, 0, plan.as_dict(), None, time.monotonic() - started)
    with call_author(options.code, plan.checkpoint, plan.model, options.settings) as author:
        return _convert(plan, options, text, matrix_text, author, progress, started)


def _convert(
    plan: Plan,
    options: Options,
    text: str,
    matrix_text: str | None,
    author: Reference | None,
    progress: Progress,
    started: float,
) -> Result:
    """The plan, carried out. `author` is the model's own code, if it was named."""
    before = stamp(plan.checkpoint)
    if matrix_text is not None:
        progress("step", name="imatrix")
        plan = replace(plan, importance=measure_importance(plan, matrix_text, progress))
    if options.max_kl is not None:
        plan = measure_types(plan, options, text, progress)
    with PartFile(plan.output) as part:
        progress("step", name="read")
        provenance = describe_source(plan.checkpoint, progress)
        progress("step", name="write")
        part.write(plan, provenance, progress)
        if stamp(plan.checkpoint) != before:
            raise CheckpointError(
                f"{plan.checkpoint.path.name} changed while it was being read.",
                "Is it still training? Copy the checkpoint and convert the copy.",
            )
        progress("step", name="prove")
        proof = prove(part, plan, options.parity, text, progress, author)
        part.fill_report(proof)
        size = part.commit()
    seconds = time.monotonic() - started
    progress("done", output=str(plan.output), bytes=size, seconds=round(seconds, 2))
    return Result(plan.output, size, plan.as_dict(), proof, seconds)


def open_source(options: Options) -> Checkpoint:
    """The checkpoint that is meant, with the user's settings laid over its own."""
    source, adapter = options.source, options.lora
    if adapter is None and peft_adapter.recognise(source):
        source, adapter = peft_adapter.find_base(source), source
    taken = locate(source)
    checkpoint = open_checkpoint(taken)
    beside = others_beside(source, taken)
    if beside:
        checkpoint = replace(checkpoint, notes=(*checkpoint.notes, beside))
    if adapter is not None:
        checkpoint = peft_adapter.merge(checkpoint, adapter)
    said, given = checkpoint.config, options.settings
    checkpoint.questions.known |= said.keys()
    notes = tuple(
        f"{key} is {given[key]}, as you say; the checkpoint says {said[key]!r:.40}."
        for key in given
        if key in said and said[key] != given[key]
    )
    checkpoint = replace(checkpoint.told(given), notes=checkpoint.notes + notes)
    return bare.complete(checkpoint, options.arch)


def understand(options: Options, progress: Progress) -> tuple[Checkpoint, Model, Vocab]:
    """The checkpoint with its model and vocabulary; a hand-written model is measured for it.

    Raises `OpenQuestions` with everything that model and tokenizer leave open.
    """
    checkpoint = open_source(options)
    template = choose_template(options.chat_template, checkpoint.adapter)

    def vocab_of(n_rows: int) -> Vocab:
        return read_vocab(
            checkpoint,
            n_rows,
            tokenizer=options.tokenizer,
            chat_template=template,
            pre=options.pre,
            inexact=options.inexact_tokenizer,
        )

    with checkpoint.questions.together(checkpoint.path.name):
        if not is_hand_written(checkpoint, options.arch):
            model = read_model(checkpoint, options.arch)
            vocab = vocab_of(model.n_vocab)
            if options.parity == "off":
                return checkpoint, model, vocab
            from convert.handwritten.published import settle_published

            checkpoint, model = settle_published(
                checkpoint, model, vocab, options.text, progress, options.code, options.settings
            )
            return checkpoint, model, vocab
        from convert.handwritten.finding import find_roles
        from convert.handwritten.settling import settle

        with told(checkpoint, "a hand-written model"):
            n_rows = find_roles(checkpoint).n_vocab
        try:
            vocab = vocab_of(n_rows)
        except VocabError:
            read_model(checkpoint, options.arch)  # what else is open
            raise
        with told(checkpoint, "a hand-written model"):
            settled = settle(
                checkpoint, vocab, options.text, progress, options.code, options.settings
            )
        model = read_model(settled, options.arch)
        if options.code is not None:  # it tells what tensors do not show
            from convert.handwritten.reading import BEYOND

            rest = tuple(one for one in model.assumptions if one.name != BEYOND)
            model = replace(model, assumptions=rest)
        return settled, model, vocab


def make_plan(options: Options, progress: Progress = silent) -> Plan:
    """Read names and shapes, map them, and decide everything else.

    No weight is read, but of a hand-written model, which says itself how it was built.
    """
    check_choice(options)
    checkpoint, model, vocab = understand(options, progress)
    unused = unread(options.typed, checkpoint)
    model, vocab, cut = fit_vocab(model, vocab)
    temperature, unusable = read_temperature(checkpoint.folder)
    with type_map(model) as mixture:
        imatrix = options.imatrix is not None
        if options.fit is not None:
            ftype, reason = choose_by_size(mixture, model, vocab, options.fit, imatrix=imatrix)
        else:
            ftype, reason = choose_ftype(options.ftype, model)
            reason = reason if options.max_kl is None else "until --max-kl has chosen a type"
        if ftype.needs_imatrix and not (imatrix or options.dry_run):
            raise UsageError(
                f"{ftype.name} needs an importance matrix.",
                "Give text that the model is meant for: --imatrix FILE.",
            )
        types = mixture.types(ftype, imatrix=imatrix or ftype.needs_imatrix)
        every = options.dry_run
        sizes = (
            mixture.sizes(imatrix=imatrix) if every else {ftype.name: weight_bytes(model, types)}
        )
    notes = [*checkpoint.notes, *model.notes, *vocab.notes, *cut, *template_notes(vocab)]
    notes += [*fallback_notes(model, ftype, types), *([unusable] if unusable else []), *unused]
    if vocab.chat_template is None and not model.embeddings:
        notes.append("No chat template: a base model, which completes text.")
    return Plan(
        checkpoint=checkpoint,
        model=model,
        vocab=vocab,
        ftype=ftype,
        type_reason=reason,
        types=types,
        output=choose_output(checkpoint.path, options.output, ftype, checkpoint.adapter),
        name=choose_name(checkpoint, options.name),
        license=options.license,
        temperature=temperature,
        guide=read_guide(checkpoint.folder),
        notes=tuple(notes),
        sizes=sizes,
        code=options.code,
    )


def check_choice(options: Options) -> None:
    """Raise `UsageError` when the type is chosen in two ways, or in one that cannot be."""
    given = {"-q": options.ftype, "--fit": options.fit, "--max-kl": options.max_kl}
    ways = [name for name, value in given.items() if value is not None]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} both choose the type.", "Give one of them.")
    if options.max_kl is not None and not 0 < options.max_kl < inf:
        raise UsageError(f"{options.max_kl} is no distance.", "For example: --max-kl 0.01.")
    if options.code is not None and options.parity == "off":
        raise UsageError("--code compares logits, and --parity off does not.", "Give one of them.")
    if options.max_kl is not None and options.dry_run:
        raise UsageError("--max-kl writes files and measures them: not in a dry run.", "Use --fit.")


def measure_types(plan: Plan, options: Options, text: str, progress: Progress) -> Plan:
    """The plan in the type that `--max-kl` comes to."""
    from convert.distance import choose_by_kl

    assert options.max_kl is not None
    progress("step", name="choose")
    plan, _ = choose_by_kl(plan, options.max_kl, text, progress)
    checkpoint = plan.checkpoint
    output = choose_output(checkpoint.path, options.output, plan.ftype, checkpoint.adapter)
    plan = replace(plan, output=output)
    check_output(plan, options.force)
    progress("note", text=f"Chosen: {plan.ftype.name}, {plan.type_reason}.")
    return plan


def measure_importance(plan: Plan, text: str, progress: Progress) -> Importance:
    """The importance matrix, from a file in the source's precision that is removed again."""
    from convert.imatrix import collect

    precise = at_source_precision(plan)
    check_space(precise)
    with PartFile(precise.output) as part:
        part.write(precise, {}, progress)
        return collect(part.path, text, progress)


def prove(
    part: PartFile,
    plan: Plan,
    parity: str,
    text: str,
    progress: Progress,
    author: Reference | None = None,
) -> dict[str, Any]:
    """The proof's report: tokenizer by text, and logits on `text` unless `parity` is "off"."""
    from convert.libllama import ModelFile  # 300 ms of llama.cpp, and for the proof only
    from convert.vocab.proof import prove as prove_vocab

    weights = bool(plan.vocab.appended)  # tokens that must not be chosen
    with ModelFile(part.path, weights=weights) as file:
        tokenizer = prove_vocab(file, plan.vocab)
    logits: dict[str, Any] = {"status": "not run", "reason": "switched off"}
    if parity != "off":
        logits = prove_logits(part.path, plan, parity, text, progress, author)
    report = {"tokenizer": tokenizer, "parity": logits}
    progress("proof", **report)
    return report


def prove_logits(
    path: Path,
    plan: Plan,
    parity: str,
    text: str,
    progress: Progress,
    author: Reference | None = None,
) -> dict[str, Any]:
    """The report on `path`; under `at_source` the one on a file in the source's precision.

    The latter separates the two questions a difference raises: was the model understood, and what
    did the type cost. It is written beside the output and removed.
    """
    from convert.libllama import ModelFile
    from convert.parity import AUTO, FULL, Proof, judge
    from convert.parity.references import Unavailable

    if plan.model.embeddings:
        return prove_embeddings(path, plan, progress)
    scope = FULL if parity == "full" else AUTO
    try:
        proof = Proof(plan.checkpoint, plan.model, scope, text, progress, author)
    except Unavailable as reason:
        return {"status": "not run", "reason": str(reason)}
    with ModelFile(path) as file:
        report = proof.compare(file) | {"type": plan.ftype.name}
    if plan.ftype.name in _NEARLY_EXACT:
        judge(report, plan.model)
    precise = at_source_precision(plan)
    if precise.ftype == plan.ftype:
        return report
    try:
        check_space(precise)
    except OutputError as error:
        return report | {"at_source": {"status": "not run", "reason": error.message}}
    with PartFile(precise.output) as part:
        part.write(precise, {}, silent)
        with ModelFile(part.path) as source_file:
            at_source = proof.compare(source_file)
    at_source = {"type": precise.ftype.name, **at_source}
    judge(at_source, plan.model)
    at_source.pop("greedy", None)
    return report | {"at_source": at_source}


def prove_embeddings(path: Path, plan: Plan, progress: Progress) -> dict[str, Any]:
    """The report on an embedding model."""
    from convert.libllama import ModelFile
    from convert.parity.references import Unavailable, require_torch

    try:
        require_torch()
        from convert.parity.embedding import run_embedding

        with ModelFile(path) as file:
            report = run_embedding(plan.checkpoint, file, PROSE.split("\n\n"), progress)
    except Unavailable as reason:
        return {"status": "not run", "reason": str(reason)}
    return report | {"type": plan.ftype.name}


def at_source_precision(plan: Plan) -> Plan:
    """The same conversion in the type that keeps the source's precision, beside the output."""
    ftype = source_ftype(plan.model)
    with type_map(plan.model) as mixture:
        types = mixture.types(ftype)
    output = plan.output.with_name(plan.output.name + ".source")
    return replace(plan, ftype=ftype, types=types, output=output, importance={})
