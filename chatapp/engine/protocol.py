"""What the engine process and its client say to each other: one JSON object a line.

Commands go in and are imperative, events come out and are facts. Everything that belongs to a
request carries its `request_id`. The first event is `Ready` with `PROTOCOL_VERSION`; a client
that does not know the version must stop. Token ids are the loaded model's own.
"""

from typing import Literal

import msgspec

from chatapp.sampling import SamplingParams

PROTOCOL_VERSION = 1

MAX_LOGPROBS = 20
"""Likeliest tokens that can be asked for, as in OpenAI's API."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longest line either side accepts: a 2 MB paste escaped to JSON and then some."""

FinishReason = Literal["stop", "length", "cancelled"]
Channel = Literal["answer", "reasoning"]


class ChatMessage(msgspec.Struct, frozen=True):
    """One message as the chat template sees it."""

    role: str
    content: str
    tokens: list[int] = []
    """The very tokens this answer was sampled as, if this model made it: they are put into the
    prompt as they are, so that the cache of the last turn stays valid."""


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
    """Threads for decode and prefill; 0: every core this process may use."""
    n_batch: int = 512
    """Most tokens in one call of llama_decode while the prompt is read."""
    n_parallel: int = 4
    """Most alternatives that can be decoded together."""
    flash_attn: bool = True
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"
    """Type of the KV cache; `auto`: f16, or q8_0 (half of it) where that makes the model fit."""


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded model."""

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
    """False: the model has none, and text is completed instead of answered."""
    template_hash: str = ""
    temperature: float = 0.8
    """What the file's maker samples it with (`general.sampling.temp`), else 0.8."""
    fingerprint: str = ""
    """Hash of the file's size and parts of its bytes: tokens of one model are valid in another
    only if this is the same."""
    host: str = ""
    """The server that text goes to; empty: it stays on this machine."""
    load_s: float = 0.0
    notices: list[str] = []
    """Sentences the user should see: a clamped context, a broken template."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one request."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    """Prompt tokens whose keys and values were still in the cache."""
    completion_tokens: int = 0
    """Over all alternatives."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one request went. Seconds from the engine's receipt of the request."""

    load_s: float = 0.0
    time_to_first_token_s: float = 0.0
    prefill_tokens_per_second: float = 0.0
    """Over the tokens that were not reused."""
    decode_tokens_per_second: float = 0.0
    """From the first sampled token to the last, all alternatives together."""
    total_s: float = 0.0


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Replace the loaded model."""

    request_id: str
    options: LoadOptions


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """Answer `messages`, or complete `prompt` when it is given."""

    request_id: str
    messages: list[ChatMessage] = []
    prompt: str | None = None
    params: SamplingParams = SamplingParams()
    n: int = 1
    logprobs: int = 0
    """Report the log-probability of every sampled token, and so many of the likeliest (at most
    `MAX_LOGPROBS`); 0: none."""
    prefix_text: str = ""
    """The answer's beginning, to go on from. Used alone it is tokenised; with `prefix_tokens`
    only text beyond it is sent again."""
    prefix_tokens: list[int] = []
    """The answer's beginning as the very tokens that were sampled."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop the request; it ends with `Finished` and what was said so far."""

    request_id: str


class Unload(msgspec.Struct, frozen=True, tag="unload"):
    """Free the model; answered by `Unloaded`."""

    request_id: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Finish nothing, free everything, exit."""


Command = Load | Generate | Cancel | Unload | Shutdown


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The first event: who speaks."""

    protocol_version: int
    backend: str
    backend_version: str
    pid: int


class LoadProgress(msgspec.Struct, frozen=True, tag="load_progress"):
    """`fraction` (0 to 1) of the weights is in memory."""

    request_id: str
    fraction: float


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The model can be used."""

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
    """More of alternative `index`. `text` may lag behind `tokens` at a split character or while a
    stop string may be beginning; it never runs ahead."""

    request_id: str
    text: str
    tokens: list[int] = []
    index: int = 0
    channel: Channel = "answer"


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
    """How one alternative ended."""

    index: int = 0
    text: str = ""
    """The whole answer, its prefix included."""
    tokens: list[int] = []
    reasoning: str = ""
    logprobs: list[TokenLogprob] = []
    """Of every sampled token, the end of the answer included, when they were asked for."""
    finish_reason: FinishReason = "stop"
    note: str = ""
    """A sentence, when it ended where nothing was allowed to follow although it is not whole."""
    seed: int = 0


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """The request is over; every alternative says how it ended."""

    request_id: str
    choices: list[Choice]
    usage: Usage
    timings: Timings
    n_past: int = 0
    """Tokens of the context in use after this answer."""


class Unloaded(msgspec.Struct, frozen=True, tag="unloaded"):
    """The model is gone."""

    request_id: str


FailureKind = Literal["model", "template", "overflow", "usage", "lost", "engine"]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The request did not work; the engine lives on. `request_id` is empty for a bad command."""

    request_id: str
    kind: FailureKind
    message: str
    hint: str = ""


Event = Ready | LoadProgress | Loaded | PrefillProgress | Delta | Finished | Unloaded | Failed
