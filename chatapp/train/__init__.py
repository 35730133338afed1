"""Training a small GPT from text: tokenizer, pretraining, fine-tuning, checkpoints.

Everything here needs the `train` extra (torch and tokenizers); importing `chatapp` never imports
this package. Start with `chatapp.train.run.train`.
"""
