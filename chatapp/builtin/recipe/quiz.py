"""Asks a trained checkpoint the held-out questions and counts what it answers rightly.

Promises a number that can be compared from run to run: likeliest token each time, no randomness.
An answer is right when it holds one of the words that `chat/heldout.jsonl` wants (`any`) and ended
by itself. May not be used to choose training questions: `compose.py` keeps these out.

Run: `python -m chatapp.builtin.recipe.quiz FOLDER`, FOLDER being what `chatapp train` wrote.
"""

import json
import sys
from pathlib import Path

from chatapp.train.chat_format import Turn
from chatapp.train.sample import answer, load_model

HELD_OUT = Path(__file__).parent / "chat" / "heldout.jsonl"


def main(folder: Path) -> None:
    """Write each wrong answer and the count to stdout."""
    model, tokenizer = load_model(folder)
    questions = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    right = 0
    for question in questions:
        turns = [Turn("user", question["question"])]
        text, stopped = answer(model, tokenizer, turns, temperature=0)
        fits = any(word.lower() in text.lower() for word in question["any"])
        right += fits and stopped
        if not (fits and stopped):
            wanted = " | ".join(question["any"])
            sys.stdout.write(f"{question['question']}\n  said: {text}\n  wanted: {wanted}\n")
    sys.stdout.write(f"{right} of {len(questions)} right\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
