"""A conversion's plan, proof and end as the screen shows them.

Everything comes from a child process that has read somebody else's file: it is cleaned and cut.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textual.content import Content

from chatapp.errors import ChatAppError, ConversionError
from chatapp.gguf.left_out import sum_up
from chatapp.gguf.size import size_text
from chatapp.ui.wording import clean_line, explain, grouped

AS_SOURCE = ""
"""The type that keeps the source's precision."""

_READING = "reading"
_CAVEAT = (
    "That is what was read in the checkpoint, not yet that its author's code computes the same: "
    "--code FILE.py among the options compares with that."
)
_LONGEST = 400
_SHOWN = 4  # names of what is left out


def plan_text(plan: Mapping[str, Any], *, compares_logits: bool) -> Content:
    """What was seen, what it will be, how it is proved, sizes, notes."""
    words = [str(plan["arch"]), f"{plan['n_weights'] / 1e6:,.1f} M weights"]
    words.append(f"{grouped(plan['n_tokens'])} tokens")
    words.append("chat template" if plan["chat_template"] else "completes text only")
    lines = [Content.styled(_clean(" · ".join(words)), "bold")]
    lines += [Content.styled(_clean(line), "dim") for line in plan["evidence"]]
    lines += [Content(_clean(note)) for note in plan["notes"]]
    lines += _left_out(plan["ignored"])
    lines.append(Content(_proof_to_come(compares_logits, _clean(plan.get("compared_with", "")))))
    return Content("\n").join([*lines, Content(""), *_sizes(plan["sizes"])])


def _proof_to_come(compares_logits: bool, witness: str) -> str:
    if compares_logits:
        against = f"compared with {witness}" if witness else "compared in PyTorch"
        return f"The tokenizer is proved on texts; the logits are {against}."
    return "The tokenizer is proved on texts. PyTorch is not installed: no logits are compared."


def _left_out(ignored: list[list[str]]) -> list[Content]:
    left_out = sum_up(ignored)
    lines = [f"Left out: {line}" for line in left_out[:_SHOWN]]
    if len(left_out) > _SHOWN:
        lines.append(f"Left out: {len(left_out) - _SHOWN} more.")
    return [Content.styled(_clean(line), "dim") for line in lines]


def _sizes(sizes: Mapping[str, int]) -> list[Content]:
    cells = [f"{_clean(name):<8}{size_text(size):>10}" for name, size in sizes.items()]
    return [Content("   ".join(cells[i : i + 3])) for i in range(0, len(cells), 3)]


def types_of(plan: Mapping[str, Any], *, imatrix: bool) -> list[tuple[str, str]]:
    """(label, type) to choose from; `imatrix`: importance is measured, so every type will do."""
    sizes: dict[str, int] = plan["sizes"]
    held_back = set() if imatrix else set(plan.get("need_imatrix", ()))
    kept = f"as the source: {_clean(plan['type'])}"
    if plan["type"] in sizes:
        kept += f", {size_text(sizes[plan['type']])}"
    return [
        (kept, AS_SOURCE),
        *(
            (f"{_clean(name):<8}{size_text(size):>10}", name)
            for name, size in sizes.items()
            if name not in held_back
        ),
    ]


def default_output(folder: Path, plan: Mapping[str, Any], chosen: str) -> Path:
    """A file in `folder` that is not there yet, named for the model and its type."""
    name = re.sub(r"[^\w.+-]+", "-", clean_line(str(plan["name"])))[:100].strip("-.") or "model"
    stem = f"{name}-{chosen or plan['type']}"
    numbered = (f"{stem}-{number}.gguf" for number in range(2, 1000))
    names: Iterable[str] = (f"{stem}.gguf", *numbered)
    return next((folder / n for n in names if not (folder / n).exists()), folder / f"{stem}.gguf")


def done_text(done: Mapping[str, Any], proof: Mapping[str, Any]) -> Content:
    """The file that was written and what was proved of it."""
    written = f"Wrote {_clean(done['output'])} · {size_text(done['bytes'])} · {done['seconds']} s"
    lines = [Content.styled(written, "bold $text-success")]
    tokenizer, parity = proof.get("tokenizer", {}), proof.get("parity", {})
    if tokenizer:
        against = _clean(tokenizer.get("compared_with", "itself"))
        texts = tokenizer.get("texts", 0)
        found = tokenizer.get("differences", 0)
        differences = f"{found} differ, as accepted" if found else "no difference"
        lines.append(Content(f"Tokenizer: {texts} texts, {differences} ({against})."))
    if parity.get("status") == "measured":
        lines += _logits(parity)
    elif parity:
        lines.append(Content(f"Logits: not compared: {_clean(parity.get('reason', ''))}."))
    return Content("\n").join(lines)


def _logits(parity: Mapping[str, Any]) -> list[Content]:
    if "top1" not in parity:  # an embedding model
        return [Content(f"Embeddings: mean cosine {parity.get('cosine_mean', 0):.6f}.")]
    agreed = f"likeliest token alike {parity['top1']:.2%} of {parity['tokens']} times"
    lines = [
        f"Logits: compared with {_clean(parity.get('reference', 'PyTorch'))}:",
        f"{agreed}, mean KL {parity['kl_mean']:.2g}.",
    ]
    lines += [_clean(note) for note in parity.get("notes", [])]
    if parity.get("against") == _READING:
        lines.append(_CAVEAT)
    greedy = parity.get("greedy")
    if greedy:
        lines += [
            f"After     {_clean(greedy['prompt'])[:56]}",
            f"PyTorch   {_clean(greedy['source'])[:56]}",
            f"the file  {_clean(greedy['file'])[:56]}",
        ]
    return [Content(line) for line in lines]


def error_text(error: ChatAppError) -> Content:
    """The sentence, and what to do about it."""
    message, _, hint = explain(error).partition("\n")
    return Content.assemble((message, "$text-error"), f"\n{hint}" if hint else "")


def questions_text(error: ConversionError) -> Content:
    """What a checkpoint leaves open: why each is asked, and what its values mean."""
    lines = [Content.styled(_clean(error.message), "bold")]
    lines.append(Content("Answer above; Enter goes on. The values are what the shapes allow."))
    for question in error.questions:
        name, why = _clean(question.get("name", "")), _clean(question.get("why", ""))
        lines.append(Content(f"\n{name}: {why}"))
        for choice in question.get("choices", ()):
            words = [_clean(choice.get("meaning", ""))]
            words += [f"{_clean(k)} {v:.4g}" for k, v in choice.get("measured", {}).items()]
            said = ", ".join(word for word in words if word)
            lines.append(Content.styled(f"    {_clean(choice.get('text', ''))}  {said}", "dim"))
    besides = error.hint.partition("Besides: ")[2]
    lines += [Content(f"\nBesides: {_clean(besides)}")] if besides else []
    return Content("\n").join(lines)


def _clean(text: object) -> str:
    return clean_line(str(text))[:_LONGEST]
