"""Chat templates: where they lie, and a sample of what they write.

A template comes with the model, so it is untrusted code. It runs in Jinja's immutable sandbox, may
not build huge strings, and is interrupted after a few seconds.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from convert.errors import VocabError
from convert.vocab.files import load_json_if_there, load_text
from convert.vocab.vocabulary import Vocab

SAMPLE = (
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "Thanks!"},
)
_MAX_TEMPLATE = 1 << 20  # bytes; the longest in use has 30 kB
_MAX_REPEAT = 1_000_000
_TIMEOUT_S = 3.0
_SHOWN = 2000  # characters of a rendered sample


def find_templates(
    folder: Path, config: Mapping[str, Any], override: Path | None
) -> tuple[str | None, dict[str, str]]:
    """The chat template and further named ones. Raises `VocabError`.

    `override` first; then, as transformers does, the files beside the tokenizer before its
    configuration.
    """
    named = _named(config.get("chat_template"))
    named |= _named(load_json_if_there(folder / "chat_template.json").get("chat_template"))
    more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    for path in [*more[:16], folder / "chat_template.jinja"]:
        if path.is_file():
            name = "default" if path.parent == folder else path.stem
            named[name] = load_text(path, _MAX_TEMPLATE)
    if override is not None:
        named["default"] = load_template(override)
    default = named.pop("default", None) or None
    return default, {key: text for key, text in named.items() if text} if default else {}


def load_template(path: Path) -> str:
    """The chat template that a person names. Raises `VocabError`."""
    return load_text(path, _MAX_TEMPLATE)


def _named(value: Any) -> dict[str, str]:
    """One template, or a list of objects with name and template, by name."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"default": value}
    if not isinstance(value, list):
        raise VocabError("The chat_template in tokenizer_config.json is no text.")
    pairs = [(i.get("name"), i.get("template")) for i in value if isinstance(i, dict)]
    return {k: text for k, text in pairs if isinstance(k, str) and isinstance(text, str)}


def render_sample(vocab: Vocab) -> str:
    """Three messages as the model's chat template writes them, cut to 2,000 characters.

    Empty without a template. Raises `VocabError` when it cannot be rendered.
    """
    if not vocab.chat_template:
        return ""
    if len(vocab.chat_template) > _MAX_TEMPLATE:
        raise VocabError("The chat template is over a million characters long.")
    words = {
        f"{role}_token": vocab.tokens[index]
        for role, index in vocab.special_ids.items()
        if role in ("bos", "eos", "pad", "unk")
    }
    try:
        with _time_limit():
            template = _environment().from_string(vocab.chat_template)
            text: str = template.render(
                messages=[dict(message) for message in SAMPLE],
                add_generation_prompt=True,
                tools=None,
                documents=None,
                **words,
            )
    # A template may raise anything Python can raise while it runs; none of it is ours.
    except Exception as error:  # noqa: BLE001
        raise VocabError(
            f"The chat template fails: {type(error).__name__}: {str(error)[:200]}.",
            "Give another with --chat-template FILE.",
        ) from None
    return text[:_SHOWN]


def sample_or_nothing(vocab: Vocab) -> str:
    """The rendered sample; empty where it fails, which `template_notes` says."""
    try:
        return render_sample(vocab)
    except VocabError:
        return ""


def template_notes(vocab: Vocab) -> tuple[str, ...]:
    """What rendering shows that the user should know. A failure is a note: weights are no worse."""
    try:
        sample = render_sample(vocab)
    except VocabError as error:
        return (error.message,)
    bos = vocab.tokens[vocab.special_ids["bos"]]
    if sample and vocab.add_bos and sample.startswith(bos):
        note = (
            f"The chat template writes {bos!r:.40} and the tokenizer adds it too: kept as in the "
            "original. chatapp and llama.cpp's server put only one."
        )
        return (note,)
    return ()


def _environment() -> Any:
    import jinja2.exceptions  # 60 ms, and only for models that chat
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(["*", "**"])

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            for sized, factor in ((left, right), (right, left)):
                if operator == "**" or (
                    isinstance(sized, str | list | tuple)
                    and isinstance(factor, int)
                    and len(sized) * factor > _MAX_REPEAT
                ):
                    raise jinja2.exceptions.SecurityError("the result is too large")
            return super().call_binop(context, operator, left, right)

    def fail(message: Any) -> NoReturn:
        raise jinja2.exceptions.TemplateRuntimeError(str(message))

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = fail
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return environment


@contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt Python code that runs too long; only the main thread can be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"it ran for more than {_TIMEOUT_S:.0f} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, _TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
