"""GPT-2 as transformers saves it with a config.json, and every GPT or Llama written by hand.

Both are read by the roles of their tensors (`convert.handwritten`). With a config.json the form is
transformers' own and its switches are known; without one it is found out.
"""

from __future__ import annotations

from convert.architectures.asking import head_choices
from convert.architectures.family import Family
from convert.architectures.layer_norm import ERF_GELU, ERF_NOTE, TANH_GELU
from convert.architectures.model import Model
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.handwritten import names, reading
from convert.handwritten.choices import HEADS
from convert.handwritten.finding import find_roles, looks_hand_written
from convert.handwritten.form import SAME, Form
from convert.handwritten.graphs import GRAPHS
from convert.handwritten.mapping import RELU_SCALE, Mapping
from convert.handwritten.roles import Roles


def recognise(checkpoint: Checkpoint) -> bool:
    """Whether config.json says GPT-2, or somebody wrote a GPT or a Llama by hand."""
    return is_transformers(checkpoint) or is_hand_written(checkpoint)


def is_transformers(checkpoint: Checkpoint) -> bool:
    """Whether its form is fixed by transformers."""
    return checkpoint.config.get("model_type") == "gpt2"


def is_hand_written(checkpoint: Checkpoint) -> bool:
    """Whether nobody's configuration says what it is, and its parts are there."""
    kind = checkpoint.config.get("model_type")
    return kind in (None, "gpt") and looks_hand_written(checkpoint)


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError` naming the first thing amiss."""
    if is_transformers(checkpoint):
        return _read_transformers(checkpoint)
    return reading.read(checkpoint)


def _read_transformers(checkpoint: Checkpoint) -> Model:
    settings, roles = Settings(checkpoint), find_roles(checkpoint)
    settings.require("add_cross_attention", (False,), "llama.cpp's GPT-2 has no encoder")
    if roles.positions is None or roles.norm is None:
        raise ArchitectureError(
            f"{checkpoint.path.name} has no positions or no last norm, which a GPT-2 has.",
            "The checkpoint is incomplete.",
        )
    form, notes = _form(settings, roles)
    n_ctx = roles.n_positions or 0
    _compare(settings, roles)
    graph = next(graph for graph in GRAPHS if graph.arch == "gpt2")
    taker = Taker(checkpoint, "a GPT-2")
    mapping = Mapping(taker, roles, form, graph, form.n_head, n_ctx)
    if settings.flag("scale_attn_by_inverse_layer_idx", default=False):
        mapping.query_scale = [1 / (number + 1) for number in range(len(roles.layers))]
        notes.append("Attention is scaled by the layer's number: folded into Q.")
    tensors, _ = mapping.tensors()
    taker.ignore(names.MASK.pattern, "causal mask: llama.cpp makes its own")
    evidence = [
        "config.json says 'gpt2', and the tensor names agree.",
        (
            f"{len(roles.layers)} layers, {roles.n_embd} wide, {n_ctx} positions by shape; "
            f"{form.n_head} heads as said."
        ),
    ]
    if mapping.n_zeros:
        evidence.append(f"{mapping.n_zeros} biases are missing, and zero.")
    return Model(
        arch="gpt2",
        layout="hf",
        hparams=mapping.hparams(),
        tensors=tuple(tensors),
        ignored=taker.finish(),
        evidence=tuple(evidence),
        notes=tuple(notes),
    )


def _form(settings: Settings, roles: Roles) -> tuple[Form, list[str]]:
    """transformers' form of a GPT-2, and what is to be known of it."""
    notes: list[str] = []
    said = settings.text("activation_function", "activation", default="gelu_new")
    if said == "relu":
        notes.append(
            "llama.cpp has no ReLU here: it is had from GELU, whose input is scaled by "
            f"{RELU_SCALE:g} and its output back. They differ by less than 0.001."
        )
    elif said in ERF_GELU:
        notes.append(ERF_NOTE)
    elif said not in TANH_GELU:
        raise ArchitectureError(
            f"The activation is {said!r:.40}; llama.cpp's GPT-2 has GELU.",
            "No family of llama.cpp has learned positions with this activation.",
        )
    n_head = settings.integer(
        *HEADS,
        choices=head_choices(roles.n_embd),
        why=f"Attention heads: any number that divides the width {roles.n_embd}.",
        flag="--n-head",
    )
    if roles.n_embd % n_head:
        raise ArchitectureError(
            f"n_head is {n_head}, which does not divide the width {roles.n_embd}."
        )
    scaled = settings.flag("scale_attn_weights", default=True)
    if not scaled:
        notes.append("Attention is not scaled in the original: folded into Q.")
    form = Form(
        n_head=n_head,
        scale="head" if scaled else "none",
        activation=SAME.get(said, said),
        eps=settings.number("layer_norm_epsilon", "layer_norm_eps", default=1e-5),
    )
    return form, notes


def _compare(settings: Settings, roles: Roles) -> None:
    reading.compare(
        settings,
        {
            "n_embd": roles.n_embd,
            "n_layer": len(roles.layers),
            "n_inner": roles.n_ff,
            "n_positions": roles.n_positions,
            "vocab_size": roles.n_vocab,
        },
    )


FAMILY = Family(
    "gpt2",
    "GPT-2 shape: nanoGPT, minGPT, Hugging Face, Karpathy's lecture, Raschka's book, hand-written",
    recognise,
    read,
)
