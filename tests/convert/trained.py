"""Trains hand-written models for about a minute each on real text, converts each without a word
about how it was built, and prints what came of it:
`python -m tests.convert.trained [STEPS [FOLDER [PART OF A NAME]]]`.

Each is converted with its own text beside it, without, and with its code named. Right: the file
computes what the author's module does. Refused: by name. Asked: with figures. A file that was kept
and computes something else is WRONG. FOLDER keeps what was trained.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from convert.author.asked import Code
from convert.errors import ConvertError
from convert.libllama import ModelFile
from convert.parity.measure import Agreement
from convert.pipeline import convert
from convert.questions import OpenQuestions
from tests.convert.forms import Style, Variant, characters, save_variant, train, write_code
from tests.convert.test_handwritten import LITGPT, LLAMA, META, OTHERWISE, REFUSED, TAKEN, TUNE

_TEXT = Path("chatapp/builtin/recipe/data/tinyshakespeare.txt.gz")
_SEEN = 200_000  # characters
MORE = {
    "as most people write it": Style(),
    "Q, K and V row by row": Style(fused="each"),
    "sums go on from the norm": Style(norms="through"),
    "SiLU": Style(activation="silu"),
    "base of rope 1e6": replace(LLAMA, rope="halves", theta=1e6),
    "the order and the root of the width": Style(fused="kqv", root=True),
    "Meta's names, as Meta": replace(LLAMA, names=META),
    "Meta's names, halves": replace(LLAMA, rope="halves", names=META),
    "torchtune's names, halves": replace(LLAMA, rope="halves", kv=2, names=TUNE),
    "litgpt's names, pairs": replace(LLAMA, fused="qkv", names=LITGPT),
    "Meta's names, scale by the width": replace(LLAMA, scale="width", names=META),
    "all layers twice": Style(again="stack"),
    "each layer twice": replace(LLAMA, again="each"),
    "8/d": Style(scale="8/d"),
    "embeddings times twelve": Style(embedding=12.0),
    "logits by three": Style(logits=1 / 3),
    "one more than the norms' weights": replace(LLAMA, one_more=True),
    "norms of Q and K without weights": replace(LLAMA, rope="halves", qk_plain=True),
}


def main(steps: int, kept: Path | None, part: str) -> None:
    """Every model in three ways."""
    torch.set_num_threads(1)
    text = gzip.decompress(_TEXT.read_bytes()).decode()[:_SEEN]
    styles = MORE | OTHERWISE | {name: style for name, (style, _) in (TAKEN | REFUSED).items()}
    for name, style in styles.items():
        if part not in name:
            continue
        model = trained(style, text, steps, kept and kept / f"{name.replace('/', ' by ')}.pt")
        for way in ("own text", "our sample", "code"):
            with tempfile.TemporaryDirectory() as folder:
                beside = way == "own text"
                save_variant(Path(folder), model, text, beside=beside, config={"n_head": 4})
                code = write_code(Path(folder), model, text) if way == "code" else None
                result = outcome(Path(folder), model, text, code)
            print(f"{name:40} {way:10} {result}", flush=True)


def trained(style: Style, text: str, steps: int, kept: Path | None) -> Variant:
    """The model of a style, from the file that keeps it if it is there."""
    if kept is None or not kept.exists():
        model = train(style, text, steps)
        if kept is not None:
            torch.save(model.state_dict(), kept)
        return model
    model = Variant(style, len(characters(text)[0]))
    model.load_state_dict(torch.load(kept))
    return model.eval().requires_grad_(False)


def outcome(folder: Path, model: Variant, text: str, code: Code | None) -> str:
    """What a conversion comes to, in a line."""
    said: dict[str, object] = {}
    if model.s.names in (META, TUNE, LITGPT):
        said = {"rope_theta": 10000.0, "norm_eps": 1e-5, "max_seq_len": 64}
    try:
        result = convert(
            folder / "model.pt", folder / "out.gguf", ftype="F32", settings=said, code=code
        )
    except OpenQuestions as error:
        return f"asked: {'; '.join(map(_shown, error.questions))}"
    except ConvertError as error:
        return f"refused: {error.message[:160]}"
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


def _shown(question: object) -> str:
    choices = getattr(question, "choices", ())
    return f"{getattr(question, 'name', '')}={'|'.join(str(one.value) for one in choices)}"


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 1000,
        Path(given[1]) if len(given) > 1 else None,
        given[2] if len(given) > 2 else "",
    )
