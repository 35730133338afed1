"""The themes: Textual's, and two of ours."""

from dataclasses import replace

from textual.theme import BUILTIN_THEMES, Theme

THEMES = {
    "dark": "textual-dark",
    "light": "chatapp-light",
    "contrast": "chatapp-contrast",
}
_CONTRAST = Theme(
    name="chatapp-contrast",
    primary="#ffff00",
    secondary="#00ffff",
    accent="#00ffff",
    warning="#ffff00",
    error="#ff8080",
    success="#80ff80",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    dark=True,
    variables={"border": "#ffffff", "border-blurred": "#c0c0c0", "text-muted": "#ffffff"},
)
"""White on black; every colour has at least 7 to 1 against it."""

_LIGHT = replace(
    BUILTIN_THEMES["textual-light"],
    name="chatapp-light",
    variables={
        **BUILTIN_THEMES["textual-light"].variables,
        "text-accent": "#7a4a00",
        "text-warning": "#7a4a00",
        "text-success": "#1d5c31",
    },
)
"""Textual's, with darker words: those it makes of its accents have 3.3 to 1 against the ground."""

OUR_THEMES = (_CONTRAST, _LIGHT)
