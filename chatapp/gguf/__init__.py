"""What product and converter share about model files: reading, sizes, memory, templates, writing.

The lowest layer: it imports nothing else of chatapp and nothing heavy, and its errors are its own
(`GgufError`). Whoever calls it turns them into an error of theirs.
"""
