"""Turns a trained PyTorch checkpoint into a GGUF model file, and proves that it is the same model.

It promises a whole, proved file under the final name, or nothing and a reason. It imports nothing
of the chat application: `python -m convert` runs as a child process. Nothing heavy is imported
until a conversion starts, so `--help` is quick.
"""
