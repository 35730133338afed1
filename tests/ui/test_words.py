"""What the status line, titles and progress say."""

from dataclasses import replace

import pytest

from chatapp.conversation import make_title
from chatapp.engine.protocol import (
    Finished,
    ModelDescription,
    PrefillProgress,
    Timings,
    Usage,
)
from chatapp.parts import Text
from chatapp.store.rows import ConversationRow, GenerationRow, MessageRow
from chatapp.ui.chat.status import ChatStatus
from chatapp.ui.messages import AnswerEnded, ConversationOpened, ModelReady
from chatapp.ui.screens.search import snippet
from chatapp.ui.widgets.hint_line import key_hints
from chatapp.ui.widgets.status_line import StatusFacts, compose_line
from chatapp.ui.wording import clean_line, prefill_text

FULL = StatusFacts(
    model="smollm2-360m-instruct-q8_0",
    layers=33,
    gpu_layers=33,
    n_past=4950,
    n_ctx=8192,
    reused_tokens=4812,
    prompt_tokens=4950,
    tokens_per_second=42.13,
    first_token_s=0.24,
    temporary=True,
    offline=True,
)


def test_a_wide_line_says_everything():
    line = compose_line(FULL, 200).plain
    for part in ("GPU 33/33", "context 4 950/8 192", "reused 4 812/4 950", "42.1 tok/s"):
        assert part in line
    assert "first 0.24 s" in line
    assert "temporary" in line
    assert "offline" in line


@pytest.mark.parametrize("width", [80, 60, 40, 20])
def test_a_narrow_line_drops_the_least_important(width):
    line = compose_line(FULL, width)
    assert line.cell_length <= max(width, len("smollm2-360m-instruct-q8_0"))
    assert line.plain.startswith(("temporary", "smollm2"))
    assert "first" not in line.plain


def test_a_full_context_is_marked():
    line = compose_line(StatusFacts(model="m", n_past=7000, n_ctx=8192), 80).plain
    assert "▲ 85%" in line
    assert "▲" not in compose_line(StatusFacts(model="m", n_past=6900, n_ctx=8192), 80).plain


def test_a_model_in_pytorch_is_said_to_be_so():
    facts = StatusFacts(model="xlnet", layers=13, gpu_layers=13, runtime="PyTorch, not converted")
    assert compose_line(facts, 120).plain == "xlnet · PyTorch, not converted (GPU)"
    assert "loading 5%" in compose_line(replace(facts, loading="loading 5%"), 120).plain


def test_the_processor_is_always_named():
    assert "CPU only" in compose_line(StatusFacts(model="m", n_ctx=10), 80).plain


def test_threads_are_told_when_some_gave_way() -> None:
    def line(n: int, most: int) -> str:
        return compose_line(StatusFacts(model="m", n_threads=n, most_threads=most), 80).plain

    assert "1 of 2 threads: the machine is busy" in line(1, 2)
    assert "threads" not in line(2, 2)
    assert "threads" not in line(0, 0)


def test_the_status_line_learns_of_threads_from_the_end_of_an_answer() -> None:
    status = ChatStatus(temporary=False, offline=False, keys=lambda name: name)
    for n, most in ((1, 2), (2, 2)):
        timings = Timings(n_threads=n, most_threads=most)
        finished = Finished(request_id="a", choices=[], usage=Usage(), timings=timings)
        status.apply(AnswerEnded(1, None, finished))
        assert (status.line.n_threads, status.line.most_threads) == (n, most)


def test_a_model_name_cannot_draw():
    assert "\x1b" not in compose_line(StatusFacts(model="\x1b[31mevil\n"), 80).plain


def test_a_long_name_keeps_the_quantisation_at_its_end():
    name = "Meta Llama 3.1 Nemotron Ultra 253B Instruct Q4_K_M"
    line = compose_line(StatusFacts(model=name), 200).plain
    assert line.startswith("Meta Llama 3.1 Nemotron Ul…ct Q4_K_M ·")


def test_key_hints_fit():
    for width in (10, 40, 80, 200):
        assert key_hints("chat", {}, width).cell_length <= width
    assert "F1 Help" in key_hints("chat", {}, 80).plain


def test_prefill_progress():
    progress = PrefillProgress(request_id="a", done=6144, total=12842, reused=0, elapsed_s=2.263)
    assert prefill_text(progress) == "reading 6 144/12 842 · 2 715 tok/s · 2 s left"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("hello", "hello"),
        ("\n\n  second line  \nthird", "second line"),
        ("x" * 100, "x" * 59 + "…"),
        ("word " * 40, "word word word word word word word word word word word…"),
        ("", "New chat"),
        ("\u200d\ufe0f\n\x1b\nthird", "third"),
        ("می‌خواهم 👨‍👩‍👧", "می‌خواهم 👨‍👩‍👧"),
        ("x" * 58 + "👨‍👩‍👧‍👦" * 9, "x" * 58 + "…"),
    ],
)
def test_titles(text, title):
    assert make_title(text) == title


def test_a_snippet_keeps_its_spaces_and_marks():
    marked = snippet("see \x02naïve\x03 bayes")
    assert marked.plain == "see naïve bayes"
    assert any(span.start == 4 and span.end == 9 for span in marked.spans)


def test_a_line_is_cleaned():
    assert clean_line(" a\x1b[31m\n b ") == "a b"


def describe(name: str) -> ModelDescription:
    return ModelDescription(
        path=f"{name}.gguf",
        name=name,
        fingerprint=f"of {name}",
        arch="",
        size_bytes=0,
        n_params=0,
        n_ctx=100,
        n_ctx_train=0,
        n_vocab=0,
        n_layers=0,
        gpu_layers=0,
    )


def test_a_speed_stands_beside_the_model_that_had_it() -> None:
    status = ChatStatus(temporary=False, offline=False, keys=lambda name: name)
    run = GenerationRow(
        *(1, 1, "a.gguf", "a", "of a", "", "{}", 1, 10, 0, 5, 0.0, 0.1, 0.0, 99.0, "stop", "", 0.0)
    )
    row = MessageRow(2, 1, 1, "assistant", (Text("x"),), "complete", 0.0, (), 0, 1, (run,))
    conversation = ConversationRow(1, "t", "", 0.0, 0.0, 2, None)
    status.apply(ModelReady(describe("b")))
    status.apply(ConversationOpened(conversation, [row]))
    assert status.line.tokens_per_second == 0
    status.apply(ModelReady(describe("a")))
    assert status.line.tokens_per_second == 99
