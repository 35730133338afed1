"""Which of two models is better, with a number: perplexity, tasks, speed beside what memory allows.

Works through `EngineClient` alone; what was found is values that can be kept and printed.
"""
