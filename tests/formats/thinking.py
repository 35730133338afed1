"""Families whose models think before they answer, each in its own marks."""

from bench.scripted import Words
from tests.formats.family import Family, Said

THOUGHT = "The sky is <b>grey</b>, so\nit may rain."
AGAIN = "Once more: rain."

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and m.reasoning_content and loop.last %}"
    "<think>\n{{ m.reasoning_content.strip('\n') }}\n</think>\n\n{% endif %}"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

QWEN3 = Family(
    name="qwen3",
    words=Words(
        control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        user_defined=("<think>", "</think>", "<tool_call>", "</tool_call>"),
    ),
    source=_CHATML,
    asked="<|im_start|>user\n{}<|im_end|>\n",
    begun="<|im_start|>assistant\n",
    first=Said(
        f"<think>\n{THOUGHT}\n</think>\n\nGrey, with rain.<|im_end|>", "Grey, with rain.", THOUGHT
    ),
    kept="<|im_start|>assistant\nGrey, with rain.<|im_end|>\n",
    second=Said(f"<think>\n{AGAIN}\n</think>\n\n**Sun**.<|im_end|>", "**Sun**.", AGAIN),
)

DEEPSEEK = Family(  # the prompt opens the thought, the model only closes it
    name="deepseek",
    words=Words(
        control=(
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<｜User｜>",
            "<｜Assistant｜>",
        ),
        user_defined=("<think>", "</think>"),
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
    ),
    source=(
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'system' %}{{ m.content }}"
        "{% elif m.role == 'user' %}<｜User｜>{{ m.content }}"
        "{% else %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}{{ eos_token }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
    ),
    opening="<｜begin▁of▁sentence｜>",
    asked="<｜User｜>{}",
    begun="<｜Assistant｜><think>\n",
    first=Said(
        f"{THOUGHT}\n</think>\n\nGrey, with rain.<｜end▁of▁sentence｜>", "Grey, with rain.", THOUGHT
    ),
    kept="<｜Assistant｜>Grey, with rain.<｜end▁of▁sentence｜>",
    second=Said(f"{AGAIN}</think>**Sun**.<｜end▁of▁sentence｜>", "**Sun**.", AGAIN),
)

HARMONY_WORDS = Words(
    control=(
        "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|call|>", "<|constrain|>",
        "<|channel|>", "<|start|>", "<|end|>", "<|message|>",
    ),
    bos="<|startoftext|>",
    eos="<|return|>",
)  # fmt: skip
HARMONY_TEMPLATE = (
    "<|start|>system<|message|>You are a model.\nReasoning: {{ reasoning_effort or 'medium' }}\n\n"
    "# Valid channels: analysis, commentary, final.<|end|>"
    "{% if tools %}<|start|>developer<|message|># Tools\n{{ tools | tojson }}<|end|>{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}<|start|>user<|message|>{{ m.content }}<|end|>"
    "{% elif m.role == 'system' %}<|start|>developer<|message|># Instructions\n\n{{ m.content }}"
    "<|end|>"
    "{% elif m.role == 'tool' %}<|start|>functions.x to=assistant<|channel|>commentary<|message|>"
    "{{ m.content | tojson }}<|end|>"
    "{% elif m.tool_calls %}{% if m.thinking and loop.last %}<|start|>assistant<|channel|>analysis"
    "<|message|>{{ m.thinking }}<|end|>{% endif %}"
    "<|start|>assistant to=functions.{{ m.tool_calls[0].function.name }}<|channel|>commentary json"
    "<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>"
    "{% elif loop.last and not add_generation_prompt %}"
    "{% if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% else %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
HARMONY_OPENING = (
    "<|start|>system<|message|>You are a model.\nReasoning: medium\n\n"
    "# Valid channels: analysis, commentary, final.<|end|>"
)

HARMONY = Family(
    name="harmony",
    words=HARMONY_WORDS,
    source=HARMONY_TEMPLATE,
    opening=HARMONY_OPENING,
    asked="<|start|>user<|message|>{}<|end|>",
    begun="<|start|>assistant",
    first=Said(
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Grey, with rain.<|return|>",
        "Grey, with rain.",
        THOUGHT,
    ),
    kept="<|start|>assistant<|channel|>final<|message|>Grey, with rain.<|end|>",
    second=Said(
        f"<|channel|>analysis<|message|>{AGAIN}<|end|>"
        "<|start|>assistant<|channel|>final<|message|>**Sun**.<|return|>",
        "**Sun**.",
        AGAIN,
    ),
    marks=("analysis", "final"),
)

GEMMA4_WORDS = Words(
    control=(
        "<bos>", "<eos>", "<|turn>", "<turn|>", "<|think|>", "<|tool>", "<tool|>",
        "<|tool_response>", "<tool_response|>",
    ),
    user_defined=("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'),
    bos="<bos>",
    eos="<eos>",
)  # fmt: skip

GEMMA4 = Family(
    name="gemma4",
    words=GEMMA4_WORDS,
    source=(
        "{% macro spoken(text) %}{% for part in text.split('<channel|>') %}"
        "{{ part.split('<|channel>')[0] | trim }}{% endfor %}{% endmacro %}"
        "{{ bos_token }}{% for m in messages %}"
        "<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{% if m.role == 'assistant' %}{{ spoken(m.content) }}"
        "{% else %}{{ m.content | trim }}{% endif %}<turn|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
    ),
    opening="<bos>",
    asked="<|turn>user\n{}<turn|>\n",
    begun="<|turn>model\n",
    first=Said(
        f"<|channel>thought\n{THOUGHT}\n<channel|>Grey, with rain.<turn|>",
        "Grey, with rain.",
        THOUGHT,
    ),
    kept="<|turn>model\nGrey, with rain.<turn|>\n",
    second=Said(f"<|channel>thought\n{AGAIN}<channel|>**Sun**.<turn|>", "**Sun**.", AGAIN),
)

MISTRAL_WORDS = Words(
    control=(
        "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
        "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[ARGS]",
        "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[THINK]", "[/THINK]",
    ),
    bos="<s>",
    eos="</s>",
)  # fmt: skip

MINISTRAL = Family(  # the marks are control tokens; thoughts stay only where they come as parts
    name="ministral",
    words=MISTRAL_WORDS,
    source=(
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
        "{% elif m.role == 'user' %}[INST]{% if m.content is string %}{{ m.content }}"
        "{% else %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}[/INST]"
        "{% elif m.content is string %}{{ m.content }}{{ eos_token }}"
        "{% else %}{% for part in m.content %}{% if part.type == 'thinking' %}"
        "[THINK]{{ part.thinking }}[/THINK]{% else %}{{ part.text }}{% endif %}{% endfor %}"
        "{{ eos_token }}{% endif %}{% endfor %}"
    ),
    opening="<s>",
    asked="[INST]{}[/INST]",
    begun="",
    first=Said(f"[THINK]{THOUGHT}[/THINK]Grey, with rain.</s>", "Grey, with rain.", THOUGHT),
    kept="Grey, with rain.</s>",
    second=Said(f"[THINK]{AGAIN}[/THINK]**Sun**.</s>", "**Sun**.", AGAIN),
)

FAMILIES = (QWEN3, DEEPSEEK, HARMONY, GEMMA4, MINISTRAL)
