"""What the engine process and its client say to each other: one JSON object a line.

Commands go in and are imperative, events come out and are facts. Everything that belongs to a
request carries its `request_id`, which the client makes and never uses twice. A command that
cannot be read ends the request it names with `Failed`; where no name can be found in it,
`request_id` is empty, and the client ends the connection, because it can no longer tell what it
waits for. The first event is `Ready` with `PROTOCOL_VERSION`; a client that does not know the
version must stop. Token ids are the loaded model's own.
"""

from typing import Any, Literal, Self

import msgspec

from chatapp.engine.embedding import Embed, Embedded, Pooling
from chatapp.engine.scoring import Score, Scored, ScoreProgress
from chatapp.parts import Parts, Text, reasoning_of, text_of
from chatapp.sampling import SamplingParams

PROTOCOL_VERSION = 6

MAX_LOGPROBS = 20
"""Likeliest tokens that can be asked for, as in OpenAI's API."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longest line either side accepts: a 2 MB paste escaped to JSON and then some."""

FinishReason = Literal["stop", "length", "cancelled", "tool_calls"]
Kind = Literal["text", "reasoning", "tool_call"]
"""Kinds of part that an engine writes."""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message as the chat template sees it."""

    role: str
    parts: Parts
    tokens: list[int] = []
    """The very tokens this answer was sampled as, if this model made it: they are put into the
    prompt as they are, so that the cache of the last turn stays valid."""

    @classmethod
    def of(cls, role: str, text: str, tokens: list[int] | None = None) -> Self:
        """A message with one part, which says `text`."""
        return cls(role, (Text(text),), tokens or [])

    @property
    def content(self) -> str:
        """What was said: the text parts joined."""
        return text_of(self.parts)


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how to hold it in memory."""

    path: str
    """A model file, or the name the backend knows (`echo` takes anything)."""
    n_ctx: int = 0
    """Context length in tokens; 0: what the model was trained for, at most 8192, or 32768 on a GPU
    with room to spare."""
    gpu_layers: int = -1
    """Layers to offload; -1: all that fit, 0: none."""
    n_threads: int = 0
    """Most threads for decode and prefill; 0: every core this process may use."""
    adapt_threads: bool = True
    """Use fewer of them while other programs need the processors."""
    n_batch: int = 512
    """Most tokens in one call of llama_decode while the prompt is read."""
    n_parallel: int = 4
    """Most alternatives that are decoded together; more are written one group after the other."""
    flash_attn: bool = True
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"
    """Type of the KV cache; `auto`: f16, or q8_0 (half of it) where that makes the model fit."""
    chat_template: str = ""
    """The Jinja text of a chat template in place of the model's own; empty: its own."""
    raw: bool = False
    """No chat template at all: messages are the beginning of a text, control tokens included."""
    embed: Pooling = ""
    """Load it to make embeddings, pooled like this, and no text."""
    backend: Literal["auto", "llama", "torch"] = "auto"
    """What runs it. `auto`: llama.cpp where it is a model file, or a checkpoint that converts
    without a question, else PyTorch."""


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says of a model that it has loaded."""

    path: str
    name: str
    arch: str
    size_bytes: int
    n_params: int
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_layers: int
    kv_type: str = ""
    gpu_layers: int
    """Layers on a GPU, of `n_layers` + 1: llama.cpp counts the output as one."""
    devices: list[str] = []
    gpu_note: str = ""
    """Why the CPU alone is used and how to mend it; empty when a GPU is used."""
    chat_template: bool = True
    """False: the model has none, or `raw` was asked for: text is completed, not answered."""
    template_hash: str = ""
    sampling: dict[str, Any] = {}
    """What the file recommends (`general.sampling.*`), by the names of `SamplingParams`."""
    fingerprint: str = ""
    """Hash of the file's size and parts of its bytes: tokens of one model are valid in another
    only if this is the same."""
    host: str = ""
    """The server that text goes to; empty: it stays on this machine."""
    runtime: str = ""
    """What computes it, in words, where that is not llama.cpp."""
    load_s: float = 0.0
    notices: list[str] = []
    """Sentences the user should see: a clamped context, a broken template."""
    pooling: str = ""
    """How it makes one embedding of a text's tokens; empty: it writes text."""
    guide: bool = False
    """Its file says (`chatapp.guide`) that it was trained to answer from facts about chatapp, which
    are to be put before every question."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens one request read and wrote."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    """Prompt tokens whose keys and values were still in the cache."""
    completion_tokens: int = 0
    """Over all alternatives."""
    reasoning_tokens: int = 0
    """Those of them that were thoughts, with the marks around them."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one request went. Seconds from the engine's receipt of the request."""

    load_s: float = 0.0
    time_to_first_token_s: float = 0.0
    prefill_tokens_per_second: float = 0.0
    """Over the tokens that were not reused."""
    decode_tokens_per_second: float = 0.0
    """From the first sampled token to the last, all alternatives together."""
    total_s: float = 0.0
    n_threads: int = 0
    """Threads at the end of the request, of at most `most_threads`: fewer when other programs
    needed the processors. 0: not known."""
    most_threads: int = 0


class Load(msgspec.Struct, frozen=True, tag="load"):
    """The command to load a model in place of the one that is loaded."""

    request_id: str
    options: LoadOptions


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """Answer `messages`, or complete `prompt` when it is given."""

    request_id: str = ""
    """Given by the client when it opens the request."""
    messages: list[ChatMessage] = []
    prompt: str | None = None
    params: SamplingParams = SamplingParams()
    """What was asked for. The engine fills the rest as the model file recommends, else with
    defaults; a server is sent what was asked for and nothing else."""
    tools: list[dict[str, Any]] = []
    """What the model may call, each as OpenAI's wire has it: `{"type": "function", "function":
    {"name", "description", "parameters"}}`. Running one is for whoever asked."""
    think: str = ""
    """How much to think before the answer: `on`, `off`, `low`, `medium`, `high` or a number of
    tokens; empty: as the model does by itself."""
    names: list[str] | None = None
    """Keys, commands and flags that the answer may name, in small letters, where its model was made
    to speak of those that it is told; None: any. llama.cpp's models alone are held to it."""
    told: list[str] = []
    """With `names`: the facts that the answer may say behind their marks, word for word."""
    n: int = 1
    logprobs: int = 0
    """Report the log-probability of every sampled token, and so many of the likeliest (at most
    `MAX_LOGPROBS`); 0: none."""
    prefix: Parts = ()
    """The answer's beginning, to go on from, as the client has it. The first `Delta` may replace
    the end of it: half a character, or what may be the beginning of a stop string."""
    prefix_tokens: list[int] = []
    """The answer's beginning as the very tokens that were sampled, if this model sampled all of
    it; without them the text of `prefix` is tokenised."""


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag="measure"):
    """Count the tokens of the prompt that `Generate` would make of the same; nothing is decoded.
    Done when the answer that is being written has ended."""

    request_id: str = ""
    messages: list[ChatMessage] = []
    tools: list[dict[str, Any]] = []
    think: str = ""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop the request; it ends with `Finished` and what was said so far, or with `Scored`."""

    request_id: str


class AnswerNow(msgspec.Struct, frozen=True, tag="answer_now"):
    """Think no more: the thought of every alternative ends at the end of its line, and the answer
    begins. Where nothing is thought, nothing happens."""

    request_id: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """The command to finish nothing, free everything and exit."""


Command = Load | Generate | Measure | Embed | Score | Cancel | AnswerNow | Shutdown


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The first event of an engine, which says what it is."""

    protocol_version: int
    backend: str
    backend_version: str
    pid: int


class LoadProgress(msgspec.Struct, frozen=True, tag="load_progress"):
    """`fraction` (0 to 1) of the weights is in memory, or of what is done before that."""

    request_id: str
    fraction: float
    doing: str = "loading"
    """`loading`, or `converting`: a checkpoint is made into a model file first."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The event that says that a model is loaded and can be used."""

    request_id: str
    model: ModelDescription


class PrefillProgress(msgspec.Struct, frozen=True, kw_only=True, tag="prefill_progress"):
    """`done` of `total` prompt tokens are in the cache; the first `reused` were there before."""

    request_id: str
    done: int
    total: int
    reused: int
    elapsed_s: float


class Delta(msgspec.Struct, frozen=True, kw_only=True, tag="delta"):
    """From `at` on, part `part` of alternative `index` reads `text`, and it is the last part.

    What stood there before, and in parts behind it, is replaced, so that a delta may be applied
    twice. `text` may lag behind `tokens` at a split character or while a stop string may be
    beginning; it never runs ahead.
    """

    request_id: str
    part: int = 0
    """Place of the part in the answer, its prefix included, from 0."""
    kind: Kind = "text"
    at: int = 0
    """Characters of the part that stay as they were."""
    text: str = ""
    """Of a tool call: its arguments, JSON as far as it is written."""
    call_id: str = ""
    name: str = ""
    """Of a tool call."""
    tokens: list[int] = []
    tokens_at: int = 0
    """How many tokens of the answer, its prefix included, stand before `tokens`."""
    index: int = 0


class LikelyToken(msgspec.Struct, frozen=True):
    """A token that might have been sampled."""

    token: str
    logprob: float
    """Natural logarithm of its probability before any sampler."""


class TokenLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """How sure the model was of one sampled token."""

    token: str
    """Its text; U+FFFD stands for a piece of a character."""
    logprob: float
    top: list[LikelyToken] = []
    """The likeliest tokens in its place, the likeliest first."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One alternative of an answer: its parts and how it ended."""

    index: int = 0
    parts: Parts = ()
    """The whole answer, its prefix included."""
    tokens: list[int] = []
    """All tokens of it, its prefix included; none where a server writes the answer."""
    completion_tokens: int = 0
    """Sampled for it in this run, the end of the answer included."""
    logprobs: list[TokenLogprob] = []
    """Of every sampled token, the end of the answer included, when they were asked for."""
    finish_reason: FinishReason = "stop"
    note: str = ""
    """A sentence, when it ended where nothing was allowed to follow although it is not whole."""
    seed: int = 0

    @property
    def text(self) -> str:
        """What was said: the text parts joined."""
        return text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """The reasoning in the alternative, as one text."""
        return reasoning_of(self.parts)


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The request is over; every alternative says how it ended."""

    request_id: str
    choices: list[Choice]
    usage: Usage
    timings: Timings
    n_past: int = 0
    """Tokens of the context in use after this answer."""


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag="measured"):
    """What a prompt takes of the context, in tokens."""

    request_id: str
    total: int
    """The whole prompt, with what the chat template writes between the messages."""
    parts: list[list[int]] = []
    """Of every part of every message, the text alone; thoughts are counted in `thoughts`."""
    thoughts: int = 0
    """What earlier thoughts add: most templates leave them out."""
    tools: int = 0
    """What the description of the tools adds."""
    is_estimate: bool = False
    """The tokenizer is a server's: four bytes count as a token."""


FailureKind = Literal["model", "template", "overflow", "usage", "lost", "engine"]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The request did not work; the engine lives on. `request_id` is empty for a command in which
    no request can be found."""

    request_id: str
    kind: FailureKind
    message: str
    hint: str = ""


Answered = Finished | Measured | Embedded | Scored
Event = Ready | LoadProgress | Loaded | PrefillProgress | Delta | ScoreProgress | Answered | Failed


def end_before_start(request: Generate | Score) -> Finished | Scored:
    """What a request ends with that was cancelled before anybody worked on it."""
    if isinstance(request, Score):
        return Scored(request_id=request.request_id, is_cancelled=True)
    return Finished(
        request_id=request.request_id,
        choices=[
            Choice(
                index=index,
                parts=request.prefix,
                tokens=request.prefix_tokens,
                finish_reason="cancelled",
                seed=request.params.filled().seed,
            )
            for index in range(max(request.n, 1))
        ],
        usage=Usage(),
        timings=Timings(),
    )
