"""How the code must look, as far as a syntax tree can tell: sizes, names, docstrings."""

import ast
import sys
from pathlib import Path

from tests.architecture.sources import (
    FOLDERS,
    PACKAGES,
    ROOT,
    functions,
    parse,
    public_definitions,
    python_files,
)

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}


def test_the_files_are_found() -> None:
    assert {path.parts[0] for path in python_files(*FOLDERS)} == set(FOLDERS)


def test_no_file_is_too_long() -> None:
    sizes = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in python_files(*FOLDERS)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    sizes = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python_files(*FOLDERS)
        for node in functions(path)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    named = {path: {path.stem, *path.parent.parts} for path in python_files(*FOLDERS)}
    assert [str(path) for path, names in named.items() if names & FORBIDDEN_NAMES] == []


def test_no_module_shadows_the_standard_library() -> None:
    names = [path for path in python_files(*PACKAGES) if not path.stem.startswith("__")]
    assert [str(path) for path in names if path.stem in sys.stdlib_module_names] == []


def test_every_module_says_what_it_promises() -> None:
    silent = [
        str(path)
        for path in python_files(*PACKAGES, "bench")
        if parse(path).body and not ast.get_docstring(parse(path))  # an empty file promises nothing
    ]
    assert silent == []


def test_public_functions_and_classes_have_docstrings() -> None:
    silent = [
        f"{path}:{node.lineno} {name}"
        for path in python_files(*PACKAGES)
        for name, node in public_definitions(path)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_test_can_fail() -> None:
    tests = [
        (path, node)
        for path in python_files("tests")
        for node in functions(path)
        if node.name.startswith("test_")
    ]
    asserting = {
        node.name for path in python_files("tests") for node in functions(path) if _asserts(node)
    }
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in tests
        if not _asserts(node) and not _called(node) & asserting
    ]
    assert silent == []


def _asserts(test: ast.AST) -> bool:
    """Whether a test asserts, expects an exception, or waits for something that may never come."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Attribute) and node.attr in ("raises", "wait"))
        for node in ast.walk(test)
    )


def _called(test: ast.AST) -> set[str]:
    """Names of the functions a test calls: helpers of the tests may assert for it."""
    return {
        node.func.id
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def test_a_long_function_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text("def f():\n" + "    pass\n" * MAX_FUNCTION_LINES)
    node = next(functions(file))
    assert (node.end_lineno or 0) - node.lineno + 1 == MAX_FUNCTION_LINES + 1


def test_a_tilde_is_expanded_in_one_place() -> None:
    """`Path.expanduser` raises RuntimeError where there is no such user; `expand_home` does not."""
    found = [
        str(path)
        for path in python_files("chatapp")
        if ".expanduser()" in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert found == []
