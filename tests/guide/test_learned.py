"""What was learned from written questions fits the facts, and survives slips and other names."""

from dataclasses import replace

import numpy as np
import pytest

from chatapp.guide.facts import Fact
from chatapp.guide.retrieval.learned import (
    Learned,
    Vectors,
    pack,
    read_pieces,
    read_weights,
    unpack,
)
from tests.guide.program import program_with_keys, real_guide, real_program


def place_of(fact_id: str) -> int:
    return next(place for place, fact in enumerate(real_guide().facts) if fact_id in fact.ids)


def best(learned: Learned, question: str) -> int:
    shares = learned.weigh(question)
    return max(shares, key=lambda place: shares[place])


def test_every_fact_was_learned() -> None:
    """Else `python -m chatapp.builtin.recipe.guide.ranker` makes the weights anew."""
    known = {one for ids in read_weights().ids for one in ids.split("|")}
    unknown = [fact.id for fact in real_guide().facts if not known.intersection(fact.ids)]
    assert unknown == []


@pytest.mark.parametrize(
    ("question", "fact_id"),
    [
        ("how do I leave this program", "key:quit"),
        ("how do i leav this progam", "key:quit"),
        ("I would like another answer to the same question", "key:regenerate"),
        ("怎么退出程序", "key:quit"),
    ],
)
def test_a_question_is_about_its_fact(question: str, fact_id: str) -> None:
    learned = Learned(real_guide().facts, read_weights())
    shares = learned.weigh(question)
    assert best(learned, question) == place_of(fact_id)
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-4)
    found = real_guide().find(question)
    assert fact_id in found[0].fact.ids
    assert not found[0].is_doubtful


def test_what_is_not_about_chatapp_is_told() -> None:
    learned = Learned(real_guide().facts, read_weights())
    for text in ("who painted the Mona Lisa", "write a poem about the autumn rain"):
        assert learned.is_about(text) < 0.5


def test_keys_mean_nothing_by_themselves() -> None:
    """Anybody may give them to something else."""
    assert read_pieces("what does Ctrl+R do") == read_pieces("what does alt-x do")
    assert read_pieces("what does F9 do") == read_pieces("what does ctrl shift k do")
    assert read_pieces("") == read_pieces("Ctrl+R") == [0]


def test_a_fact_under_another_name_is_known_by_its_text() -> None:
    facts = list(real_guide().facts)
    place = place_of("setting:ui.theme")
    moved = Fact(("setting:ui.look",), facts[place].text, facts[place].words)
    facts[place] = moved
    learned = Learned(facts, read_weights())
    assert best(learned, "how do I make it dark") == place


def test_what_nobody_knows_has_no_share() -> None:
    facts = [*real_guide().facts, Fact(("key:juggle",), dict.fromkeys(("en", "zh"), "Zzz."), {})]
    assert len(facts) - 1 not in Learned(facts, read_weights()).weigh("how do I quit")


def test_weights_are_the_same_from_a_file() -> None:
    weights = read_weights()
    again = unpack(pack(weights))
    assert again.ids == weights.ids
    np.testing.assert_array_equal(again.pieces.values, weights.pieces.values)
    np.testing.assert_array_equal(again.pieces.scales, weights.pieces.scales)
    np.testing.assert_array_equal(again.facts, weights.facts)
    np.testing.assert_array_equal(again.about, weights.about)
    np.testing.assert_array_equal(again.small, weights.small)


def test_what_is_held_in_bytes_is_near() -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    held = Vectors.of(vectors)
    np.testing.assert_allclose(held.values * held.scales.astype(np.float32), vectors, atol=0.015)
    assert not Vectors.of(np.zeros((4, 8), np.float32)).read("anything").any()


def test_two_facts_are_told_apart_after_learning() -> None:
    from chatapp.builtin.recipe.guide.ranker import NOTHING, learn

    facts = [replace(fact, words={"en": "", "zh": ""}) for fact in real_guide().facts[:2]]
    stop, other = (fact.id for fact in facts)
    questions = [(f"halt number {n}", stop) for n in range(40)]
    questions += [(f"banana {n} peel", other) for n in range(40)]
    questions += [(f"weather in {n}", NOTHING) for n in range(40)]
    learned = Learned(facts, learn(facts, questions))
    assert best(learned, "please halt") == 0
    assert best(learned, "a banana") == 1


def test_other_keys_change_nothing() -> None:
    from chatapp.guide.retrieval import Guide

    usual, other = Guide(real_program()), Guide(program_with_keys(quit="alt+q", stop="f9"))
    for question in ("how do I quit", "it talks too long"):
        one, two = (guide.find(question)[0].fact.id for guide in (usual, other))
        assert one == two
    assert "key:stop" in other.find("what does f9 do")[0].fact.ids
