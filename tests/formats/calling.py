"""Families whose models call tools, each in its own spelling."""

from bench.scripted import Words
from tests.formats.family import Call, Family, Said
from tests.formats.thinking import (
    GEMMA4_WORDS,
    HARMONY_OPENING,
    HARMONY_TEMPLATE,
    HARMONY_WORDS,
    MISTRAL_WORDS,
)

OSLO = Call("weather", {"place": "Oslo"})
BOTH = Call("weather", {"place": 'Bergen, "west"', "days": 3})

_CHATML_WORDS = Words(
    control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    user_defined=("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
)
_TOOLS = (
    "{% if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}<|im_end|>\n{% endif %}"
)
_BEGUN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_ASKED = "<|im_start|>user\n{}<|im_end|>\n"

HERMES = Family(
    name="hermes",
    words=_CHATML_WORDS,
    source=(
        _TOOLS + "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% if m.tool_calls %}{% for call in m.tool_calls %}"
        "{% if m.content or not loop.first %}\n{% endif %}<tool_call>\n"
        '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
        "\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}" + _BEGUN
    ),
    asked=_ASKED,
    begun="<|im_start|>assistant\n",
    first=Said(
        '<tool_call>\n{"name": "weather", "arguments": {"place": "Oslo"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "weather", "arguments": {"place": "Bergen, \\"west\\"", "days": 3}}'
        "\n</tool_call><|im_end|>",
        calls=(OSLO, BOTH),
    ),
    kept=(
        "<|im_start|>assistant\n"
        '<tool_call>\n{"name": "weather", "arguments": {"place": "Oslo"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "weather", "arguments": {"place": "Bergen, \\"west\\"", "days": 3}}'
        "\n</tool_call><|im_end|>\n"
    ),
    second=Said("**Sun** in `Oslo`.<|im_end|>", "**Sun** in `Oslo`."),
)

QWEN_CODER = Family(
    name="qwen-coder",
    words=_CHATML_WORDS,
    source=(
        _TOOLS + "{% for m in messages %}{% if m.tool_calls %}<|im_start|>assistant"
        "{% if m.content %}\n{{ m.content | trim }}\n{% endif %}"
        "{% for call in m.tool_calls %}\n<tool_call>\n<function={{ call.function.name }}>\n"
        "{% for key, value in call.function.arguments | items %}<parameter={{ key }}>\n"
        "{{ value if value is string else value | tojson }}\n</parameter>\n{% endfor %}"
        "</function>\n</tool_call>{% endfor %}<|im_end|>\n"
        "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        + _BEGUN
    ),
    asked=_ASKED,
    begun="<|im_start|>assistant\n",
    first=Said(
        "Let me look.\n\n<tool_call>\n<function=weather>\n<parameter=place>\nOslo\n</parameter>\n"
        "</function>\n</tool_call><|im_end|>",
        "Let me look.",
        calls=(OSLO,),
    ),
    kept=(
        "<|im_start|>assistant\nLet me look.\n\n<tool_call>\n<function=weather>\n"
        "<parameter=place>\nOslo\n</parameter>\n</function>\n</tool_call><|im_end|>\n"
    ),
    second=Said("**Sun** in `Oslo`.<|im_end|>", "**Sun** in `Oslo`."),
    marks=("<function=", "<parameter="),
)

MISTRAL = Family(
    name="mistral",
    words=MISTRAL_WORDS,
    source=(
        "{{ bos_token }}{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]"
        "{% endif %}{% for m in messages %}"
        "{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
        "{% elif m.role == 'user' %}[INST]{{ m.content }}[/INST]"
        "{% elif m.role == 'tool' %}[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]"
        "{% else %}{{ m.content }}{% for call in m.tool_calls or [] %}"
        "[TOOL_CALLS]{{ call.function.name }}[ARGS]"
        "{% if call.function.arguments is string %}{{ call.function.arguments }}"
        "{% else %}{{ call.function.arguments | tojson }}{% endif %}{% endfor %}"
        "{{ eos_token }}{% endif %}{% endfor %}"
    ),
    opening="<s>",
    asked="[INST]{}[/INST]",
    begun="",
    first=Said(
        '[TOOL_CALLS]weather[ARGS]{"place": "Oslo"}'
        '[TOOL_CALLS]weather[ARGS]{"place": "Bergen, \\"west\\"", "days": 3}</s>',
        calls=(OSLO, BOTH),
    ),
    kept=(
        '[TOOL_CALLS]weather[ARGS]{"place": "Oslo"}'
        '[TOOL_CALLS]weather[ARGS]{"place": "Bergen, \\"west\\"", "days": 3}</s>'
    ),
    second=Said("**Sun** in `Oslo`.</s>", "**Sun** in `Oslo`."),
)

GLM = Family(  # no token ends an answer but the next role's
    name="glm",
    words=Words(
        control=(
            "<|endoftext|>",
            "[gMASK]",
            "<sop>",
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<|observation|>",
        ),
        user_defined=(
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
            "<arg_key>",
            "</arg_key>",
            "<arg_value>",
            "</arg_value>",
        ),
        eos="<|endoftext|>",
        eot="<|user|>",
        eom="<|observation|>",
    ),
    source=(
        "[gMASK]<sop>{% if tools %}<|system|>\n# Tools\n{% for tool in tools %}{{ tool | tojson }}"
        "\n{% endfor %}{% endif %}{% for m in messages %}<|{{ m.role }}|>"
        "{% if m.role == 'assistant' %}"
        "{% set thought = m.reasoning_content if loop.last and m.reasoning_content else '' %}"
        "\n<think>{{ thought.strip() }}</think>"
        "{% if m.content.strip() %}\n{{ m.content.strip() }}{% endif %}"
        "{% for call in m.tool_calls or [] %}\n<tool_call>{{ call.function.name }}\n"
        "{% for key, value in call.function.arguments.items() %}<arg_key>{{ key }}</arg_key>\n"
        "<arg_value>{{ value if value is string else value | tojson }}</arg_value>\n{% endfor %}"
        "</tool_call>{% endfor %}{% else %}\n{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
    opening="[gMASK]<sop>",
    asked="<|user|>\n{}",
    begun="<|assistant|>",
    first=Said(
        "\n<think>Rain, I think.</think>\nLet me look.\n<tool_call>weather\n"
        '<arg_key>place</arg_key>\n<arg_value>Bergen, "west"</arg_value>\n'
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call><|observation|>",
        "Let me look.",
        "Rain, I think.",
        (BOTH,),
    ),
    kept=(
        "<|assistant|>\n<think></think>\nLet me look.\n<tool_call>weather\n"
        '<arg_key>place</arg_key>\n<arg_value>Bergen, "west"</arg_value>\n'
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
    ),
    second=Said("\n<think></think>\n**Sun** in `Oslo`.<|user|>", "**Sun** in `Oslo`."),
)

LFM2 = Family(  # the template writes no calls: they go back as content, in the model's own spelling
    name="lfm2",
    words=Words(
        control=(
            "<|startoftext|>",
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|tool_list_start|>",
            "<|tool_list_end|>",
            "<|tool_call_start|>",
            "<|tool_call_end|>",
            "<|tool_response_start|>",
            "<|tool_response_end|>",
        ),
        bos="<|startoftext|>",
    ),
    source=(
        "{{ bos_token }}{% if tools %}<|im_start|>system\nList of tools: <|tool_list_start|>"
        "{{ tools | tojson }}<|tool_list_end|><|im_end|>\n{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'tool' %}<|tool_response_start|>{{ m.content }}<|tool_response_end|>"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + _BEGUN
    ),
    opening="<|startoftext|>",
    asked=_ASKED,
    begun="<|im_start|>assistant\n",
    first=Said(
        '<|tool_call_start|>[weather(place="Oslo")]<|tool_call_end|><|im_end|>', calls=(OSLO,)
    ),
    kept=(
        "<|im_start|>assistant\n<|tool_call_start|>[weather(place='Oslo')]<|tool_call_end|>"
        "<|im_end|>\n"
    ),
    echoed="<|tool_call_start|>[weather(place='Oslo')]<|tool_call_end|>",
    second=Said("**Sun** in `Oslo`.<|im_end|>", "**Sun** in `Oslo`."),
)

HARMONY_CALL = Family(
    name="harmony-call",
    words=HARMONY_WORDS,
    source=HARMONY_TEMPLATE,
    opening=HARMONY_OPENING,
    asked="<|start|>user<|message|>{}<|end|>",
    begun="<|start|>assistant",
    first=Said(
        "<|channel|>analysis<|message|>Rain, I think.<|end|><|start|>assistant<|channel|>"
        'commentary to=functions.weather <|constrain|>json<|message|>{"place": "Oslo"}<|call|>',
        reasoning="Rain, I think.",
        calls=(OSLO,),
    ),
    kept=(
        "<|start|>assistant to=functions.weather<|channel|>commentary json<|message|>"
        '{"place": "Oslo"}<|call|>'
    ),
    second=Said("<|channel|>final<|message|>**Sun** in `Oslo`.<|return|>", "**Sun** in `Oslo`."),
    marks=("commentary", "analysis", "functions."),
)

GEMMA4_CALL = Family(
    name="gemma4-call",
    words=GEMMA4_WORDS,
    source=(
        "{% macro spoken(text) %}{% for part in text.split('<channel|>') %}"
        "{{ part.split('<|channel>')[0] | trim }}{% endfor %}{% endmacro %}"
        "{% macro written(value) %}{% if value is string %}"
        '<|"|>{{ value }}<|"|>{% else %}{{ value }}{% endif %}{% endmacro %}'
        "{{ bos_token }}{% if tools %}<|turn>system\n{% for tool in tools %}"
        "<|tool>declaration:{{ tool.function.name }}<tool|>{% endfor %}<turn|>\n{% endif %}"
        "{% for m in messages %}<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{% if m.reasoning_content and m.tool_calls and loop.last %}"
        "<|channel>thought\n{{ m.reasoning_content }}\n<channel|>{% endif %}"
        "{% for call in m.tool_calls or [] %}<|tool_call>call:{{ call.function.name + '{' }}"
        "{% for key, value in call.function.arguments | dictsort %}"
        "{% if not loop.first %},{% endif %}{{ key }}:{{ written(value) }}{% endfor %}"
        "}<tool_call|>{% endfor %}"
        "{% if m.role == 'assistant' %}{{ spoken(m.content) }}"
        "{% else %}{{ m.content | trim }}{% endif %}"
        "{% if m.tool_calls %}<|tool_response>{% else %}<turn|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
    ),
    opening="<bos>",
    asked="<|turn>user\n{}<turn|>\n",
    begun="<|turn>model\n",
    first=Said(
        "<|channel>thought\nRain, I think.\n<channel|>"
        '<|tool_call>call:weather{days:3,place:<|"|>Bergen, "west"<|"|>}<tool_call|>'
        "<|tool_response>",
        reasoning="Rain, I think.",
        calls=(Call("weather", {"days": 3, "place": 'Bergen, "west"'}),),
    ),
    kept=(
        '<|turn>model\n<|tool_call>call:weather{days:3,place:<|"|>Bergen, "west"<|"|>}<tool_call|>'
        "<|tool_response>"
    ),
    second=Said("**Sun** in `Oslo`.<turn|>", "**Sun** in `Oslo`."),
)

FAMILIES = (HERMES, QWEN_CODER, MISTRAL, GLM, LFM2, HARMONY_CALL, GEMMA4_CALL)
