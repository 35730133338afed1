"""What a conversion takes for granted about how a model computes.

Neither names nor shapes tell it: how attention is scaled, on which side the norms stand. Each such
value is data, with the flag that says otherwise and what speaks for it, so that a report can name
them beside a proof that rests on them.
"""

from __future__ import annotations

from dataclasses import dataclass

SAID, MEASURED, ASSUMED = "said", "measured", "assumed"


@dataclass(frozen=True)
class Assumption:
    """One thing of a model that was decided without being told."""

    name: str
    """The setting's key, such as "scale"."""
    value: str
    """What it was taken for, such as "head"."""
    meaning: str
    """In words: "attention is scaled by a head's width"."""
    evidence: str
    """SAID by checkpoint or user, MEASURED on text, or ASSUMED."""
    detail: str = ""
    """The figures, or where it was said."""
    others: tuple[str, ...] = ()
    """The other values that the tensors allow."""
    told_by: str = ""
    """What says otherwise on the command line where that is not --set."""

    @property
    def flag(self) -> str:
        """What says otherwise on the command line."""
        return self.told_by or f"--set {self.name}={'|'.join(self.others) or 'VALUE'}"

    def as_dict(self) -> dict[str, str]:
        """As plain values, for the report."""
        return {
            "name": self.name,
            "value": self.value,
            "meaning": self.meaning,
            "evidence": self.evidence,
            "detail": self.detail,
            "flag": self.flag,
        }
