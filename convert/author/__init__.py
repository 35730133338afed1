"""The model's own code, run in a process of its own to say what its checkpoint computes."""
