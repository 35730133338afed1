"""The perplexity from the engine's sums, the texts that are refused, and what was trained on."""

import math
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.engine.scoring import Score, Scored, WindowScore
from chatapp.errors import UsageError
from chatapp.evaluate.overlap import find_overlap, warn_of
from chatapp.evaluate.perplexity import measure_perplexity, summarise
from chatapp.evaluate.texts import MAX_BYTES, read_texts
from chatapp.gguf.seen import FILE, Overlap, Seen
from convert.pipeline import convert
from tests.engine.transformers_folders import write_gpt2

LOGPROBS = [-0.5, -3.25, -1.0, -0.125]


def test_mean_error_and_bits_are_those_of_the_tokens() -> None:
    scored = Scored(
        request_id="",
        n_text=9,
        n_text_bytes=15,
        n_scored=4,
        n_bytes=10,
        logprob=sum(LOGPROBS),
        squares=sum(x * x for x in LOGPROBS),
        windows=[WindowScore(4, sum(LOGPROBS))],
        n_read=8,
        seconds=2.0,
    )
    found = summarise(scored, Score(text="ä" * 10, n_ctx=8, stride=2))
    assert found.unknown_share == 0.25
    mean = sum(LOGPROBS) / 4
    spread = math.sqrt(sum((x - mean) ** 2 for x in LOGPROBS) / 4 / 3)
    assert found.perplexity == pytest.approx(math.exp(-mean))
    assert found.stderr == pytest.approx(math.exp(-mean) * spread)
    assert found.bits_per_byte == pytest.approx(-sum(LOGPROBS) / math.log(2) / 10)
    assert (found.tokens, found.n_ctx, found.stride, found.windows) == (4, 8, 2, 1)
    assert found.tokens_per_second == 4.0


async def test_a_window_is_no_longer_than_what_the_model_was_trained_for(tiny_model: Path) -> None:
    client = EngineClient()
    try:
        model = await client.load(LoadOptions(path=str(tiny_model), n_ctx=96, n_threads=1))
        text = "the ship came in " * 40
        by_default = await measure_perplexity(client, model, text)
        shorter = await measure_perplexity(client, model, text, n_ctx=32, most_windows=3)
    finally:
        await client.stop()
    assert (by_default.n_ctx, by_default.tokens) == (96, 47 * by_default.windows)
    assert (shorter.n_ctx, shorter.tokens, shorter.windows) == (32, 45, 3)
    assert 100 < by_default.perplexity < 1e6  # random weights, 512 tokens
    assert by_default.stderr > 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"abc\0def", "is no text: it holds NUL"),
        (b"\x89PNG\r\n\x1a\n", "is not text in UTF-8: byte 0"),
        ("naïve".encode("latin-1"), "is not text in UTF-8: byte 2"),
        (b"a word" * 200 + b"\0" * 9, "is no text: it holds NUL"),
        ("word".encode("utf-16") + b"\xd8", "is not text in UTF-16: byte"),
        (b"a" * (MAX_BYTES + 1), "more than 48 MiB"),
    ],
)
def test_what_is_no_text_is_refused_in_a_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "text"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=said):
        read_texts([str(file)])


def test_texts_are_read_in_their_order_with_utf16_and_marks(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("héllo\n".encode("utf-16"))
    (tmp_path / "b").write_bytes("\ufeffwörld".encode())
    read = read_texts([str(tmp_path / "a"), str(tmp_path / "b")])
    assert read.text == "héllo\nwörld"
    (tmp_path / "c").write_text(read.text, encoding="utf-8")
    assert read_texts([str(tmp_path / "c")]).sha256 == read.sha256
    for encoding in ("utf-16-le", "utf-16-be", "utf-32"):
        (tmp_path / "d").write_text(read.text, encoding=encoding)
        assert read_texts([str(tmp_path / "d")]).text == read.text
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_texts([str(tmp_path / "none")])
    with pytest.raises(UsageError, match="cannot be read"):
        read_texts([str(tmp_path)])


def test_what_a_checkpoint_was_trained_on_is_said_of_its_model_file_too(tmp_path: Path) -> None:
    folder = write_gpt2(tmp_path / "gpt2")
    lines = [f"the quick brown fox number {n} jumps over the lazy dog" for n in range(50)]
    assert find_overlap(folder, "\n".join(lines)) is None
    seen = Seen()
    seen.add("\n".join(lines[:25]))
    (folder / FILE).write_text(seen.dump())
    file = convert(folder, folder / "model.gguf", ftype="F32", parity="off").output
    for model in (folder, file):
        overlap = find_overlap(model, "\n".join(lines))
        assert overlap is not None
        assert overlap.n_compared == 50
        assert overlap.share == pytest.approx(0.5, abs=0.01)
    (said,) = warn_of(find_overlap(file, "\n".join(lines)))
    assert "trained on about 50% of this text" in said
    assert warn_of(None) == warn_of(Overlap(0, 0.0)) == warn_of(Overlap(900, 0.001)) == []
    assert find_overlap(tmp_path / "none.gguf", "x") is None
