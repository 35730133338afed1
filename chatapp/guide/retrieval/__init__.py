"""Which facts a question is about."""

from chatapp.guide.retrieval.finding import Found, Guide

__all__ = ["Found", "Guide"]
