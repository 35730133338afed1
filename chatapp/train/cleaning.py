"""What is done to a document before it is learned from.

Promises that text which is clean already comes back as it was, that cleaning twice is cleaning
once, and that nothing visible is lost.
"""

import re
import unicodedata

_BREAKS = re.compile("[\x0b\x0c]+")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufeff]")


def clean(text: str) -> str:
    """`text` composed (NFC), without control characters but tab and line end.

    Vertical tabs and form feeds are line ends. Half a surrogate pair, which JSON can spell and no
    tokenizer takes, becomes a question mark.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return _CONTROLS.sub("", _BREAKS.sub("\n", text))
