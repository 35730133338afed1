"""JSON schemas as people write them: read, looked through, and answers checked against them.

Plain values and sentences; what holds an answer to a schema while it is written is the engine's.
"""
