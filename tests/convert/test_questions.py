"""What a checkpoint leaves open is asked all at once, as values, with what its tensors allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.questions import Choice, OpenQuestions, Question

HEADS = Question("n_head", "Heads.", (Choice(4, "of 16"), Choice(8)), flag="--n-head")
NORM = Question(
    "norm",
    "Which norm.",
    (Choice("layernorm", "", {"perplexity": 6.125}), Choice("rmsnorm", "", {"perplexity": 80.0})),
    default="layernorm",
)
BASE = Question("rope_theta", "Base.", (Choice(10000.0),), others=True)


def checkpoint(**config: object) -> Checkpoint:
    return Checkpoint(Path("model.pt"), "made", {}, config=config)


def test_questions_come_together_and_answers_go_on() -> None:
    made = checkpoint(norm="rmsnorm")
    with pytest.raises(OpenQuestions) as error, made.questions.together("model.pt"):
        assert made.ask(HEADS) == 4
        assert made.ask(NORM) == "rmsnorm"
        assert made.ask(BASE) == 10000.0
    assert [question.name for question in error.value.questions] == ["n_head", "rope_theta"]
    assert error.value.message == "model.pt leaves 2 things open: n_head, rope_theta."
    assert error.value.flags == "--n-head N --set rope_theta=X"


def test_an_inner_reading_leaves_its_questions_to_the_outer() -> None:
    made = checkpoint()
    with pytest.raises(OpenQuestions) as error, made.questions.together("model.pt"):
        with made.questions.together("model.pt"):
            made.ask(HEADS)
        made.ask(NORM)
    assert [question.name for question in error.value.questions] == ["n_head", "norm"]


def test_a_refusal_that_does_not_follow_from_a_blind_answer_is_told_with_them() -> None:
    made = checkpoint()
    with pytest.raises(OpenQuestions) as error, made.questions.together("model.pt"):
        made.ask(HEADS)
        raise ArchitectureError("It has no last norm.")
    assert "Besides: It has no last norm." in error.value.hint
    blind = checkpoint()
    with pytest.raises(OpenQuestions) as error, blind.questions.together("model.pt"):
        blind.ask(Question("n_ctx", "Positions.", kind=int))
        raise ArchitectureError("1 position is no model.")
    assert "Besides" not in error.value.hint


def test_an_error_may_be_a_question_and_alone_stays_what_it_is() -> None:
    made = checkpoint()
    with pytest.raises(OpenQuestions) as error, made.questions.together("model.pt"):
        made.ask(BASE)
        raise ArchitectureError("No heads are said.", question=HEADS)
    assert [question.name for question in error.value.questions] == ["rope_theta", "n_head"]
    with pytest.raises(ArchitectureError, match="no model"), checkpoint().questions.together(""):
        raise ArchitectureError("This is no model.")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        *[(HEADS, value) for value in (5, 0, True, "4", 4.5, [4])],
        *[(NORM, value) for value in ("batchnorm", 1, True)],
        *[(BASE, value) for value in ("1e4", True, float("inf"), float("nan"), 10**40, {})],
    ],
)
def test_an_answer_that_does_not_fit_is_refused(question: Question, said: object) -> None:
    with pytest.raises(ArchitectureError, match=question.name):
        checkpoint(**{question.name: said}).ask(question)


def test_numbers_are_taken_in_either_spelling() -> None:
    assert checkpoint(n_head=8.0).ask(HEADS) == 8
    assert checkpoint(rope_theta=500000).ask(BASE) == 500000.0


def test_a_question_is_data_and_text() -> None:
    assert NORM.as_dict() == {
        "name": "norm",
        "why": "Which norm.",
        "kind": "text",
        "choices": [
            {
                "value": "layernorm",
                "text": "layernorm",
                "meaning": "",
                "measured": {"perplexity": 6.125},
            },
            {
                "value": "rmsnorm",
                "text": "rmsnorm",
                "meaning": "",
                "measured": {"perplexity": 80.0},
            },
        ],
        "others": False,
        "default": "layernorm",
        "flag": "--set norm=",
    }
    assert NORM.lines() == [
        "norm: Which norm.",
        "    layernorm  perplexity 6.125, usual",
        "    rmsnorm    perplexity 80",
        "    answer: --set norm=layernorm",
    ]
