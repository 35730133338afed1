"""Chat templates in the manner of many models, each short: how it writes thoughts and calls."""

from __future__ import annotations

from dataclasses import dataclass

_N, _A = "c.function.name", "c.function.arguments"
_JSON = f'{{"name": "{{{{ {_N} }}}}", "arguments": {{{{ {_A} | tojson }}}}}}'
_PYTHON = (
    f"{{{{ {_N} }}}}({{% for k, v in {_A}.items() %}}{{{{ k }}}}={{{{ v | tojson }}}}"
    "{% if not loop.last %}, {% endif %}{% endfor %})"
)
_NAME, _ARGUMENTS = f"{{{{ {_N} }}}}", f"{{{{ {_A} | tojson }}}}"


def _each(body: str, between: str = "") -> str:
    gap = f"{{% if not loop.last %}}{between}{{% endif %}}" if between else ""
    return f"{{% for c in m.tool_calls %}}{body}{gap}{{% endfor %}}"


def _value(before: str, after: str) -> str:
    text = "{% if v is string %}{{ v }}{% else %}{{ v | tojson }}{% endif %}"
    return f"{before}{text}{after}"


def _pairs(before: str, after: str) -> str:
    """Every argument, its value between two texts, strings as they are."""
    return f"{{% for k, v in {_A}.items() %}}{_value(before, after)}{{% endfor %}}"


@dataclass(frozen=True)
class Spelling:
    """One model's way of writing its turn."""

    calls: str = ""
    thought: tuple[str, str] = ("", "")
    begun: str = "<|im_start|>assistant\n"
    """What an assistant's turn begins with."""
    end: str = "<|im_end|>\n"
    asked: tuple[str, str] = ("<|im_start|>user\n", "<|im_end|>\n")
    prompt: str = ""
    """What a prompt ends with behind `begun`."""
    said: tuple[str, str] = ("", "")
    """Marks around what is said."""
    names_id: bool = False

    @property
    def template(self) -> str:
        """The Jinja source."""
        opening, closing = self.thought
        thinks = (
            f"{{% if m.reasoning_content %}}{opening}{{{{ m.reasoning_content }}}}{closing}"
            "{% endif %}"
            if closing
            else ""
        )
        said = f"{{% if m.content %}}{self.said[0]}{{{{ m.content }}}}{self.said[1]}{{% endif %}}"
        calls = f"{{% if m.tool_calls %}}{self.calls}{{% endif %}}" if self.calls else ""
        tools = "{% if tools %}TOOLS {{ tools | tojson }}\n{% endif %}" if self.calls else ""
        source = (
            f"{tools}{{% for m in messages %}}{{% if m.role == 'assistant' %}}{self.begun}{thinks}"
            f"{said}{calls}{self.end}{{% elif m.role == 'tool' %}}{self.asked[0]}RESULT "
            f"{{{{ m.content }}}}{self.asked[1]}{{% else %}}{self.asked[0]}{{{{ m.content }}}}"
            f"{self.asked[1]}{{% endif %}}{{% endfor %}}"
            f"{{% if add_generation_prompt %}}{self.begun}{self.prompt}{{% endif %}}"
        )
        return source.replace("%}\n", "%}{{ '\\n' }}")  # else Jinja drops the line break


_THINK = ("<think>\n", "\n</think>\n\n")
_DEEP = {
    "begun": "<｜Assistant｜>",
    "end": "<｜end▁of▁sentence｜>",
    "asked": ("<｜User｜>", ""),
}
SPELLINGS: dict[str, Spelling] = {
    "hermes": Spelling(_each(f"<tool_call>\n{_JSON}\n</tool_call>", "\n"), _THINK),
    "hermes, thought begun by the prompt": Spelling(
        _each(f"<tool_call>\n{_JSON}\n</tool_call>", "\n"), _THINK, prompt="<think>\n"
    ),
    "list between two marks": Spelling(
        f"<|tool_call|>[{_each(_JSON, ', ')}]<|/tool_call|>",
        begun="<|assistant|>",
        end="<|end|>",
        asked=("<|user|>", "<|end|>"),
    ),
    "list behind a mark": Spelling(
        f"<|tool_call|>[{_each(_JSON, ', ')}]",
        begun="<|start_of_role|>assistant<|end_of_role|>",
        end="<|end_of_text|>\n",
        asked=("<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"),
    ),
    "two marks before a call": Spelling(
        _each(
            f'<|action_start|><|plugin|>\n{{"name": "{{{{ {_N} }}}}", "parameters": '
            f"{{{{ {_A} | tojson }}}}}}<|action_end|>\n"
        )
    ),
    "bare list": Spelling(
        f"[{_each(_JSON, ', ')}]",
        begun="### Response:",
        end="\n<|EOT|>\n",
        asked=("### Instruction:\n", "\n"),
    ),
    "bare object": Spelling(
        _each(_JSON.replace("arguments", "parameters", 1)),
        begun="<|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
        asked=("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    ),
    "list over several lines": Spelling(
        "<tool_calls>[\n  " + _each(_JSON, ",\n  ") + "\n]</tool_calls>",
        begun="<|bom|><|assistant|> ",
        end="<|eom|>",
        asked=("<|bom|><|user|> ", "<|eom|>"),
    ),
    "list in upper case": Spelling(
        f"<TOOLCALL>[{_each(_JSON, ', ')}]</TOOLCALL>",
        ("<think>\n", "\n</think>\n\n"),
        begun="<SPECIAL_11>Assistant\n",
        end="\n<SPECIAL_12>\n",
        asked=("<SPECIAL_11>User\n", "\n"),
        prompt="<think>\n",
    ),
    "objects in a section": Spelling("<tool_calls>\n" + _each(_JSON + "\n") + "</tool_calls>"),
    "python lines": Spelling(
        "<function_calls>\n" + _each(_PYTHON, "{{ '\\n' }}") + "\n</function_calls>"
    ),
    "python list": Spelling(
        f"<|tool_call_start|>[{_each(_PYTHON, ', ')}]<|tool_call_end|>", _THINK
    ),
    "python list of Llama": Spelling(
        f"<|python_start|>[{_each(_PYTHON, ', ')}]<|python_end|>",
        begun="<|header_start|>assistant<|header_end|>\n\n",
        end="<|eot|>",
        asked=("<|header_start|>user<|header_end|>\n\n", "<|eot|>"),
    ),
    "bare python": Spelling(f"[{_each(_PYTHON, ', ')}]"),
    "python in code tags": Spelling(
        "<code>\n" + _each(_PYTHON, "{{ '\\n' }}") + "\n</code>", _THINK
    ),
    "thoughts and a response": Spelling(
        _each(f"\n<tool_call>\n{_JSON}\n</tool_call>\n"),
        _THINK,
        said=("<response>\n", "\n</response>\n"),
    ),
    "thoughts and an answer": Spelling(
        "<tool_calls>"
        + _each(f"<tool_call>{_NAME}\n```json\n{_ARGUMENTS}\n```</tool_call>", "\n")
        + "</tool_calls>",
        ("<think>\n", "\n</think>\n"),
        said=("<answer>\n", "\n</answer>"),
        begun="<|hy_Assistant|>",
        end="<|hy_eos|>",
        asked=("<|hy_User|>", ""),
    ),
    "name and arguments in brackets": Spelling(
        _each(f"[TOOL_CALLS]{{{{ {_N} }}}}[ARGS]{{{{ {_A} | tojson }}}}"),
        ("[THINK]", "[/THINK]"),
        begun="",
        end="</s>",
        asked=("[INST]", "[/INST]"),
    ),
    "name, id and arguments in brackets": Spelling(
        _each(f"[TOOL_CALLS]{{{{ {_N} }}}}[CALL_ID]{{{{ c.id }}}}[ARGS]{{{{ {_A} | tojson }}}}"),
        begun="",
        end="</s>",
        asked=("[INST]", "[/INST]"),
        names_id=True,
    ),
    "name, then JSON in a code block": Spelling(
        "<｜tool▁calls▁begin｜>"
        + _each(
            f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{{{ {_N} }}}}\n```json\n"
            f"{{{{ {_A} | tojson }}}}\n```<｜tool▁call▁end｜>",
            "\n",
        )
        + "<｜tool▁calls▁end｜>",
        ("<think>\n", "\n</think>\n\n"),
        **_DEEP,
    ),
    "name, then JSON between marks": Spelling(
        "<｜tool▁calls▁begin｜>"
        + _each(
            f"<｜tool▁call▁begin｜>{{{{ {_N} }}}}<｜tool▁sep｜>{{{{ {_A} | tojson }}}}"
            "<｜tool▁call▁end｜>"
        )
        + "<｜tool▁calls▁end｜>",
        ("<think>", "</think>"),
        **_DEEP,
    ),
    "name on a line": Spelling(
        "{% if m.content %}<|assistant|>\n{% endif %}"
        + _each(f"{_NAME}\n{_ARGUMENTS}", "<|assistant|>"),
        begun="<|assistant|>\n",
        end="",
        asked=("<|user|>\n", ""),
    ),
    "name as a tag's value": Spelling(
        _each(f"<function={{{{ {_N} }}}}>{{{{ {_A} | tojson }}}}</function>")
    ),
    "name as an attribute": Spelling(
        _each(f'<tool_call name="{{{{ {_N} }}}}">{{{{ {_A} | tojson }}}}</tool_call>', "\n")
    ),
    "id before the name": Spelling(
        _each(
            f'<call id="{{{{ c.id }}}}" name="{{{{ {_N} }}}}">{{{{ {_A} | tojson }}}}</call>', "\n"
        ),
        names_id=True,
    ),
    "name within the id": Spelling(
        "<|tool_calls_section_begin|>"
        + _each(
            f"<|tool_call_begin|>functions.{{{{ {_N} }}}}:{{{{ loop.index0 }}}}"
            f"<|tool_call_argument_begin|>{{{{ {_A} | tojson }}}}<|tool_call_end|>"
        )
        + "<|tool_calls_section_end|>",
        ("<think>", "</think>"),
        names_id=True,
    ),
    "name as a key": Spelling(
        "<|tools_prefix|>["
        + _each('{"' + _NAME + '": ' + _ARGUMENTS + "}", ", ")
        + "]<|tools_suffix|>",
        begun="<|assistant_start|>",
        end="<|assistant_end|>",
        asked=("<|user_start|>", "<|user_end|>"),
    ),
    "ids and other keys": Spelling(
        "<|START_ACTION|>["
        + _each(
            f'\n    {{"tool_call_id": "{{{{ c.id }}}}", "tool_name": "{{{{ {_N} }}}}", '
            f'"parameters": {{{{ {_A} | tojson }}}}}}',
            ",",
        )
        + "\n]<|END_ACTION|>",
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        begun="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        end="<|END_OF_TURN_TOKEN|>",
        asked=("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        said=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        names_id=True,
    ),
    "OpenAI's shape": Spelling(
        _each(
            f'<tool_call>{{"id": "{{{{ c.id }}}}", "type": "function", "function": {_JSON}}}'
            "</tool_call>",
            "\n",
        ),
        names_id=True,
    ),
    "strings between marks": Spelling(
        _each(
            f"<start_function_call>call:{{{{ {_N} }}}}{{{{ '{{' }}}}"
            f"{{% for k, v in {_A}.items() %}}{{{{ k }}}}:{{% if v is string %}}<escape>{{{{ v }}}}"
            "<escape>{% else %}{{ v | tojson }}{% endif %}"
            "{% if not loop.last %},{% endif %}{% endfor %}{{ '}' }}<end_function_call>"
        ),
        begun="<start_of_turn>model\n",
        end="<end_of_turn>\n",
        asked=("<start_of_turn>user\n", "<end_of_turn>\n"),
    ),
    "tags with line breaks": Spelling(
        _each(
            f"<tool_call>\n<function={{{{ {_N} }}}}>\n"
            + _pairs("<parameter={{ k }}>\n", "\n</parameter>\n")
            + "</function>\n"
            "</tool_call>",
            "\n",
        ),
        _THINK,
        prompt="<think>\n",
    ),
    "tags without line breaks": Spelling(
        _each(
            f"<seed:tool_call>\n<function={{{{ {_N} }}}}>\n"
            + _pairs("<parameter={{ k }}>", "</parameter>\n")
            + "</function>\n"
            "</seed:tool_call>",
            "\n",
        ),
        ("<seed:think>", "</seed:think>"),
        begun="<seed:bos>assistant\n",
        end="<seed:eos>",
        asked=("<seed:bos>user\n", "<seed:eos>"),
    ),
    "key and value in tags": Spelling(
        _each(
            f"\n<tool_call>{{{{ {_N} }}}}\n"
            + _pairs("<arg_key>{{ k }}</arg_key>\n<arg_value>", "</arg_value>\n")
            + ""
            "</tool_call>"
        ),
        ("\n<think>", "</think>\n"),
        begun="<|assistant|>",
        end="",
        asked=("<|user|>\n", ""),
    ),
    "key and value in tags, behind a separator": Spelling(
        "<tool_calls>\n"
        + _each(
            f"<tool_call>{{{{ {_N} }}}}<tool_sep>\n"
            + _pairs("<arg_key>{{ k }}</arg_key>\n<arg_value>", "</arg_value>\n")
            + ""
            "</tool_call>\n"
        )
        + "</tool_calls>",
        _THINK,
    ),
    "names as attributes": Spelling(
        "<minimax:tool_call>\n"
        + _each(
            f'<invoke name="{{{{ {_N} }}}}">\n'
            + _pairs('<parameter name="{{ k }}">', "</parameter>\n")
            + "</invoke>\n"
        )
        + "</minimax:tool_call>",
        _THINK,
        begun="]~b]ai\n",
        end="[e~[\n",
        asked=("]~b]user\n", "[e~[\n"),
        prompt="<think>\n",
    ),
    "names as attributes, between marks": Spelling(
        "<|tool_calls_begin|>"
        + _each(
            f'<|tool_call_begin|>function<|tool_sep|><st:invoke name="{{{{ {_N} }}}}">'
            + _pairs('<st:parameter name="{{ k }}">', "</st:parameter>")
            + "</st:invoke>"
            "<|tool_call_end|>"
        )
        + "<|tool_calls_end|>",
        ("<think>", "</think>"),
        begun="<|BOT|>assistant\n",
        end="<|EOT|>",
        asked=("<|BOT|>user\n", "<|EOT|>"),
    ),
    "types as attributes": Spelling(
        "\n\n<｜X｜calls>\n"
        + _each(
            f'<｜X｜invoke name="{{{{ {_N} }}}}">\n'
            + _pairs(
                '<｜X｜parameter name="{{ k }}" string="{{ "true" if v is string else "false" }}">',
                "</｜X｜parameter>\n",
            )
            + "</｜X｜invoke>\n"
        )
        + "</｜X｜calls>",
        ("<think>", "</think>"),
        **_DEEP,
    ),
    "thoughts that only end": Spelling(
        thought=("Here are my thoughts:\n", "\n[BEGIN FINAL RESPONSE]\n"),
        prompt="Here are my thoughts:\n",
    ),
    "no thoughts, no calls": Spelling(),
}
