"""What chatapp calls themes, and the one that is its own."""

from textual.theme import Theme

THEMES = {
    "dark": "textual-dark",
    "light": "textual-light",
    "contrast": "chatapp-contrast",
}
CONTRAST = Theme(
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
