"""The plan and the proof as sentences and small tables, for a person.

It promises lines without control characters: names in a checkpoint may hold terminal escapes.
"""

from __future__ import annotations

from typing import Any

from chatapp.gguf.left_out import sum_up
from chatapp.gguf.size import size_text
from convert.witness import CAVEAT, READING, kind_of, name_of


def describe_plan(plan: dict[str, Any]) -> list[str]:
    """The plan as lines of text."""
    lines = [f"Source:  {plan['source']} ({plan['format']})"]
    lines += [f"         {line}" for line in plan["evidence"]]
    lines.append(
        f"Model:   {plan['arch']}, {plan['n_weights'] / 1e6:.1f} M weights, "
        f"{plan['n_tokens']} tokens"
    )
    lines.append(f"Output:  {plan['output']} as {plan['type']} ({plan['type_reason']})")
    lines += _sizes(plan["sizes"])
    left_out = sum_up(plan["ignored"])
    lines += [f"Left out: {line}" for line in left_out[:8]]
    if len(left_out) > 8:
        lines.append(f"Left out: {len(left_out) - 8} more")
    if plan["chat_sample"]:
        lines.append("Chat:    " + repr(plan["chat_sample"][:200]))
    lines += [f"Note:    {note}" for note in plan["notes"]]
    return [printable(line) for line in lines]


def _sizes(sizes: dict[str, int]) -> list[str]:
    """Every type's size, three in a row."""
    cells = [f"{name:<9}{size_text(size):>11}" for name, size in sizes.items()]
    rows = ["    ".join(cells[i : i + 3]) for i in range(0, len(cells), 3)]
    return [("Sizes:   " if i == 0 else "         ") + row for i, row in enumerate(rows)]


def describe_proof(proof: dict[str, Any]) -> list[str]:
    """The proof as lines of text."""
    tokenizer, parity = proof["tokenizer"], proof["parity"]
    found = tokenizer.get("differences", 0)
    differences = f"{found} differ, which you accepted" if found else "no difference"
    lines = [f"Tokenizer: {tokenizer['texts']} texts, {differences} ({tokenizer['compared_with']})"]
    if parity["status"] != "measured":
        return [*lines, printable(f"Parity:    not run: {parity['reason']}")]
    if parity.get("kind") == "embedding":
        mean, lowest = parity["cosine_mean"], parity["cosine_min"]
        texts = f"{parity['texts']} texts"
        return [
            *lines,
            f"Parity:    cosine mean {mean:.6f}, lowest {lowest:.6f} on {texts}",
            printable(f"           against {name_of(parity)}"),
        ]
    lines.append(printable(f"Parity:    against {name_of(parity)}, {parity['tokens']} tokens"))
    lines.append("             top-1    KL mean   KL max    |dlogit|  NMSE      perplexity")
    lines += [_parity_row(f"as {parity['type']}", parity)]
    at_source = parity.get("at_source", {})
    if at_source.get("status") == "measured":
        lines.append(_parity_row(f"as {at_source['type']}", at_source))
    elif at_source:
        lines.append(printable(f"  at the source's precision not run: {at_source['reason']}"))
    lines += [printable(f"  {note}") for note in parity.get("notes", [])]
    if kind_of(parity) == READING:
        lines.append(f"  {CAVEAT}")
    greedy = parity["greedy"]
    lines.append(_quote("Greedy:    after    ", greedy["prompt"]))
    lines.append(_quote("           PyTorch  ", greedy["source"]))
    lines.append(_quote("           the file ", greedy["file"]))
    return lines


def _parity_row(name: str, report: dict[str, Any]) -> str:
    return (
        f"  {name:<9}{report['top1']:>8.2%}   {report['kl_mean']:<8.2g}  {report['kl_max']:<8.2g}  "
        f"{report['logit_gap_max']:<8.2g}  "
        f"{report['nmse']:<8.2g}  {report['perplexity_source']:.5g} -> "
        f"{report['perplexity_file']:.5g}"
    )


def _quote(label: str, text: str) -> str:
    return printable(label + text.replace("\n", "\\n").replace("\t", "\\t")[:100])


def printable(text: str) -> str:
    """`text` without control characters: names in a checkpoint may hold terminal escapes."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
