"""When Python looks for reference cycles: at moments when nobody waits.

A full collection walks every object of the process: 50 ms and more with Textual loaded, in the
middle of whatever is drawn, and it was the longest wait while an answer streamed. What a start
leaves is therefore taken out of the walk, and full collections come when they are asked for
(`collect_now`), or after so many young ones that a chat never gets there.
"""

import gc

_FULL_AFTER = 1_000
"""Collections of the middle generation until a full one; ten by default, about one a minute."""


def spare_what_is_loaded() -> None:
    """Modules, classes and styles live as long as the program. Call it when the screen is up."""
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_AFTER)


def collect_now() -> None:
    """A full collection (about 10 ms once `spare_what_is_loaded` was called). Call it when an
    answer has ended or another chat is shown."""
    gc.collect()
