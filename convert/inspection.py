"""`inspect FILE`: what a checkpoint or a GGUF is, from headers and configuration alone.

It promises to end quickly whatever the model's size, to work without PyTorch, and to show what it
can of a model that is refused. Exit codes: 0 shown, 1 the file cannot be read, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chatapp.gguf.left_out import sum_up
from chatapp.gguf.size import size_text
from convert.answers import add_flags, read_answers
from convert.cli import run
from convert.errors import UsageError
from convert.options import Options
from convert.progress import Progress
from convert.witness import CAVEAT, READING, kind_of, name_of
from convert.wording import printable

_WIDTH = 12  # columns of the labels
_FIGURES = (
    ("type", "as"),
    ("tokens", "tokens"),
    ("top1", "top-1"),
    ("kl_mean", "mean KL"),
    ("cosine_mean", "mean cosine"),
    ("perplexity_source", "perplexity of the source"),
    ("perplexity_file", "of the file"),
)
_IGNORED = 8  # names shown of the tensors that are left out


def main(argv: Sequence[str]) -> int:
    """Describe one model; the exit code."""
    arguments = _parser().parse_args(argv)

    def show(progress: Progress) -> None:
        report = inspect(_options(arguments), tensors=arguments.tensors)
        if arguments.json:
            progress("model", **report)
        else:
            sys.stdout.writelines(f"{printable(line)}\n" for line in describe(report))

    return run(arguments.json, show, ("inspect", *argv))


def inspect(options: Options, *, tensors: bool = False) -> dict[str, Any]:
    """The report on `options.source`. Raises `ConvertError`.

    Keys: path, format, bytes, n_weights, tensors (count, bytes, types), and as far as they are
    known arch, evidence, hparams, tokenizer, chat_template, sizes, notes, `refusal`; `all_tensors`
    if they were asked for.
    """
    from chatapp.gguf.header import is_gguf
    from convert import description  # numpy and gguf: 400 ms
    from convert.checkpoints.gguf_file import open_header

    path = options.source
    if not path.exists():
        raise UsageError(f"{path} does not exist.", "Give a checkpoint, its folder, or a GGUF.")
    if is_gguf(path):
        header = open_header(path)
        report = description.describe_gguf(header)
        return report | ({"all_tensors": description.list_stored(header)} if tensors else {})
    report = description.describe_checkpoint(options)
    return report | ({"all_tensors": description.list_saved(options)} if tensors else {})


def describe(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines of text."""
    yield _row("File", report["path"])
    yield _row("Format", f"{report['format']}, {size_text(report['bytes'])}")
    if report.get("name"):
        yield _row("Name", report["name"])
    if report.get("kind") == "adapter":
        yield _row(
            "Adapter", f"a LoRA for {report['arch']}, added to its model when that is loaded"
        )
    elif report.get("arch"):
        yield _row("Model", f"{report['arch']}, {report['n_weights'] / 1e6:,.1f} M weights")
    else:
        yield _row("Weights", f"{report['n_weights'] / 1e6:,.1f} M")
    yield from _rows("Evidence", report.get("evidence", []))
    if "refusal" in report:
        yield _row("Open" if "questions" in report else "Refused", report["refusal"]["message"])
        yield from (_row("", line) for line in report["refusal"]["hint"].splitlines())
    yield from _rows("Says", _facts(report.get("says", {})))
    yield from _rows("Settings", _pairs(report.get("hparams", {})))
    yield from _tensors(report["tensors"], report.get("type"))
    if report.get("kind") != "adapter":
        yield from _tokenizer(report)
    yield from _source(report)
    yield from _conversion(report)
    yield from _rows("Note", report["notes"])
    for tensor in report.get("all_tensors", []):
        shape = " x ".join(map(str, tensor["shape"])) or "scalar"
        yield f"{tensor['type']:<8}{shape:>20}{tensor['bytes']:>16,}  {tensor['name'][:200]}"


def _row(label: str, text: object) -> str:
    return f"{label:<{_WIDTH}}{text}"


def _rows(label: str, texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield _row("" if number else label, text)


def _pairs(hparams: dict[str, Any]) -> list[str]:
    """Settings side by side, as many as fit 80 columns."""
    lines = [""]
    for key, value in hparams.items():
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        pair = f"{key[:80]} {shown[:120]}"
        if lines[-1] and len(lines[-1]) + len(pair) > 64:
            lines.append("")
        lines[-1] += f", {pair}" if lines[-1] else pair
    return lines if hparams else []


def _tensors(tensors: dict[str, Any], ftype: str | None) -> Iterator[str]:
    recipe = f", as {ftype}" if ftype else ""
    yield _row("Tensors", f"{tensors['count']:,}, {size_text(tensors['bytes'])}{recipe}")
    for kind, found in tensors["types"].items():
        yield _row("", f"{kind:<8}{found['count']:>6,}  {size_text(found['bytes']):>12}")


def _tokenizer(report: dict[str, Any]) -> Iterator[str]:
    tokenizer, template = report.get("tokenizer"), report.get("chat_template")
    if tokenizer is not None:
        split = f", split as {tokenizer['pre']}" if tokenizer["pre"] else ""
        yield _row("Tokenizer", f"{tokenizer['model']}{split}, {tokenizer['n_tokens']:,} tokens")
        special = tokenizer["special_ids"].items()
        yield from _rows("", [", ".join(f"{k} {v['id']} {v['text']!r:.60}" for k, v in special)])
        added = [name for name in ("bos", "eos") if tokenizer[f"add_{name}"]]
        yield from _rows("", [f"puts {' and '.join(added)} around text"] if added else [])
    elif "refusal" not in report:
        yield _row("Tokenizer", "none")
    if template:
        sample = template.get("error") or template["sample"].encode("unicode_escape").decode()
        yield _row("Template", f"{template['characters']:,} characters. Three messages become:")
        yield from _rows("", [sample[i : i + 64] for i in range(0, len(sample), 64)][:12])
    elif template is not None:
        yield _row("Template", "none: a base model, which completes text")


def _source(report: dict[str, Any]) -> Iterator[str]:
    """Training, licence, and what we stored when we wrote the file."""
    training = report.get("training")
    yield from _rows("Trained", [", ".join(_facts(training))] if training else [])
    yield from _rows("Licence", [report["license"]] if report.get("license") else [])
    yield from _rows("Converted", _facts(report.get("provenance", {})))
    if report.get("proof"):
        yield from _proof(report["proof"])


def _proof(proof: dict[str, Any]) -> Iterator[str]:
    """Tolerant: an earlier version of ours may have written it, or somebody else."""
    texts, differences = (proof["tokenizer"].get(key, "?") for key in ("texts", "differences"))
    yield _row("Proof", f"tokenizer: {texts} texts, {differences} differences")
    parity = proof["parity"]
    if parity.get("status") != "measured":
        yield _row("", f"logits: not compared: {str(parity.get('reason', '?'))[:200]}")
        return
    yield _row("", f"logits: against {name_of(parity)[:300]}")
    for name, found in (("", parity), ("at the source's precision, ", parity.get("at_source"))):
        if isinstance(found, dict):
            words = [f"{label} {_figure(found[key])}" for key, label in _FIGURES if key in found]
            yield _row("", f"logits: {name}{', '.join(words)}"[:200])
    notes = parity.get("notes")
    yield from _rows("", [str(note)[:200] for note in notes] if isinstance(notes, list) else [])
    if kind_of(parity) == READING:
        yield _row("", CAVEAT)


def _figure(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)[:80]


def _facts(values: dict[str, Any]) -> list[str]:
    return [f"{key.replace('_', ' ').replace('.', ' ')} {_figure(v)}" for key, v in values.items()]


def _conversion(report: dict[str, Any]) -> Iterator[str]:
    """What converting a checkpoint would leave out, and how large it would come out."""
    ignored = sum_up(report.get("ignored", []))
    yield from _rows("Left out", ignored[:_IGNORED])
    more = len(ignored) - _IGNORED
    yield from _rows("", [f"and {more} more"] if more > 0 else [])
    if "sizes" in report:
        cells = [f"{name:<8}{size_text(size):>11}" for name, size in report["sizes"].items()]
        rows = ["    ".join(cells[i : i + 3]) for i in range(0, len(cells), 3)]
        yield from _rows("Sizes", rows)


def _options(arguments: argparse.Namespace) -> Options:
    return Options(source=arguments.file, dry_run=True, **read_answers(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatapp inspect",
        description="Show what a checkpoint or a GGUF model file is. Reads no weights.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="a checkpoint, its folder, or a GGUF")
    add("--tensors", action="store_true", help="list every tensor")
    add("--json", action="store_true", help="print one JSON object")
    add_flags(parser.add_argument_group("what the checkpoint does not say"))
    return parser
