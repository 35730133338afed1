"""How a model is best used, as its maker wrote it into `generation_config.json`.

Hugging Face's file, beside the checkpoint. `temperature` becomes llama.cpp's own key
`general.sampling.temp`; `chatapp_guide` says that the model was trained to answer from facts about
chatapp, which are then put before every question. A file that cannot be used is a note, never an
error: the weights are none the worse for it.
"""

import json
import math
from pathlib import Path
from typing import Any

NAME = "generation_config.json"
_LONGEST = 1_000_000


def read_temperature(folder: Path) -> tuple[float | None, str]:
    """(temperature, note): None where the file or the field is missing or unusable."""
    if not (folder / NAME).is_file():
        return None, ""
    try:
        temperature = float(_read(folder)["temperature"])
    except KeyError:
        return None, ""
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return None, f"{NAME} is left out: {error}"
    if not (math.isfinite(temperature) and 0 <= temperature <= 100):
        return None, f"{NAME} is left out: a temperature of {temperature:g}"
    return temperature, ""


def read_guide(folder: Path) -> bool:
    """Whether the model wants facts about chatapp before every question; what cannot be read says
    no such thing."""
    try:
        return _read(folder)["chatapp_guide"] is True
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _read(folder: Path) -> Any:
    with (folder / NAME).open("rb") as file:
        return json.loads(file.read(_LONGEST))
