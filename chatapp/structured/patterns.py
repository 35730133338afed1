"""Patterns of JSON schemas, which are JavaScript's, as the regular expressions of Rust.

Most mean the same in both. In sets, Rust reads `[`, `&&`, `--` and `~~` as operators; a few
escapes are spelt otherwise, and some of Rust's own mean something else to JavaScript.

Source: ECMA-262, 22.2 (Patterns); `syntax` of the Rust crate regex.
"""

from __future__ import annotations

_FOREIGN = "AzZGaQEhHRXyYU"
"""Escapes of other dialects; Rust knows some of them."""
_PLAIN = set("!\"#%',/:;=@_`~ <>&")
"""Characters that JavaScript lets one escape for nothing."""


def translate(pattern: str) -> str:
    """`pattern` in Rust's spelling; `ValueError` says what has none."""
    found: list[str] = []
    at = 0
    in_set = False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            piece, at = _escape(pattern, at, in_set=in_set)
            found.append(piece)
            continue
        if not in_set and char == "(" and pattern.startswith("(?", at):
            _check_group(pattern, at)
        if not in_set and char == "[":
            piece, at = _open_set(pattern, at)
            in_set = piece in ("[", "[^")
            found.append(piece)
            continue
        if in_set and char == "]":
            in_set = False
        elif in_set and (char == "[" or (char in "&-~" and pattern[at + 1 : at + 2] == char)):
            char = f"\\{char}"
        found.append(char)
        at += 1
    return "".join(found)


def _open_set(pattern: str, at: int) -> tuple[str, int]:
    """A set's beginning; `[^]` is any character, `[]` none."""
    if pattern.startswith("[^]", at):
        return r"[\s\S]", at + 3
    if pattern.startswith("[]", at):
        raise ValueError("has an empty set ([]), which nothing fits")
    if pattern.startswith("[^", at):
        return "[^", at + 2
    return "[", at + 1


def _escape(pattern: str, at: int, *, in_set: bool) -> tuple[str, int]:
    follows = pattern[at + 1 : at + 2]
    if follows == "":
        raise ValueError("ends in a lone backslash")
    if follows == "c" and pattern[at + 2 : at + 3].isascii() and pattern[at + 2 : at + 3].isalpha():
        return f"\\x{ord(pattern[at + 2]) % 32:02x}", at + 3
    if follows == "0" and not pattern[at + 2 : at + 3].isdigit():
        return r"\x00", at + 2
    if follows.isdigit():
        raise ValueError(f"refers back to a group (\\{follows}), which no answer can be held to")
    if follows == "b" and in_set:
        return r"\x08", at + 2
    if follows in "bB" and not in_set:
        raise ValueError(
            f"asks for the edge of a word (\\{follows}), which no answer can be held to"
        )
    if follows == "k":
        raise ValueError("refers back to a group (\\k), which no answer can be held to")
    if follows in _FOREIGN:
        raise ValueError(f"has \\{follows}, which JavaScript's patterns do not")
    if follows in _PLAIN or not follows.isascii():
        return follows if follows not in "&~" else f"\\{follows}", at + 2
    return pattern[at : at + 2], at + 2


def _check_group(pattern: str, at: int) -> None:
    if pattern.startswith(("(?=", "(?!", "(?<=", "(?<!"), at):
        raise ValueError("looks ahead or behind, which no answer can be held to")
    if not pattern.startswith(("(?:", "(?<"), at):
        raise ValueError(f"has {pattern[at : at + 4]}, which JavaScript's patterns do not")
