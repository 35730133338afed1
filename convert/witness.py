"""What a file's logits were compared with: the words of a proof that say what it is worth.

Agreement with the model's own code, or with transformers' class for it, is sameness. Agreement with
our own reading of a checkpoint shows that the file computes what we read, which may not be what its
author's code computes. Every text about a proof takes its words from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CODE, TRANSFORMERS, READING = "code", "transformers", "reading"
# Other people's code that is published: what it computes can be looked up, and we did.
_PUBLISHED = {
    "nanogpt": "nanoGPT's model.py",
    "llama2.c": "llama2.c's model.py",
    "meta": "Meta's Llama",
    "torchtune": "torchtune's Llama",
    "litgpt": "litgpt's model.py",
}
CAVEAT = (
    "That is what we read in the checkpoint, not yet that its author's code computes the same: "
    "--code FILE.py compares with that."
)


def assumed(model: object) -> tuple[str, ...]:
    """What `model` rests on, in words: all that neither checkpoint nor user said."""
    found = []
    for one in getattr(model, "assumptions", ()):
        evidence = getattr(one, "evidence", "assumed")
        if evidence != "said":
            words = str(getattr(one, "meaning", one))
            found.append(words if evidence == "assumed" else f"{words}, {evidence}")
    return tuple(found)


def flags_of(model: object) -> tuple[str, ...]:
    """What `model` rests on, each with what says otherwise on the command line."""
    found = [one for one in getattr(model, "assumptions", ()) if hasattr(one, "flag")]
    return tuple(f"{one.meaning}; {one.flag} says otherwise" for one in found)


def describe_reading(layout: str, assumptions: Iterable[str], where: str = "") -> str:
    """What our own reading of `layout` is called, with what was assumed; `where` is what ran it."""
    what = _PUBLISHED.get(layout, "the weights")
    unsaid = f"whoever trained it left {what} as it is" if layout in _PUBLISHED else "none open"
    listed = "; ".join(assumptions) or unsaid
    ran = f" in {where}" if where else ""
    return f"our reading of {what}{ran} (assumptions: {listed})"


def foresee(layout: str, assumptions: Iterable[str], *, embeddings: bool) -> str:
    """What a proof will compare with, before anything is loaded."""
    if layout == "hf" or embeddings:
        return "transformers"
    return describe_reading(layout, assumptions)


def kind_of(parity: Mapping[str, Any]) -> str:
    """`CODE`, `TRANSFORMERS` or `READING`. Reports of earlier versions only name what ran."""
    said = parity.get("against")
    if said in (CODE, TRANSFORMERS, READING):
        return str(said)
    return TRANSFORMERS if _reference(parity).startswith("transformers ") else READING


def name_of(parity: Mapping[str, Any]) -> str:
    """What the logits were compared with, to be put after "against"."""
    reference = _reference(parity)
    if kind_of(parity) == READING and "against" not in parity:
        return f"our reading of the weights ({reference})" if reference else "our reading"
    return reference or "transformers"


def _reference(parity: Mapping[str, Any]) -> str:
    return str(parity.get("reference", ""))
