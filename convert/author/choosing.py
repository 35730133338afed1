"""Which class of a script is the model, and which of its classes describes one; nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from convert.author.faults import AuthorError
from convert.author.script import Script

_BASES = ("Module", "LightningModule", "PreTrainedModel", "PyTorchModelHubMixin")
_CONFIGS = (
    "config",
    "args",
    "arguments",
    "params",
    "hparams",
    "cfg",
    "settings",
    "hyperparameters",
)


def find_model(script: Script, wanted: str, parts: set[str]) -> str:
    """The name of the model. `parts` are the first components of the checkpoint's names.

    Raises `AuthorError` where it has to be named.
    """
    file = script.path.name
    modules = _modules(script)
    if wanted:
        if not script.has(wanted):
            listed = ", ".join(sorted(modules)) or "no model class"
            raise AuthorError(f"{file} has nothing named {wanted}; it has {listed[:300]}.")
        return wanted
    classes = script.classes()
    uses = {name: _names_in(classes[name]) for name in modules}
    roots = [name for name in modules if not any(name in uses[o] for o in modules if o != name)]
    fitting = [name for name in modules if parts and parts <= _attributes(name, classes)]
    for found in ([n for n in fitting if n in roots], fitting, roots):
        if len(found) == 1:
            return found[0]
    if not modules:
        raise AuthorError(
            f"{file} defines no class of nn.Module.", f"Name what builds it: --code {file}:NAME."
        )
    listed = ", ".join(fitting or roots or modules)
    raise AuthorError(
        f"{file} has several models: {listed[:300]}.", f"Name one: --code {file}:{modules[-1]}."
    )


def _modules(script: Script) -> list[str]:
    """Classes of nn.Module, in the order they stand."""
    classes, found = script.classes(), dict[str, bool]()
    for name, node in classes.items():
        bases = {_last(base) for base in node.bases}
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        found[name] = bool(
            "forward" in methods
            or any(base.endswith(_BASES) for base in bases)
            or any(found.get(base) for base in bases)
        )
    return [name for name, is_one in found.items() if is_one]


def _names_in(node: ast.ClassDef) -> set[str]:
    """Names that the body of a class uses; what it is made from is no use of it."""
    return {
        inner.id for item in node.body for inner in ast.walk(item) if isinstance(inner, ast.Name)
    }


def _attributes(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Names that a class gives to its parts: `self.x = ...`, register_buffer("x", ...)."""
    node = classes[name]
    found = set[str]()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            found.add(inner.attr)
        elif isinstance(inner, ast.Call) and _last(inner.func).startswith(("register", "add_m")):
            found |= {
                str(arg.value)
                for arg in inner.args[:1]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            }
    for base in node.bases:
        if _last(base) in classes and _last(base) != name:
            found |= _attributes(_last(base), classes)
    return found


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def find_config_class(script: Script, model: str, parameter: str) -> str:
    """The class of settings that goes with a model; "" where none is in sight.

    Where there are several, the one called after the model, or the one that has most of what the
    code reads of it.
    """
    names = {name for s in script.statements for name in s.gives}
    found = [n for n in sorted(names) if n.lower().endswith(_CONFIGS) and n.lower() not in _CONFIGS]
    found = [n for n in found if n[:1].isupper()]
    named = [n for n in found if n.lower().startswith(model.lower())]
    if len(found) < 2 or len(named) == 1:
        return (named or found or [""])[0]
    read, classes = _reads(script, parameter), script.classes()
    fields = {n: _fields(classes[n]) if n in classes else set() for n in found}
    best = max(found, key=lambda n: len(fields[n] & read))
    return best if fields[best] & read else ""


def _fields(node: ast.ClassDef) -> set[str]:
    found = set[str]()
    for inner in ast.walk(node):
        if isinstance(inner, ast.AnnAssign | ast.Assign):
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            found |= {t.attr if isinstance(t, ast.Attribute) else _last(t) for t in targets}
        elif isinstance(inner, ast.arg):
            found.add(inner.arg)
    return found


def _reads(script: Script, parameter: str) -> set[str]:
    """`x` of every `config.x` and `config["x"]` in the script."""
    found = set[str]()
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Attribute) and _last(node.value) == parameter:
            found.add(node.attr)
        elif (
            isinstance(node, ast.Subscript)
            and _last(node.value) == parameter
            and isinstance(node.slice, ast.Constant)
        ):
            found.add(str(node.slice.value))
    return found


def find_literal_settings(script: Script, parameter: str) -> dict[str, Any]:
    """Settings written down as a dictionary anywhere in the script, as far as they agree.

    Taken from dictionaries with at least half of the names that the code reads of `parameter`.
    """
    read = _reads(script, parameter)
    written = [
        values
        for node in ast.walk(script.tree)
        if isinstance(node, ast.Dict)
        and 2 * len((values := _literal(node)).keys() & read) > len(read)
    ]
    merged: dict[str, Any] = {}
    for name in _agreed(written):
        merged[name] = next(values[name] for values in written if name in values)
    return merged


def _agreed(written: list[dict[str, Any]]) -> Iterable[str]:
    for name in dict.fromkeys(name for values in written for name in values):
        values = [repr(one[name]) for one in written if name in one]
        if len(set(values)) == 1:
            yield name


def _literal(node: ast.Dict) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            try:
                found[key.value] = ast.literal_eval(value)
            except (ValueError, TypeError):
                continue
    return found
