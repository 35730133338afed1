"""What is fine-tuned: a checkpoint of ours, or a folder that transformers has saved.

Promises the tokens that the chat will make of the same messages, and what has to lie beside the
weights so that the result opens in the chat and is converted without a question.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer
from torch import Tensor

from chatapp.engine.chat.manner import Manner, find_manner
from chatapp.engine.protocol import LoadOptions
from chatapp.engine.pytorch.characters import META_FILE
from chatapp.engine.pytorch.folder import read_folder
from chatapp.errors import ChatAppError, UsageError
from chatapp.gguf.known import nearest_format
from chatapp.gguf.replacing import write_whole
from chatapp.gguf.sandbox import TemplateProcess
from chatapp.train.answer_mask import AnswerMask
from chatapp.train.chat_format import CHAT_TEMPLATE, Turn
from chatapp.train.chats import Said
from chatapp.train.checkpoint import CHECKPOINT_FILE, GENERATION_FILE, load_checkpoint
from chatapp.train.data import Sample, encode_conversation
from chatapp.train.language_model import LanguageModel
from chatapp.train.pretrained import Pretrained
from chatapp.train.shapes import Args, describe_shape
from chatapp.train.tokenizer import identify, knows_turns, load_tokenizer, save_tokenizer

TEMPLATE_FILE = "chat_template.jinja"
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'system': 'System', 'user': 'User', 'assistant': 'Assistant'}[message['role']] }}"
    "{{ ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""For a base model that has no template and no tokens for turns: plain text, which ends with its
own end-of-text token."""
_BESIDE = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.json",
    TEMPLATE_FILE,
)
"""Files of a tokenizer, copied as they are."""


class Base(Protocol):
    """A model to start from, with its tokenizer and the way it is spoken to."""

    path: Path

    @property
    def model(self) -> LanguageModel:
        """The model that is trained."""

    template: str
    """The chat template where the base has not got it itself; empty where it has."""
    notices: tuple[str, ...]
    """Sentences for the user."""
    facts: dict[str, str]
    """What a checkpoint of it keeps in its `config`."""

    def encode(self, messages: tuple[Said, ...]) -> Sample:
        """Tokens of a chat, and which of them are answers. Raises `BadLineError`."""

    def prepare(self, folder: Path) -> None:
        """Write what belongs beside the weights. Raises `OSError`."""


class Writer(Protocol):
    """Writes what was trained in a form that others read."""

    def write(self, state: Mapping[str, Tensor], folder: Path) -> None:
        """Write weights, and what belongs beside them. Raises `ChatAppError`, `OSError`."""


def open_base(path: Path, context: int, template: str, *, frozen: bool) -> Base:
    """The model at `path`, for rows of at most `context` tokens (0: what it was trained for).

    `template` is Jinja to use in place of its own; empty: its own. `frozen`: its weights will not
    be trained. Raises `ChatAppError`.
    """
    if not path.exists():
        raise UsageError(
            f"There is no model at {path}.", "Name a checkpoint's folder, ours or Hugging Face's."
        )
    if path.suffix == ".gguf":
        raise UsageError(
            f"{path} is a model file of llama.cpp, which cannot be trained.",
            "Name the checkpoint that it was converted from.",
        )
    folder = path if path.is_dir() else path.parent
    if path.name == CHECKPOINT_FILE or (path.is_dir() and (path / CHECKPOINT_FILE).is_file()):
        if template:
            raise UsageError(f"{folder} has turns of its own.", "Leave out --chat-template.")
        return OurBase(folder, context)
    return FolderBase(path, context, template, frozen=frozen)


class OurBase:
    """A checkpoint that was trained here."""

    notices: tuple[str, ...] = ()

    def __init__(self, folder: Path, context: int) -> None:
        """Raises `ChatAppError`."""
        self.path = folder
        if (folder / META_FILE).is_file():
            raise ChatAppError(
                f"{folder} is a model of characters (--chars), which has no turns.",
                "Train one without that flag: chatapp train TEXT --out FOLDER",
            )
        checkpoint = load_checkpoint(folder)
        self._args: Args = checkpoint.read_args()
        if context > self._args.block_size:
            raise ChatAppError(
                f"{folder} was trained for {self._args.block_size} tokens, not for {context}.",
                "Lower --context.",
            )
        self.model: LanguageModel = checkpoint.restore_model()
        self._tokenizer: Tokenizer = load_tokenizer(folder)
        checkpoint.check_tokenizer(self._tokenizer, folder)
        self.facts = {"tokenizer": identify(self._tokenizer)}
        self.template = "" if knows_turns(folder) else CHAT_TEMPLATE

    def encode(self, messages: tuple[Said, ...]) -> Sample:
        """Tokens of a chat, and which of them are answers."""
        made = Sample([], [])
        for said in messages:
            turn = encode_conversation([Turn(said.role, said.content)], self._tokenizer)
            made.tokens.extend(turn.tokens)
            made.spoken.extend(spoken and said.is_learned for spoken in turn.spoken)
        return made

    def prepare(self, folder: Path) -> None:
        """Write the tokenizer, with the template, what the shape needs, and how the model is used:
        with facts about chatapp before a question, if it was trained to read them."""
        save_tokenizer(self._tokenizer, folder, self._args.block_size, chat=True)
        describe_shape(self._args, folder)
        if (self.path / GENERATION_FILE).is_file():
            shutil.copyfile(self.path / GENERATION_FILE, folder / GENERATION_FILE)


class FolderBase:
    """A folder that transformers has saved; what is fine-tuned of it is written as one, too."""

    def __init__(self, path: Path, context: int, template: str, *, frozen: bool) -> None:
        """Raises `ChatAppError`."""
        folder = read_folder(path)
        self.path = folder.path
        self.model: Pretrained = Pretrained(folder, context, frozen=frozen)
        self._templates = TemplateProcess()
        manner = self._find_manner(template, folder.name)
        self.template = template
        said = manner.notices
        if manner.template is None:
            known = nearest_format(self._is_token)
            self.template = known.source if known else PLAIN_TEMPLATE
            manner = self._find_manner(self.template, folder.name)
            named = f"in {known.title} format" if known else "as plain text, User: and Assistant:"
            said = (f"The model has no chat template: turns are written {named}.",)
        assert manner.template is not None
        self.notices = tuple(said)
        self.facts: dict[str, str] = {}
        self._mask = AnswerMask(manner.template, self.model.vocab)

    def encode(self, messages: tuple[Said, ...]) -> Sample:
        """Tokens of a chat, and which of them are answers. Raises `BadLineError`."""
        return self._mask.encode(messages)

    def prepare(self, folder: Path) -> None:
        """Copy the files of the tokenizer; write the template where it is another one."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _BESIDE:
            if (self.path / name).is_file():
                shutil.copyfile(self.path / name, folder / name)
        if self.template:
            write_whole(folder / TEMPLATE_FILE, self.template.encode(), mode=None)

    def write(self, state: Mapping[str, Tensor], folder: Path) -> None:
        """Write weights and configuration, and the files of the tokenizer. Raises `ChatAppError`,
        `OSError`."""
        self.prepare(folder)
        self.model.write(state, folder)

    def _find_manner(self, template: str, name: str) -> Manner:
        options = LoadOptions(path=str(self.path), chat_template=template)
        own, vocab = self.model.templates, self.model.vocab
        return find_manner(own, (name,), vocab, options, self._templates)

    def _is_token(self, text: str) -> bool:
        return len(self.model.vocab.tokenize(text, special=True)) == 1
