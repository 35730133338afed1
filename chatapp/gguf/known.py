"""Formats that models are spoken to in, for a model whose own chat template cannot be used.

A format is known by its control tokens: a vocabulary that has all of them was made for it. The
templates are plain: messages without tools. Each can be asked for by its name, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_HEAD = "{{- bos_token }}"
_SPLIT_SYSTEM = (
    "{%- set first = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}"
    "{%- set talk = messages[1:] if messages[0].role == 'system' else messages %}"
)


def _turns(before: str, after: str, prompt: str) -> str:
    """A template that writes every message between `before` and `after`, which know `m`."""
    return (
        "{%- for m in messages %}{{- " + before + " + m.content + " + after + " }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '" + prompt + "' }}{%- endif %}"
    )


def _renamed(answerer: str) -> str:
    return f"('{answerer}' if m.role == 'assistant' else m.role)"


def _pairs(user: str, answer: str, prompt: str) -> str:
    """A template for questions and answers, the system text at the head of the first question."""
    return (
        _SPLIT_SYSTEM
        + "{%- for m in talk %}{%- set said = (first if loop.first else '') + m.content %}"
        "{%- if m.role == 'assistant' %}{{- " + answer + " }}{%- else %}{{- " + user + " }}"
        "{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '" + prompt + "' }}{%- endif %}"
    )


@dataclass(frozen=True, slots=True)
class KnownFormat:
    """A format and how to tell it."""

    name: str
    """What `--chat-template` takes."""
    title: str
    """What people call it."""
    marks: tuple[str, ...]
    """Control tokens that a vocabulary made for it has; none where they are ordinary text."""
    source: str


FORMATS = (
    KnownFormat(
        "harmony",
        "gpt-oss's harmony",
        ("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
        "{%- for m in messages %}{%- if m.role == 'system' %}"
        "{{- '<|start|>developer<|message|># Instructions\n\n' + m.content + '<|end|>' }}"
        "{%- elif m.role == 'assistant' %}"
        "{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}"
        "{%- else %}{{- '<|start|>user<|message|>' + m.content + '<|end|>' }}{%- endif %}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}",
    ),
    KnownFormat(
        "llama4",
        "Llama 4's",
        ("<|header_start|>", "<|header_end|>", "<|eot|>"),
        _HEAD
        + _turns(
            "'<|header_start|>' + m.role + '<|header_end|>\n\n'",
            "'<|eot|>'",
            "<|header_start|>assistant<|header_end|>\n\n",
        ),
    ),
    KnownFormat(
        "kimi",
        "Kimi K2's",
        ("<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
        _turns(
            "'<|im_' + m.role + '|>' + m.role + '<|im_middle|>'",
            "'<|im_end|>'",
            "<|im_assistant|>assistant<|im_middle|>",
        ),
    ),
    KnownFormat(
        "gemma4",
        "Gemma 4's",
        ("<|turn>", "<turn|>"),
        _HEAD
        + _turns("'<|turn>' + " + _renamed("model") + " + '\n'", "'<turn|>\n'", "<|turn>model\n"),
    ),
    KnownFormat(
        "gemma",
        "Gemma's",
        ("<start_of_turn>", "<end_of_turn>"),
        _HEAD
        + _pairs(
            "'<start_of_turn>user\n' + said + '<end_of_turn>\n'",
            "'<start_of_turn>model\n' + said + '<end_of_turn>\n'",
            "<start_of_turn>model\n",
        ),
    ),
    KnownFormat(
        "granite",
        "Granite's",
        ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
        _turns(
            "'<|start_of_role|>' + m.role + '<|end_of_role|>'",
            "'<|end_of_text|>\n'",
            "<|start_of_role|>assistant<|end_of_role|>",
        ),
    ),
    KnownFormat(
        "command-r",
        "Command R's",
        ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
        _HEAD
        + _turns(
            "'<|START_OF_TURN_TOKEN|>' + {'user': '<|USER_TOKEN|>', 'assistant': "
            "'<|CHATBOT_TOKEN|>'}.get(m.role, '<|SYSTEM_TOKEN|>')",
            "'<|END_OF_TURN_TOKEN|>'",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        ),
    ),
    KnownFormat(
        "deepseek",
        "DeepSeek's",
        ("<｜User｜>", "<｜Assistant｜>"),
        _HEAD + "{%- for m in messages %}{%- if m.role == 'user' %}{{- '<｜User｜>' + m.content }}"
        "{%- elif m.role == 'assistant' %}{{- '<｜Assistant｜>' + m.content + eos_token }}"
        "{%- else %}{{- m.content }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<｜Assistant｜>' }}{%- endif %}",
    ),
    KnownFormat(
        "chatml",
        "ChatML",
        ("<|im_start|>", "<|im_end|>"),
        _turns("'<|im_start|>' + m.role + '\n'", "'<|im_end|>\n'", "<|im_start|>assistant\n"),
    ),
    KnownFormat(
        "llama3",
        "Llama 3's",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        _HEAD
        + _turns(
            "'<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'",
            "'<|eot_id|>'",
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ),
    KnownFormat(
        "glm",
        "GLM's",
        ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>"),
        "{{- '[gMASK]<sop>' }}" + _turns("'<|' + m.role + '|>\n'", "''", "<|assistant|>\n"),
    ),
    KnownFormat(
        "phi",
        "Phi's",
        ("<|user|>", "<|assistant|>", "<|end|>"),
        _turns("'<|' + m.role + '|>\n'", "'<|end|>\n'", "<|assistant|>\n"),
    ),
    KnownFormat(
        "zephyr",
        "Zephyr's",
        ("<|user|>", "<|assistant|>"),
        _turns("'<|' + m.role + '|>\n'", "eos_token + '\n'", "<|assistant|>\n"),
    ),
    KnownFormat(
        "mistral",
        "Mistral's",
        ("[INST]", "[/INST]"),
        _HEAD + _pairs("'[INST] ' + said + '[/INST]'", "' ' + said + eos_token", ""),
    ),
    KnownFormat(
        "vicuna",
        "Vicuna's",
        (),
        _pairs("'USER: ' + said + '\n'", "'ASSISTANT: ' + said + eos_token + '\n'", "ASSISTANT:"),
    ),
    KnownFormat(
        "alpaca",
        "Alpaca's",
        (),
        _pairs(
            "'### Instruction:\n' + said + '\n\n'",
            "'### Response:\n' + said + eos_token + '\n\n'",
            "### Response:\n",
        ),
    ),
)


def find_format(name: str) -> KnownFormat | None:
    """The format of answers that is known by that name."""
    return next((known for known in FORMATS if known.name == name.lower()), None)


def nearest_format(is_token: Callable[[str], bool], unusable: str = "") -> KnownFormat | None:
    """The format whose control tokens the vocabulary has; first those an `unusable` template names.

    `is_token` tells whether a text is one token.
    """
    fitting = [known for known in FORMATS if known.marks and all(map(is_token, known.marks))]
    named = (known for known in fitting if all(mark in unusable for mark in known.marks))
    return next(named, fitting[0] if fitting else None)
