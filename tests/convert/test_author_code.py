"""What `--code` may be given, and a model that was saved with its class."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convert.author.asked import Code, parse_code
from convert.errors import UsageError
from convert.options import Options
from convert.pipeline import convert, make_plan
from tests.convert.test_author_process import ask, write
from tests.convert.test_command import run


def test_a_whole_module_of_a_class_in_the_file_is_read_as_weights(make, tmp_path: Path) -> None:
    values: dict[str, Any] = {}
    path = write(tmp_path)
    exec(compile(path.read_text(), "mine.py", "exec"), values)
    model: nn.Module = values["GPT"]()
    folder = make()
    state = torch.load(folder / "ckpt.pt")["model"]
    model.load_state_dict(state)
    module = ModuleType("mine_elsewhere")
    module.__dict__.update(values)
    for kind in (values["GPT"], values["Block"]):
        kind.__module__ = module.__name__
    sys.modules[module.__name__] = module
    torch.save(model, folder / "ckpt.pt")
    plan = make_plan(Options(folder, settings={"n_head": 4}, dry_run=True))
    ids = [7, 8, 9]
    with torch.no_grad():
        expected = model(torch.tensor([ids]))[0].numpy()
    assert np.abs(ask(plan, path, ids) - expected).max() < 1e-4


def test_what_cannot_be_meant_is_wrong_usage(make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        parse_code(str(tmp_path / "nothing.py"))
    with pytest.raises(UsageError, match="0 Python files"):
        parse_code(str(tmp_path))
    with pytest.raises(UsageError, match="is not key=value"):
        parse_code(str(write(tmp_path)), ["ckpt.pt"])
    path = write(tmp_path)
    assert parse_code(str(path.parent)).path == path
    found = parse_code(f"{path}:GPT", ["a=1", "b=none", "c=[1, 2]", "d=gelu", "e=True"])
    assert (found.path, found.name) == (path, "GPT")
    assert found.arguments == {"a": 1, "b": None, "c": [1, 2], "d": "gelu", "e": True}
    with pytest.raises(UsageError, match="--parity off"):
        convert(make(), code=Code(path), parity="off")
    assert run(make(), "--code-args", "a=1")[0] == 2
