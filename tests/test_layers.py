"""Imports run one way, and each heavy package has one door (read from the source, so hidden imports in functions count too)."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import facecluster

ROOT = Path(facecluster.__file__).parent
LAYERS = [
    {"errors", "permissions"},
    {"geometry", "language"},
    {"store"},
    {"photos"},
    {"models"},
    {"faces", "grouping"},
    {"jobs"},  # stands for whatever is not named here: people, report, evaluation, demo, ...
    {"engine", "dask_engine"},
    {"pipeline"},
    {"api"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
STAGES = {"photos.collect", "faces.detect", "faces.embed", "grouping.link", "grouping.identify"}
DOORS: dict[str, str | tuple[str, ...]] = {
    "faiss": ("grouping/link.py", "grouping/link_lists.py", "matching/index.py"), "distributed": "dask_engine.py", "click": "cli/",
    "hdbscan": "grouping/hdbscan_library.py", "onnxruntime": "models/onnx_session.py",
    "cryptography": "store/cipher.py", "pyarrow.parquet.encryption": "store/cipher.py",
    "torch.distributed": "training/processes.py",
}  # fmt: skip
# what --help must not load: each takes more time than the whole of --help may
HEAVY = ["torch", "faiss", "hdbscan", "distributed", "numpy", "scipy", "pyarrow", "PIL", "fsspec", "tqdm", "asyncio"]


def rank(module: str) -> int:
    return RANK.get(module, RANK["jobs"])


def imported(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """Full dotted names that a file of `package` imports, with their lines: `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = [*parents[: len(parents) - node.level + 1]] if node.level else []
            base += [node.module] if node.module else []
            yield from ((".".join([*base, alias.name]), node.lineno) for alias in node.names)


@cache
def every_import() -> list[tuple[Path, str, int]]:
    """(file, inside the package; full name; line) of every import in the package."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT)
        package = ".".join(["facecluster", *inside.parts[:-1]])
        found += [(inside, name, line) for name, line in imported(ast.parse(path.read_bytes()), package)]
    return found


def top(inside: Path) -> str:
    return inside.parts[0].removesuffix(".py")


def test_imports_are_read_whatever_their_form() -> None:
    """The reader itself: a form it does not see is a rule that does not hold."""
    code = "import a.b\nfrom c import d as e, f\nfrom . import g\nfrom ..h import i\nfrom .j import k\ndef f():\n import dask.distributed"
    names = [name for name, _ in imported(ast.parse(code), "facecluster.cli")]
    expected = ["a.b", "c.d", "c.f", "facecluster.cli.g", "facecluster.h.i", "facecluster.cli.j.k", "dask.distributed"]
    assert sorted(names) == sorted(expected)


def test_imports_run_one_way() -> None:
    wrong = []
    for inside, name, line in every_import():
        parts = name.split(".")
        if parts[0] != "facecluster" or inside == Path("__init__.py"):  # the package's own file only names the API, and loads it when asked
            continue
        mine, other = top(inside), parts[1]
        if other != mine and (ROOT / other).with_suffix(".py").exists() | (ROOT / other).is_dir() and rank(other) > rank(mine):
            wrong.append(f"{inside}:{line} imports {other}")
    assert wrong == []


def test_stages_meet_in_tables() -> None:
    wrong = []
    for inside, name, line in every_import():
        mine, other = ".".join(inside.with_suffix("").parts), ".".join(name.split(".")[1:3])
        if mine in STAGES and name.startswith("facecluster.") and other in STAGES - {mine}:
            wrong.append(f"{inside}:{line} imports {name}")
    assert wrong == []
    assert all((ROOT / stage.replace(".", "/")).with_suffix(".py").is_file() for stage in STAGES)


def test_the_top_level_is_small() -> None:
    """Whoever opens the folder sees the pipeline: rooms, and few files beside them."""
    assert len(list(ROOT.glob("*.py"))) <= 10


def test_no_two_modules_import_each_other() -> None:
    """Layers let equals import each other (jobs, what opens images); a ring of them is still wrong."""
    edges: dict[str, set[str]] = {}
    for inside, name, _ in every_import():
        parts = name.split(".")
        if parts[0] == "facecluster" and inside != Path("__init__.py") and parts[1] != top(inside):
            edges.setdefault(top(inside), set()).add(parts[1])
    while edges:
        ends = {m for m, to in edges.items() if not to & edges.keys()}
        assert ends, f"these import each other in a ring: {edges}"
        edges = {m: to for m, to in edges.items() if m not in ends}


@pytest.mark.parametrize("package", DOORS)
def test_one_door(package: str) -> None:
    def is_of(name: str) -> bool:
        if "." in package or name.startswith("torch."):  # torch.distributed is not the package `distributed`
            return f"{name}.".startswith(f"{package}.")
        return package in name.split(".")[:2]

    users = {inside.as_posix() for inside, name, _ in every_import() if is_of(name)}
    assert users, f"nothing imports {package}: this test looks for the wrong name"
    assert [u for u in users if not u.startswith(DOORS[package])] == []


def test_help_loads_nothing_heavy() -> None:
    """`facecluster --help`, `--version` and the help of every command: each after the others, so that what one loads is seen."""
    code = (
        "import sys; from facecluster.cli import _COMMANDS, main\n"
        "for words in [], ['--version'], *([name] for name in _COMMANDS):\n"
        "    main.main([*words, '--help'], standalone_mode=False)\n"
        f"    print(len(_COMMANDS), words, [m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert all(importlib.util.find_spec(name) for name in HEAVY), "a misspelt name is never loaded"
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.endswith("[]")] == []
    assert len(lines) == 2 + int(lines[0].split()[0]) > 20


@pytest.mark.parametrize("said, expected", [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(said: str | None, expected: str) -> None:
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | ({"OMP_WAIT_POLICY": said} if said else {})
    code = "import os, sys, facecluster.cli; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.split() == [expected, "False"]


PHOTO_READERS = (  # all others ask photos/places.py; the last of these asks only in which shard a photo is
    "photos/places.py", "photos/collect.py", "photos/known_photos.py", "photos/not_read.py", "photos/lost.py", "faces/detect.py",
    "dedup/fingerprints.py",
    "check/shards.py",  # asks for the schema only
)  # fmt: skip


def reads_photos(tree: ast.Module) -> list[int]:
    """Lines that read rows of the table `photos`, or import its schema."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("read", "read_all"):
            first = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "table"), None)
            if isinstance(first, ast.Constant) and first.value == "photos":
                lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "PHOTOS" for alias in node.names):
            lines.append(node.lineno)
    return lines


def test_one_module_knows_which_photos_count() -> None:
    """Which row of a place counts, which id its picture has, and which places are gone: that is asked of photos/places.py."""
    assert reads_photos(ast.parse("def f(store):\n return store.read_all('photos', x)")) == [2]
    assert reads_photos(ast.parse("from facecluster.store import FACES, PHOTOS")) == [1]
    files = {str(p.relative_to(ROOT)): p for p in sorted(ROOT.rglob("*.py")) if p.parent.name != "store"}
    found = {name for name, path in files.items() if reads_photos(ast.parse(path.read_bytes()))}
    assert found <= set(PHOTO_READERS), f"read by other modules: {sorted(found - set(PHOTO_READERS))}"
    assert "photos/places.py" in found


PICKLES = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


def unpickles(tree: ast.Module) -> list[int]:
    """Lines that import a module that unpickles, or load in a way that does."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            lines += [node.lineno for name in names if name.split(".")[0] in PICKLES]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("load", "read_pickle"):
            given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            of = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if given.get("allow_pickle") or node.func.attr == "read_pickle" or (of == "torch" and given.get("weights_only") is not True):
                lines.append(node.lineno)
    return lines


def test_nothing_is_unpickled() -> None:
    """A pickle runs code when it is loaded. Dask's own messages between its processes are the exception; they are not loaded here."""
    for code in ("import pickle", "from joblib import load", "torch.load(x)", "np.load(x, allow_pickle=True)"):
        assert unpickles(ast.parse(code))
    assert not unpickles(ast.parse("torch.load(x, weights_only=True)\nnp.load(x)"))
    found = {str(p.relative_to(ROOT)): lines for p in sorted(ROOT.rglob("*.py")) if (lines := unpickles(ast.parse(p.read_bytes())))}
    assert found == {}
