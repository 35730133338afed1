"""A script of the author's, of which only what is needed runs.

Model code often stands in a script that trains: it opens a text, builds a model, loops. From every
statement at the top it is known which names it gives and which it needs, so that a class is had by
running what leads to it, in order, and no more. `if __name__ == "__main__"` never runs. Constants
the checkpoint knows better (`n_embd = 384`) are replaced on the way.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import json
import linecache
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Protocol

from convert.author.faults import AuthorError

_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORES = frozenset({"STORE_NAME", "STORE_GLOBAL"})
_KEPT_MAGIC = ("%%time", "%%capture")  # of a notebook's cell: the rest of it is Python


class Better(Protocol):
    """Who knows values that stand in for the script's own."""

    def constant(self, name: str, own: Any = None) -> tuple[bool, Any]:
        """Whether the global `name` is known, and its value. `own` is the script's."""

    def adjust(self, value: Any) -> None:
        """Put known values into settings that the script made: a dict, a namespace, a class."""


@dataclass(frozen=True)
class Statement:
    """One statement at the top of a script."""

    node: ast.stmt
    code: CodeType
    gives: frozenset[str]
    """Names it binds, or whose object it changes."""
    needs: frozenset[str]
    """Global names it reads, and those that what it defines will read."""


class Script:
    """One file of Python, taken apart."""

    def __init__(self, path: Path, data: bytes) -> None:
        """Parse it. Raises `AuthorError`."""
        self.path = path
        text = _text_of(path, data)
        try:
            self.tree = ast.parse(text, str(path))
            self._flags = _future_flags(self.tree)
            self._imported = _imported(self.tree)
            self.statements = [
                statement for node in self.tree.body for statement in self._take_apart(node)
            ]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            number = error.lineno if isinstance(error, SyntaxError) else None
            line = f"line {number}: " if number else ""
            raise AuthorError(f"{path.name} is no Python: {line}{error.args[0]}.") from None
        self._done: set[int] = set()
        # a name of its own: a package that imports this file gets it whole, not as far as it is
        package = _package_of(path, self.tree)
        self.module = ModuleType(f"{package}.author_code".lstrip("."))
        self.module.__file__, self.module.__package__ = str(path), package
        self.root = path.parents[package.count(".") + 1 if package else 0]
        """The folder that holds its package, or the file."""

    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes defined at the top."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def has(self, name: str) -> bool:
        """Whether the script itself gives `name` a value at the top."""
        return any(name in statement.gives for statement in self.statements)

    def mentions(self, name: str) -> bool:
        """Whether `name` stands anywhere in it."""
        return any(
            name in (getattr(node, key, None) for key in ("id", "attr", "arg", "value", "name"))
            for node in ast.walk(self.tree)
        )

    def load(self, name: str, better: Better) -> Any:
        """The value of `name`, by running what leads to it. Raises what the code raises."""
        sys.modules[self.module.__name__] = self.module
        for index in sorted(self._needed(name, better) - self._done):
            self._done.add(index)
            self._run(self.statements[index], better)
        if name not in self.module.__dict__:
            raise AuthorError(f"{self.path.name} has nothing named {name}.")
        return self.module.__dict__[name]

    def _run(self, statement: Statement, better: Better) -> None:
        values = self.module.__dict__
        replaced = _single_name(statement.node)
        own = _literal_of(statement.node)
        known, value = better.constant(replaced, own) if replaced else (False, None)
        if known:
            values[replaced] = value
            return
        exec(statement.code, values)  # noqa: S102  (what the user asked for, in its own process)
        for name in statement.gives & values.keys():
            value = values[name]
            if value is None or isinstance(value, bool | int | float | str):
                known, other = better.constant(name, value)
                values[name] = other if known else value
            elif not isinstance(value, ModuleType):
                better.adjust(value)

    def _needed(self, wanted: str, better: Better) -> set[int]:
        """Numbers of the statements that lead to `wanted`."""
        names, found, given = [wanted], set[int](), {wanted}
        while names:
            name = names.pop()
            for index, statement in enumerate(self.statements):
                if index in found or not {name, "*"} & statement.gives:
                    continue
                if "*" in statement.gives and (self.has(name) or hasattr(builtins, name)):
                    continue
                found.add(index)
                if _single_name(statement.node) == name and better.constant(name)[0]:
                    continue
                new = statement.needs - given
                given |= new
                names += new
        return found

    def _take_apart(self, node: ast.stmt) -> Iterator[Statement]:
        if _is_main_guard(node):
            return
        code = compile(
            ast.Module([node], []), str(self.path), "exec", self._flags, dont_inherit=True
        )
        gives = {name for kind, name in _names(code, deep=False) if kind in _STORES}
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            gives.add("*")
        needs = {name for kind, name in _names(code, deep=True) if kind in _LOADS}
        yield Statement(
            node, code, frozenset(gives | (_changed(node) - self._imported)), frozenset(needs)
        )


def _text_of(path: Path, data: bytes) -> str:
    if path.suffix != ".ipynb":
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise AuthorError(f"{path.name} is no Python: {error.reason}.") from None
    try:
        cells = json.loads(data)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AuthorError(f"{path.name} is no notebook.") from None
    text = "\n".join(map(_plain_cell, sources))
    lines = text.splitlines(keepends=True)
    linecache.cache[str(path)] = (len(text), None, lines, str(path))
    return text


def _plain_cell(source: str) -> str:
    """A notebook's cell without its magic; nothing of one in another language."""
    if source.startswith("%%") and not source.startswith(_KEPT_MAGIC):
        return ""
    lines = source.splitlines()
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in lines)


def _package_of(path: Path, tree: ast.Module) -> str:
    """The package it is in, as far up as it imports relative to it."""
    levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    folders = [path.parent, *path.parent.parents][: max(levels, default=0)]
    return ".".join(folder.name for folder in reversed(folders))


def _imported(tree: ast.Module) -> set[str]:
    """Names of imported modules: `torch.save(...)` changes nothing that is needed of torch."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def _names(code: CodeType, *, deep: bool) -> Iterator[tuple[str, str]]:
    for instruction in dis.get_instructions(code):
        if isinstance(instruction.argval, str):
            yield instruction.opname, instruction.argval
    if deep:
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _names(constant, deep=True)


def _changed(node: ast.stmt) -> set[str]:
    """Names whose object a statement changes: `x.y = 1`, `x[0] = 1`, `x.update(...)`."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    return {
        root
        for target in targets
        if isinstance(target, ast.Attribute | ast.Subscript) and (root := _root_of(target))
    }


def _root_of(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _single_name(node: ast.stmt) -> str:
    """`n` of `n = ...`; "" for what is no such assignment, or gives more than a plain value."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, value = node.target, node.value
    else:
        return ""
    plain = not isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.Lambda)
    return target.id if isinstance(target, ast.Name) and plain else ""


def _literal_of(node: ast.stmt) -> Any:
    """The constant that is assigned; None for anything else."""
    value = getattr(node, "value", None)
    return value.value if isinstance(value, ast.Constant) else None


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(name, ast.Name) and name.id == "__name__" for name in ast.walk(node.test)
    )
