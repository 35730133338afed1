"""Tensors that a conversion leaves out, in few lines."""

from chatapp.gguf.left_out import sum_up


def test_those_of_all_layers_and_heads_are_one_line() -> None:
    masks = [(f"blocks.{i}.heads.{j}.tril", "a mask") for i in range(2) for j in range(3)]
    assert sum_up([*masks, ("blocks.0.w", "tied"), ("x.1", "a"), ("x.2", "b")]) == [
        "6 tensors blocks.N.heads.N.tril: a mask",
        "blocks.0.w: tied",
        "x.1: a",
        "x.2: b",
    ]
