"""Naming a row or exporting one does not load SQLite's wrapper."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["chatapp.store", "chatapp.store.rows", "chatapp.export"])
def test_what_loads_sqlite_utils(module: str) -> None:
    code = f"import sys, {module}; print('sqlite_utils' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import chatapp.store

    assert not hasattr(chatapp.store, "Shop")
    assert chatapp.store.Store.__name__ == "Store"
