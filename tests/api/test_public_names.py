"""What `import facecluster` offers: every public name is there, documented, and loaded no sooner than it is used."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import facecluster

ROOT = Path(__file__).parents[2]
LIGHT = ["torch", "faiss", "hdbscan", "distributed", "pandas", "pyarrow"]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in facecluster.__all__:
        found = getattr(facecluster, name)
        assert name == "__version__" or inspect.getdoc(found), name
        assert name in dir(facecluster)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        facecluster.nothing  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "facecluster" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING"]
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(facecluster.__all__) - {"__version__"}
    assert (ROOT / "facecluster" / "py.typed").is_file()


def test_the_documentation_names_every_public_name_and_parameter() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in facecluster.__all__ if not re.search(rf"\b{name}\b", text)] == []
    for function in (facecluster.run, facecluster.open, facecluster.group, facecluster.group_faces, facecluster.detect_faces):
        assert [p for p in inspect.signature(function).parameters if f"`{p}`" not in text] == [], function.__name__


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert python(f"import sys, facecluster; facecluster.InputError; print([m for m in {LIGHT} if m in sys.modules])") == "[]"
    look = "print([m for m in ('torch', 'hdbscan', 'distributed', 'pandas') if m in sys.modules])"
    assert python(f"import sys, facecluster; facecluster.open; {look}") == "[]"
    assert python(f"import sys, facecluster; facecluster.evaluate([0, 0], [1, 1]); {look}") == "[]"


@pytest.mark.parametrize(
    "before",
    [
        "import facecluster.evaluation, facecluster.grouping, facecluster.cli.evaluate, facecluster.cli.run, facecluster.cli.cluster",
        "from facecluster.evaluation import bcubed; from facecluster.cli import main",
        "import facecluster; facecluster.evaluate; import facecluster.evaluation.store, facecluster.cli.evaluate, facecluster.api",
        "from facecluster import *; from facecluster import evaluate, run, group; import facecluster.cli.run, facecluster.review.api",
    ],
)
def test_functions_stay_functions_whatever_is_imported_first(before: str) -> None:
    names = "('evaluate', 'run', 'open', 'group')"
    code = f"{before}\nimport facecluster, inspect\nprint(all(inspect.isfunction(getattr(facecluster, n)) for n in {names}))"
    assert python(code) == "True"


def test_no_part_of_the_package_has_the_name_of_a_function() -> None:
    parts = {p.name.removesuffix(".py") for p in (ROOT / "facecluster").iterdir()}
    assert parts & set(facecluster.__all__) == set()


def test_the_array_functions_are_where_they_were() -> None:
    names = ("detect_faces", "align_faces", "embed_faces", "group_faces")
    assert python(f"import facecluster.api as a, facecluster as f; print(all(getattr(a, n) is getattr(f, n) for n in {names}))") == "True"
    signature = inspect.signature(facecluster.group_faces)
    assert list(signature.parameters) == ["vectors", "margin", "merge", "k", "model", "photos", "before", "algorithm"]
    assert signature.parameters["k"].default == 64 and signature.parameters["model"].default == "bundled"
