"""How models are spoken to: templates, and the formats of what they write. No llama.cpp here."""
