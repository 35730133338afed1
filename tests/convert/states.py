"""A state_dict of every type and layout, and the comparison of a checkpoint with it."""

from __future__ import annotations

import numpy as np
import torch

from convert.checkpoints.checkpoint import Checkpoint

torch.set_num_threads(1)

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
State = dict[str, torch.Tensor]


def make_state() -> State:
    """Every type and every layout in memory that a state_dict may have."""
    generator = torch.Generator().manual_seed(3)
    state: State = {}
    for dtype, name in DTYPES.items():
        values = torch.randn(5, 7, generator=generator) * 40
        state[f"{name}.weight"] = values.clamp(min=0).to(dtype)
    matrix = torch.randn(6, 8, generator=generator)
    state |= {
        "whole": matrix,
        "transposed": matrix.t(),
        "part": matrix[2:5],
        "columns": matrix[:, 1:4],
        "steps": matrix[::2, ::3],
        "tied": matrix,
        "cube": torch.randn(3, 4, 5, generator=generator),
        "permuted": torch.randn(3, 4, 5, generator=generator).permute(2, 0, 1),
        "vector": torch.randn(9, generator=generator),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "odd.bf16": torch.randn(3, 3, generator=generator).bfloat16()[:, 1],
    }
    return state


def assert_same(checkpoint: Checkpoint, state: State) -> None:
    assert list(checkpoint.tensors) == list(state)
    for name, wanted in state.items():
        tensor = checkpoint.tensors[name]
        assert (tensor.name, tensor.shape) == (name, tuple(wanted.shape))
        assert tensor.dtype == DTYPES[wanted.dtype]
        expected = wanted.detach().to(torch.float32).numpy()
        assert tensor.float32().tobytes() == np.ascontiguousarray(expected).tobytes()
        for row in range(min(tensor.n_rows, 4)):
            rows = tensor.read(row, row + 2)
            matrix = expected.reshape(tensor.n_rows, tensor.n_cols)
            assert rows.tobytes() == np.ascontiguousarray(matrix[row : row + 2]).tobytes()
