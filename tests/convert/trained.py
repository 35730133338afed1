"""Trains hand-written models for about a minute each on real text, converts each without a word
about how it was built, and prints what came of it: `python -m tests.convert.trained [STEPS]`.

Right: the file computes what the author's module does. Refused: by name. Asked: with figures. A
file that was kept and computes something else is WRONG.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

import torch

from convert.errors import ConvertError
from convert.libllama import ModelFile
from convert.parity.measure import Agreement
from convert.pipeline import convert
from convert.questions import OpenQuestions
from tests.convert.forms import Style, Variant, characters, save_variant, train
from tests.convert.test_handwritten import REFUSED, TAKEN

_TEXT = Path("chatapp/builtin/recipe/data/tinyshakespeare.txt.gz")
_SEEN = 200_000  # characters
MORE = {
    "as most people write it": Style(),
    "Q, K and V row by row": Style(fused="each"),
    "sums go on from the norm": Style(norms="through"),
    "SiLU": Style(activation="silu"),
    "base of rope 1e6": Style(
        rope="halves", rms=True, gated=True, bias=False, activation="silu", theta=1e6
    ),
    "the order and the root of the width": Style(fused="kqv", root=True),
}


def main(steps: int) -> None:
    """Every model, with its own text beside it and without."""
    torch.set_num_threads(1)
    text = gzip.decompress(_TEXT.read_bytes()).decode()[:_SEEN]
    styles = MORE | {name: style for name, (style, _) in (TAKEN | REFUSED).items()}
    for name, style in styles.items():
        model = train(style, text, steps)
        for own in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                save_variant(Path(folder), model, text, beside=own, config={"n_head": style.heads})
                result = outcome(Path(folder), model, text)
            print(f"{name:45} {'own text' if own else 'our sample':10} {result}", flush=True)


def outcome(folder: Path, model: Variant, text: str) -> str:
    """What a conversion comes to, in a line."""
    try:
        result = convert(folder / "model.pt", folder / "out.gguf", ftype="F32")
    except OpenQuestions as error:
        return f"asked: {', '.join(question.name for question in error.questions)}"
    except ConvertError as error:
        return f"refused: {error.message[:80]}"
    sums, (_, ids) = Agreement(), characters(text)
    length = model.s.context
    with ModelFile(result.output) as file, torch.inference_mode():
        for start in range(0, 10 * length, length):
            window = ids[start : start + length]
            expected = model(window[None])[0].numpy()
            found = file.logits(window.tolist())[:, : expected.shape[1]]
            sums.add(expected, found, window.tolist())
    kl = sums.report()["kl_mean"]
    return f"{'right' if kl < 1e-4 else 'WRONG'}: {result.plan['arch']}, KL {kl:.1e}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
