"""A package of an author's own."""

from .model import LanguageModel

__all__ = ["LanguageModel"]
