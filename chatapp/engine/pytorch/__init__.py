"""Models as transformers runs them, in PyTorch: what cannot be, or is not yet, a model file."""
