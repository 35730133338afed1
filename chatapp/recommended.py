"""What a model file recommends for sampling: its `general.sampling.*`, by our names.

Source of the keys: `common_init_sampler_from_model` in llama.cpp's `common/common.cpp`. A file is
written by a stranger: what is of another type, out of bounds or unknown is left out and named.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chatapp.errors import UsageError
from chatapp.sampling import find_sampler, parameters
from chatapp.text import cut_text, one_line

_NAMES = {
    "sequence": "samplers",
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
_HOTTEST = 2.0
"""A temperature above is no recommendation: at 2 most models write word salad already."""
_SHOWN = 40
"""Characters of a value in a sentence."""


def read_recommended(values: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """(parameters, sentences on what is ignored), from the file's keys behind `general.sampling.`.

    Lists and numbers that are not finite come as text, as `ModelInfo.sampling` has them.
    """
    found: dict[str, Any] = {}
    ignored: list[str] = []
    for key, value in values.items():
        name = _NAMES.get(key, "")
        try:
            if name == "samplers":
                found[name], unknown = _read_sequence(value)
                ignored += [f"{_show(one)} in sequence (it is not known)" for one in unknown]
            else:
                found[name] = _read_number(name, value)
        except UsageError as error:
            ignored.append(f"{_show(key)} = {_show(value)} ({error.message.rstrip('.')})")
    if not ignored:
        return found, []
    what = "; ".join(ignored)
    return found, [f"Of what the model file recommends for sampling, this is ignored: {what}."]


def _read_sequence(value: object) -> tuple[list[str], list[str]]:
    """(samplers that we know in their order, names that we do not)."""
    if not isinstance(value, str):
        raise UsageError("it is no text")
    names = [name.strip() for name in value.split(";") if name.strip()]
    known = [sampler for name in names if (sampler := find_sampler(name))]
    if not known:
        raise UsageError("it names no sampler that is known")
    return list(dict.fromkeys(known)), [name for name in names if not find_sampler(name)]


def _read_number(name: str, value: object) -> int | float:
    parameter = next((one for one in parameters() if one.name == name), None)
    if parameter is None:
        raise UsageError("it is not known")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError("it is no number")
    if parameter.kind is int and not float(value).is_integer():
        raise UsageError("it is no whole number")
    if name == "top_k" and value < 0:
        return 0  # to llama.cpp both are off
    most = _HOTTEST if name == "temperature" else parameter.maximum
    least = 0 if name == "temperature" else parameter.minimum
    assert most is not None
    assert least is not None
    if not least <= value <= most:
        bounds = replace(parameter, minimum=least, maximum=most).bounds()
        raise UsageError(bounds)
    return int(value) if parameter.kind is int else float(value)


def _show(value: object) -> str:
    return cut_text(one_line(str(value)), _SHOWN)
