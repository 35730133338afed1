"""What is written into a model file besides tensors and vocabulary.

The report of the proof is measured on the written file, so its place is reserved first, as blanks,
and filled in afterwards.
"""

from __future__ import annotations

from gguf import GGUFWriter

from chatapp.gguf.guided import GUIDE
from convert.architectures.model import HParam
from convert.plan import Plan
from convert.typemap import add_value
from convert.vocab.metadata import add_vocab

REPORT_KEY = "chatapp.convert.proof"
REPORT_BYTES = 4096
QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION: the layout of the quantised blocks


def add_metadata(writer: GGUFWriter, plan: Plan, provenance: dict[str, HParam]) -> None:
    """Add every key of the file to `writer`."""
    # first, so that the place is near the beginning whatever the vocabulary's size
    writer.add_string(REPORT_KEY, " " * REPORT_BYTES)
    writer.add_type("model")
    writer.add_name(plan.name)
    writer.add_description(f"Converted from {plan.checkpoint.path.name} by chatapp.")
    if plan.license:
        writer.add_license(plan.license)
    if plan.temperature is not None:
        writer.add_sampling_temp(plan.temperature)
    if plan.guide:
        writer.add_bool(GUIDE, True)
    writer.add_file_type(plan.ftype.number)
    writer.add_quantization_version(QUANTIZATION_VERSION)
    for key, value in provenance.items():
        add_value(writer, f"chatapp.convert.{key}", value)
    for key, value in plan.model.hparams.items():
        add_value(writer, f"{plan.model.arch}.{key}", value)
    add_vocab(writer, plan.vocab)
