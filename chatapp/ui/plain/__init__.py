"""The chat line by line, for screen readers: the same app, told instead of drawn."""
