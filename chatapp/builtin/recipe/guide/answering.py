"""What is answered from the lines that stand before a question: facts, behind their marks."""

from collections.abc import Sequence

from chatapp.guide.facts import Language
from chatapp.guide.quoting import MARKS
from chatapp.guide.wording import UNSURE


def say(lines: Sequence[str], wanted: Sequence[str], language: Language) -> str:
    """The answer: what is wanted, behind its marks; where it is not sure which fact is meant, the
    likeliest of the others too."""
    marked = [next(line for line in lines if line[2:] == one) for one in wanted]
    for n, unsure in enumerate(UNSURE[language], 2):
        if unsure in lines:
            others = [line for line in lines if line[0] in MARKS and line not in marked]
            marked += others[: max(0, n - len(marked))]
    return "\n\n".join(marked)
