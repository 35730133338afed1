"""How a model is best sampled, as its maker wrote it into `generation_config.json`.

Hugging Face's file, beside the checkpoint; llama.cpp's own key for it is `general.sampling.temp`.
A file that cannot be used is a note, never an error: the weights are none the worse for it.
"""

import json
import math
from pathlib import Path

NAME = "generation_config.json"
_LONGEST = 1_000_000


def read_temperature(folder: Path) -> tuple[float | None, str]:
    """(temperature, note): None where the file or the field is missing or unusable."""
    path = folder / NAME
    if not path.is_file():
        return None, ""
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(_LONGEST))
        temperature = float(values["temperature"])
    except KeyError:
        return None, ""
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return None, f"{NAME} is left out: {error}"
    if not (math.isfinite(temperature) and 0 <= temperature <= 100):
        return None, f"{NAME} is left out: a temperature of {temperature:g}"
    return temperature, ""
