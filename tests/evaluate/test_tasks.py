"""Examples, prompts, metrics, and draws: what is read, what is refused, what comes out."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import LoadOptions
from chatapp.errors import ChatAppError, EngineError, UsageError
from chatapp.evaluate.bootstrap import draw_scores, find_difference, find_interval
from chatapp.evaluate.examples import SETS, Example, read_examples
from chatapp.evaluate.kept import describe_results, read_results, score_statistics
from chatapp.evaluate.metrics import METRICS, average, check_references, measure_answers, normalise
from chatapp.evaluate.plot import draw_evaluations
from chatapp.evaluate.prompts import read_template
from chatapp.evaluate.tasks import Answer, Answers, Question, Way, answer_all
from chatapp.evaluate.translation import choose_tokenizer
from chatapp.evaluate.wording import name_model, name_subject
from chatapp.paths import BUILTIN_MODEL
from chatapp.store.evaluations import EvaluationRow


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["Eiffel tower"], 100, 100),
        ("a cat", ["the dog", "Cat."], 100, 100),
        ("in Paris, France", ["Paris"], 0, 50),
        ("the the", ["a"], 100, 100),  # nothing is left of either
        ("", ["x"], 0, 0),
        ("big big dog", ["big dog dog"], 0, 200 / 3),
    ],
)
def test_exact_and_f1_are_squads(
    answer: str, references: list[str], exact: float, f1: float
) -> None:
    example = Example(1, "1", "?", tuple(references))
    found = {one.name: one.total for one in measure_answers(["exact", "f1"], [example], [answer])}
    assert found == {"exact": exact, "f1": pytest.approx(f1)}


def test_words_are_compared_as_squad_normalises_them() -> None:
    assert normalise("  An  Apple-pie, the  BEST! ") == "applepie best"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "is empty"),
        ('{"input": "a"}\n{"input": ', "line 2 is not JSON"),
        ('[{"input": "a"}]', "line 1 is not an object"),
        ("[\n{}]", "line 1 is not JSON"),
        ('{"question": "a", "references": []}', "line 1 has no input; it has: question"),
        ('{"input": 3}', "line 1 has an input that is no text"),
        ('{"input": " "}', "line 1 has an empty input"),
        ('{"input": "a", "references": [1]}', "references is no list of texts"),
        ('{"input": "\\ud800"}', "half a character"),
        ("plain text", "need --references FILE"),
        ("[" * 100_000, "line 1 is not JSON"),
        ("plain text\0and more", "is no text"),
    ],
)
def test_files_that_hold_no_examples_are_refused(tmp_path: Path, data: str, said: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(data)
    with pytest.raises(UsageError) as caught:
        read_examples(str(file))
    assert said in str(caught.value)


def test_references_of_another_length_are_refused_with_both_numbers(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a\n\nc\n")
    (tmp_path / "ref").write_text("A\r\nB\r\nC")
    (tmp_path / "short").write_text("A\n")
    found = read_examples(str(tmp_path / "in"), [str(tmp_path / "ref")])
    assert [(one.input, one.references) for one in found.examples] == [
        ("a", ("A",)), ("", ("B",)), ("c", ("C",)),
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"short has 1 lines, and .*in has 3 examples"):
        read_examples(str(tmp_path / "in"), [str(tmp_path / "short")])


@pytest.mark.parametrize(
    ("references", "metrics", "said"),
    [
        ((), ["f1"], "has no references, which f1"),
        (("", " "), ["exact", "chrf"], "has only empty references, which chrf"),
        (("你好",), ["rouge"], "rouge-score reads no others"),
    ],
)
def test_a_metric_without_its_references_is_refused(
    references: tuple[str, ...], metrics: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_references(metrics, [Example(7, "q7", "?", references)])  # type: ignore[arg-type]
    check_references(["exact", "f1"], [Example(1, "1", "?", ("",))])  # SQuAD's unanswerable


def test_chinese_and_japanese_are_split_without_spaces() -> None:
    assert choose_tokenizer([["今天天气很好 OK"]]) == "zh"
    assert choose_tokenizer([["今日はいい天気です"]]) == "char"
    assert choose_tokenizer([["a word of 中文 in English"], ["plain"]]) == "13a"


def test_templates_are_named_read_or_given_and_lines_fill_them(tmp_path: Path) -> None:
    example = Example(1, "1", "{x}", values={"to": "German"})
    assert "into German." in read_template("translate", ["to=French"]).fill(example)
    assert "into French." in read_template("translate", ["to=French"]).fill(Example(1, "1", "a"))
    (tmp_path / "t.txt").write_text("Q: {input}\nA:\n")
    assert read_template(str(tmp_path / "t.txt")).fill(example) == "Q: {x}\nA:"
    for text, said in (
        ("no such file", "There is no template"),
        ("{other}", "has no {input}"),
        ("{input} {", "cannot be read, line 1"),
    ):
        with pytest.raises(UsageError, match=said):
            read_template(text)
    with pytest.raises(UsageError, match=r"wants {from}, and example 1 has none"):
        read_template("{input} {from}").fill(example)


def test_intervals_cover_and_only_real_differences_are_more_than_chance() -> None:
    a = average("f1", [[100.0 * (n % 2), 1.0] for n in range(200)], "")
    b = average("f1", [[100.0 * (n % 10 < 7), 1.0] for n in range(200)], "")
    drawn_a, drawn_b = draw_scores(a), draw_scores(b)
    interval = find_interval(a, drawn_a)
    assert (interval.score, drawn_a) == (50, draw_scores(a))
    assert 41 < interval.low < 45 < 55 < interval.high < 59  # 50 ± 1.96 · 50 / √200
    found = find_difference(a, b, drawn_a, drawn_b)
    assert found.interval.score == pytest.approx(20)
    assert found.is_more_than_chance
    same = find_difference(a, a, drawn_a, drawn_a)
    assert (same.p, same.is_more_than_chance) == (1.0, False)
    one_better = average("f1", [[100.0, 1.0], *a.rows[1:]], "")
    assert not find_difference(a, one_better, drawn_a, draw_scores(one_better)).is_more_than_chance


@pytest.mark.parametrize("name", SETS)
def test_the_sets_that_come_along_are_a_hundred_different_examples(name: str) -> None:
    found = read_examples(name)
    assert len({one.input for one in found.examples}) == 100
    assert len({one.id for one in found.examples}) == 100
    for one in found.examples:
        assert one.references
        assert all(text.strip() == text != "" for text in (one.input, *one.references)), one.id
    assert found.ready is not None
    template = read_template(found.ready.template)
    assert all(template.fill(one).endswith(one.input) for one in found.examples)
    perfect = [one.references[0] for one in found.examples]
    measured = measure_answers(found.ready.metrics, found.examples, perfect)
    assert [round(one.total, 6) for one in measured] in ([100, 100], [1, 1, 1])


def test_what_is_kept_scores_the_same_again() -> None:
    examples = [Example(n, f"e{n}", "?", (f"the number {n} is here",)) for n in range(5)]
    texts = ["the number 1 is here", "the number is 1", "", "number 3 is", "the number 4 is here"]
    said = [
        Answer(question=Question(one, "?"), text=text, finish_reason="stop")
        for one, text in zip(examples, texts, strict=True)
    ]
    scored = score_statistics(measure_answers(METRICS, examples, texts), 1)
    results = json.loads(json.dumps(describe_results(scored, Answers(said), 5)))
    kept = read_results(results, "1")
    assert (kept.ids, kept.answers) == ([f"e{n}" for n in range(5)], texts)
    for one in scored:
        again = kept.statistics[one.statistics.name]
        assert again.total == results[one.statistics.name] == one.interval.score
        assert again.each == one.statistics.each
    with pytest.raises(UsageError, match="without the scores of each"):
        read_results({}, "1")


@pytest.fixture
async def echo() -> AsyncIterator[EngineClient]:
    client = EngineClient(backend="echo")
    await client.load(LoadOptions(path="echo", n_ctx=300))
    yield client
    await client.stop()


def _ask(*prompts: str) -> list[Question]:
    return [Question(Example(n, str(n), text), text) for n, text in enumerate(prompts, 1)]


async def test_what_is_too_long_is_passed_over_and_what_fails_keeps_the_rest(
    echo: EngineClient,
) -> None:
    heard: list[int] = []
    questions = _ask("one", "x" * 301, "three\n/delay 0", "/fail", "five")
    found = await answer_all(
        [echo],
        questions,
        Way(system="s"),
        at_once=1,
        on_answer=lambda answer, done: heard.append(done),
        stop=asyncio.Event(),
    )
    assert [answer.text for answer in found.answers] == ["one", "", "three\n/delay 0"]
    assert heard == [1, 2, 3]
    assert "301 tokens" in found.answers[1].problem or "302 tokens" in found.answers[1].problem
    assert isinstance(found.error, EngineError)
    assert not found.is_stopped


async def test_stopping_keeps_what_was_answered(echo: EngineClient) -> None:
    stop = asyncio.Event()
    found = await answer_all(
        [echo],
        _ask("one", "/delay 60000\n/words 9", "three"),
        Way(),
        at_once=2,
        on_answer=lambda answer, done: stop.set(),
        stop=stop,
    )
    assert [answer.text for answer in found.answers] == ["one"]
    assert found.is_stopped
    assert found.error is None


def test_evaluations_are_drawn_and_what_cannot_be_is_said(tmp_path: Path) -> None:
    def keep(number: int, **results: object) -> EvaluationRow:
        return EvaluationRow(
            id=number, created_at=0.0, kind="tasks", model="m.gguf", subject="x", results=results
        )

    intervals = {"f1": [40.0, 60.0], "exact": [10.0, 30.0]}
    a = keep(1, f1=50.0, exact=20.0, intervals=intervals)
    b = keep(2, f1=70.0, intervals={"f1": [65.0, 75.0]})
    assert draw_evaluations([a, b], tmp_path / "x.png") == ["f1"]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    c = keep(4, chrf=3.0, intervals={"chrf": [2.0, 4.0]})
    for rows, name, said, code in (
        ([a, keep(3)], "x.png", "Evaluation 3 (tasks) has no figure", 2),
        ([b, c], "x.png", "no figure in common: 2 has f1; 4 has chrf.", 2),
        ([a], "x.qqq", "cannot be written", 2),
        ([a], "no/x.png", "cannot be written", 1),
    ):
        with pytest.raises(ChatAppError, match=re.escape(said)) as caught:
            draw_evaluations(rows, tmp_path / name)
        assert caught.value.exit_code == code


def test_a_model_is_told_by_what_tells_it_from_others(tmp_path: Path) -> None:
    def name(model: Path | str, kind: str = "tasks", **settings: object) -> tuple[str, str]:
        row = EvaluationRow(
            id=1, created_at=0.0, kind=kind, model=str(model), subject="x", settings=settings
        )
        return name_model(row), name_subject(row)

    runs = tmp_path / "bard"
    (runs / "best").mkdir(parents=True)
    assert name(BUILTIN_MODEL) == ("built-in", "x")
    assert name("/old/lib/chatapp/builtin/model.gguf", limit=9) == (
        "built-in",
        "x, first 9 examples",
    )
    assert name(runs / "smol-135m.gguf") == ("smol-135m.gguf", "x")
    assert name(runs, most_windows=2000) == ("bard", "x, first 2,000 windows")
    for inside in ("best", "model.gguf", "ckpt.pt", "best/ckpt.pt", "runs/1/ckpt.pt"):
        assert name(runs / inside)[0] == f"bard/{inside}"
    assert name("remote:lab")[0] == "remote:lab"
    assert name("a/b | c", "compare")[0] == "a/b | c"
