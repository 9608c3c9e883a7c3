"""Workflows and benchmarks use names of the package that exist: most of them need data that no test has."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "workflows"
FILES = sorted(ROOT.rglob("*.py"))


def names(tree: ast.Module) -> list[tuple[str, str]]:
    """(module, name) of every import from the package, and of every attribute that is read from a module imported so."""
    found, modules = [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "facecluster":
            for alias in node.names:
                found.append((node.module, alias.name))
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.append((modules[node.value.id], node.attr))
    return found


def there(module: str, name: str) -> bool:
    """Whether a module (or what is imported from one and is no module) has a name."""
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(f"{module}.{name}"))
    except ImportError:
        parent, _, last = module.rpartition(".")
        try:
            return not isinstance(getattr(importlib.import_module(parent), last), type(ast))  # a class or a function: mypy's business
        except (ImportError, AttributeError):
            return False


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_names_exist(path: Path) -> None:
    assert [pair for pair in names(ast.parse(path.read_bytes())) if not there(*pair)] == []


def test_a_name_that_is_gone_is_seen() -> None:
    tree = ast.parse("from facecluster.grouping import identify\nfrom facecluster.store import Store, Shop\nidentify.strangers(1)")
    gone = [("facecluster.store", "Shop"), ("facecluster.grouping.identify", "strangers")]
    assert [pair for pair in names(tree) if not there(*pair)] == gone
