"""Which tokens of a chat are answers, in the styles that chat templates have."""

from collections.abc import Iterator

import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chatapp.engine.chat.manner import find_manner
from chatapp.engine.protocol import LoadOptions
from chatapp.engine.pytorch.vocab import TorchVocab
from chatapp.gguf.known import find_format
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.train.answer_mask import AnswerMask
from chatapp.train.bases import PLAIN_TEMPLATE
from chatapp.train.chats import BadLineError, Said
from chatapp.train.data import Sample

CONTROL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"),
    *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"),
]
THINKING = (  # as Qwen3's: thoughts stay in the last turn alone, which has a place for them
    "{%- for m in messages %}{%- if m.role == 'assistant' %}"
    "{{- '<|im_start|>assistant\n' }}"
    "{%- if loop.last %}{{- '<think>\n' + (m.reasoning_content or '') + '\n</think>\n\n' }}"
    "{%- endif %}{{- m.content.lstrip('\n') + '<|im_end|>\n' }}"
    "{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
GENERATION = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% else %}{{ m.content }}"
    "<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORCED = (  # as DeepSeek R1's: a prompt begins a thought that no past answer has
    "{{ bos_token }}{% for m in messages %}{{ '<' + m.role + '>' + m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
)
CHAT = (
    Said("system", "Be kind."),
    Said("user", "the quick fox"),
    Said("assistant", "over the dog"),
    Said("user", "and <|im_end|></s> the dog"),
    Said("assistant", "jumps </s>over"),
)
STYLES = {
    # template: what the model has to write, for each answer
    "chatml": ("over the dog<|im_end|>", "jumps </s>over<|im_end|>"),
    "llama3": ("over the dog<|eot_id|>", "jumps </s>over<|eot_id|>"),
    "gemma": ("over the dog<end_of_turn>", "jumps </s>over<end_of_turn>"),
    "mistral": (" over the dog</s>", " jumps </s>over</s>"),
    "plain": (" over the dog</s>", " jumps </s>over</s>"),
    "thinking": ("over the dog<|im_end|>", "<think>\n\n</think>\n\njumps </s>over<|im_end|>"),
    "generation": ("over the dog<|im_end|>\n", "jumps </s>over<|im_end|>\n"),
    "forced": ("over the dog</s>", "jumps </s>over</s>"),
}
OWN = {
    "plain": PLAIN_TEMPLATE,
    "thinking": THINKING,
    "generation": GENERATION,
    "forced": FORCED,
}


def make_vocab(*, metaspace: bool) -> TorchVocab:
    """A vocabulary of bytes, or of characters with ▁ for spaces, with all control tokens."""
    texts = ["the quick brown fox jumps over the lazy dog", "user model system assistant"]
    tokenizer = Tokenizer(models.BPE(unk_token="<s>") if metaspace else models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace()
        alphabet = [*map(chr, range(32, 127)), "\n", "▁"]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts * 9, trainer)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    )
    return TorchVocab(made, len(made), frozenset((1,)))


@pytest.fixture(scope="module")
def templates() -> Iterator[TemplateProcess]:
    with TemplateProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["bytes", "metaspace"])
def vocab(request: pytest.FixtureRequest) -> TorchVocab:
    return make_vocab(metaspace=request.param == "metaspace")


def make_mask(name: str, vocab: TorchVocab, templates: TemplateProcess) -> AnswerMask:
    known = find_format(name)
    source = OWN.get(name) or (known.source if known else "")
    vocab.extra_ends = frozenset()  # of the template before
    options = LoadOptions(path="x", chat_template=source)
    manner = find_manner({}, ("x",), vocab, options, templates)
    assert manner.template is not None
    return AnswerMask(manner.template, vocab)


def answers(sample: Sample, vocab: TorchVocab) -> list[str]:
    """The texts of the runs of tokens that carry loss."""
    runs: list[list[int]] = []
    before = False
    for token, spoken in zip(sample.tokens, sample.spoken, strict=True):
        if spoken and not before:
            runs.append([])
        if spoken:
            runs[-1].append(token)
        before = spoken
    pieces = [[vocab.piece(token, special=True).decode() for token in run] for run in runs]
    return [without_spaces("".join(run)) for run in pieces]


def without_spaces(text: str) -> str:
    """A vocabulary with ▁ has some around a mark that was spelled out, as in the chat."""
    return text.replace(" ", "")


@pytest.mark.parametrize("style", STYLES)
def test_loss_is_on_what_the_model_has_to_write(
    style: str, vocab: TorchVocab, templates: TemplateProcess
) -> None:
    sample = make_mask(style, vocab, templates).encode(CHAT)
    assert answers(sample, vocab) == list(map(without_spaces, STYLES[style]))
    # what somebody spelled out is text, and ends no turn
    ends = [t for t, s in zip(sample.tokens, sample.spoken, strict=True) if s and vocab.is_end(t)]
    assert len(ends) == 2


def test_an_answer_that_is_only_read_carries_no_loss(
    vocab: TorchVocab, templates: TemplateProcess
) -> None:
    chat = (*CHAT[:2], Said("assistant", "over the dog", is_learned=False), *CHAT[3:])
    for style in ("chatml", "generation"):
        sample = make_mask(style, vocab, templates).encode(chat)
        assert answers(sample, vocab) == [without_spaces(STYLES[style][1])]


def test_thoughts_are_learned_where_the_template_writes_them(
    vocab: TorchVocab, templates: TemplateProcess
) -> None:
    chat = (Said("user", "fox"), Said("assistant", "dog", thoughts="quick"))
    sample = make_mask("thinking", vocab, templates).encode(chat)
    assert answers(sample, vocab) == ["<think>\nquick\n</think>\n\ndog<|im_end|>"]


def test_an_answer_that_the_template_changes_is_refused(
    vocab: TorchVocab, templates: TemplateProcess
) -> None:
    vocab.extra_ends = frozenset()
    shouting = "{% for m in messages %}{{ m.role + ':' + (m.content | upper) }}{% endfor %}"
    options = LoadOptions(path="x", chat_template=shouting)
    manner = find_manner({}, ("x",), vocab, options, templates)
    assert manner.template is not None
    with pytest.raises(BadLineError, match="changes or leaves out"):
        AnswerMask(manner.template, vocab).encode(CHAT)


def test_marks_of_generation_that_somebody_wrote_are_text(
    vocab: TorchVocab, templates: TemplateProcess
) -> None:
    chat = (Said("user", "the \ue020fox\ue021"), Said("assistant", "dog"))
    sample = make_mask("generation", vocab, templates).encode(chat)
    assert answers(sample, vocab) == ["dog<|im_end|>"]
