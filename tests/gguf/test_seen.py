"""What a model was trained on: told again by a few hashes, and no stranger's are trusted."""

import base64
import json
import random
from pathlib import Path

import pytest

from chatapp.gguf.seen import FILE, MOST_HASHES, Seen, read_seen_file

WORDS = ["ship", "sea", "king", "crown", "night", "storm", "sword", "love", "letter", "market"]


def make_lines(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"{' '.join(rng.choices(WORDS, k=8))} {rng.random()}" for _ in range(n)]


def remember(*texts: str) -> Seen:
    seen = Seen()
    for text in texts:
        seen.add(text)
    said = Seen.parse(seen.dump())
    assert said is not None
    return said


def test_what_was_read_is_known_and_the_rest_is_not() -> None:
    ours, others = make_lines(300, 1), make_lines(300, 2)
    seen = remember("\n".join(ours))
    again = [f"  {line.upper().replace(' ', '   ')}" for line in ours]  # case and spaces
    assert seen.overlap("\r\n".join(again)).share == 1.0
    assert seen.overlap("\n".join(others)).share == 0.0
    half = seen.overlap("\n".join([*ours, *others]))
    assert half.share == pytest.approx(0.5, abs=0.01)
    assert half.n_compared == 600


def test_short_lines_say_nothing_and_long_ones_are_told_by_their_sentences() -> None:
    seen = remember("Enter the king.\n" * 9 + "他在北京的大学里学习了很多年的历史和文学。" * 20)
    assert seen.overlap("Enter the king.").n_compared == 0
    sentence = "他在北京的大学里学习了很多年的历史和文学。"
    assert seen.overlap(sentence).share == 1.0
    assert Seen().overlap(sentence).share == 0.0


def test_a_corpus_of_any_size_takes_little_and_still_says_the_share() -> None:
    ours, others = make_lines(5 * MOST_HASHES, 3), make_lines(20_000, 4)
    seen = remember("\n".join(ours[: len(ours) // 2]), "\n".join(ours[len(ours) // 2 :]))
    assert len(seen.dump()) < 180_000
    asked = seen.overlap("\n".join([*ours[:30_000:3], *others]))
    assert asked.n_compared > 2000  # a fifth of 30,000
    assert asked.share == pytest.approx(1 / 3, abs=0.04)
    assert seen.dump() == remember("\n".join(reversed(ours))).dump()


GOOD = {"version": 1, "limit": "10000000000000000", "lines": ""}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "[" * 100_000, json.dumps(GOOD | {"version": 2}),
        json.dumps(GOOD | {"limit": "x"}), json.dumps(GOOD | {"limit": 3}),
        json.dumps(GOOD | {"lines": "%%%"}), json.dumps(GOOD | {"lines": [1]}),
        json.dumps(GOOD | {"lines": base64.b64encode(bytes(1 << 20)).decode()}),
    ],
)  # fmt: skip
def test_what_is_not_ours_says_nothing(text: str) -> None:
    assert Seen.parse(text) is None


def test_it_lies_beside_a_checkpoint_or_in_its_folder(tmp_path: Path) -> None:
    seen = Seen()
    seen.add("\n".join(make_lines(3, 5)))
    assert read_seen_file(tmp_path) == ""
    (tmp_path / FILE).write_text(seen.dump())
    assert read_seen_file(tmp_path) == read_seen_file(tmp_path / "ckpt.pt") == seen.dump()
    (tmp_path / FILE).write_bytes(b"\xff{}")
    assert read_seen_file(tmp_path) == ""
