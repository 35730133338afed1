"""Presets: personas, prompt templates and ways of sampling under a name, one TOML file each."""

from chatapp.presets.preset import Filled, Preset

__all__ = ["Filled", "Preset"]
