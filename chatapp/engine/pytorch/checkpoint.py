"""Checkpoints in nanoGPT's layout (`ckpt.pt`), as `chatapp train` and nanoGPT write them.

Promises a configuration and weights as transformers names them, whatever the file holds: it is read
with `weights_only`, mapped and not copied, and nothing in it is run. GPT-2's shape has its matrices
turned (transformers keeps them as OpenAI did) and gets the biases that it lacks as zeros; Llama's
has transformers' names already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from chatapp.errors import ModelError

FILE = "ckpt.pt"
_COMPILED = "_orig_mod."
"""`torch.compile` puts it before every name."""
_TURNED = re.compile(r"transformer\.h\.\d+\.(attn|mlp)\.c_(attn|proj|fc)\.weight")
_MASK = re.compile(r"\.attn\.(bias|masked_bias)$")
"""Which tokens see which, kept among the weights by older versions."""
_NORMS = (".ln_1.weight", ".ln_2.weight", ".ln_f.weight")
_SIZES = ("n_layer", "n_head", "n_embd", "block_size", "vocab_size")


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint that `path` is, or that lies in the folder `path`; None: there is none."""
    file = path / FILE if path.is_dir() else path
    return file if file.name == FILE and file.is_file() else None


def read_checkpoint(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration and the weights of transformers' model. Raises `ModelError`."""
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # its readers of zips and pickles let out what damage does to them
        raise ModelError(
            f"{file} is no whole checkpoint, or holds more than weights, which is never loaded. "
            "Nothing was run.",
            "`chatapp inspect` says what is in it.",
        ) from error
    content = content if isinstance(content, dict) else {}
    args, state = content.get("model_args"), content.get("model")
    if not isinstance(args, dict) or not _are_weights(state):
        raise ModelError(
            f"{file} is a bare checkpoint, and not in the layout of nanoGPT and chatapp train.",
            "`chatapp convert` reads it, and says what it needs to know.",
        )
    said = content.get("config")
    weights = {str(name).removeprefix(_COMPILED): tensor for name, tensor in state.items()}
    if args.get("shape", "gpt2") != "gpt2":
        config = {name: args[name] for name in args if name != "shape"}
        return config, weights
    config = _describe_gpt2(file, args, said if isinstance(said, dict) else {})
    made = _turn(weights)
    config["tie_word_embeddings"] = _is_tied(made)
    return config, made


def _are_weights(state: Any) -> TypeGuard[dict[Any, Any]]:
    import torch

    return isinstance(state, dict) and all(isinstance(one, torch.Tensor) for one in state.values())


def _describe_gpt2(file: Path, args: Mapping[Any, Any], said: Mapping[Any, Any]) -> dict[str, Any]:
    wrong = [name for name in _SIZES if type(args.get(name)) is not int or args[name] < 1]
    if wrong:
        raise ModelError(
            f"{file} does not say its {wrong[0]}.", "`chatapp convert` finds it from the weights."
        )
    activation = said.get("activation")
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_positions": args["block_size"],
        "layer_norm_epsilon": 1e-5,
        # nanoGPT's own is the exact one; ours says which it is
        "activation_function": activation if isinstance(activation, str) else "gelu",
        "bos_token_id": None,
        "eos_token_id": None,
    } | {name: args[name] for name in _SIZES if name != "block_size"}


def _turn(weights: Mapping[str, Any]) -> dict[str, Any]:
    """GPT-2's weights as transformers has them."""
    import torch

    made = {name: one for name, one in weights.items() if not _MASK.search(name)}
    for name, one in [*made.items()]:
        is_matrix = _TURNED.fullmatch(name) is not None
        if is_matrix:
            made[name] = one.mT
        if is_matrix or name.endswith(_NORMS):
            bias = name.removesuffix("weight") + "bias"
            made.setdefault(bias, torch.zeros(one.shape[0], dtype=one.dtype))
    return made


def _is_tied(weights: Mapping[str, Any]) -> bool:
    import torch

    rows, head = (weights.get(name) for name in ("transformer.wte.weight", "lm_head.weight"))
    return rows is None or head is None or torch.equal(rows, head)
