"""Values for a preset's variables as people give them: `to=German`, `text=@FILE`, `to=@@home`."""

from pathlib import Path

from chatapp.errors import UsageError
from chatapp.paths import expand_home

MAX_BYTES = 16 << 20
"""More than any context holds; keeps `/dev/zero` from filling memory."""


def expand_value(name: str, value: str, folder: Path) -> str:
    """What a variable is given: the text of a file behind `@`, one `@` for two, else as it is.

    A relative path is one in `folder`. A named pipe is read to its end.
    """
    if value.startswith("@@"):
        return value[1:]
    if not value.startswith("@"):
        return value
    path = folder / expand_home(value[1:])
    hint = f"A value that begins with @ itself is given with two: {name}=@{value}."
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"{name}: {value[1:]} cannot be read: {error.strerror or error}.", hint
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {value[1:]} is not UTF-8 text.", hint) from None
    except ValueError:  # a zero byte in the name
        raise UsageError(f"{name}: that is no name of a file.", hint) from None
    if len(content) > MAX_BYTES:
        raise UsageError(f"{name}: {value[1:]} holds more than {MAX_BYTES >> 20} MiB.")
    return text.rstrip("\n")
