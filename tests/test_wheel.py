"""The wheel holds all that the commands need on a machine without a network, and nothing else."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from conftest import need

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Built without a network."""
    need(importlib.util.find_spec("hatchling") is not None, "hatchling (PyPI)")
    out = tmp_path_factory.mktemp("wheel")
    if importlib.util.find_spec("build"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    else:
        need(importlib.util.find_spec("pip") is not None, "build or pip (PyPI)")
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def test_it_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    files = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "facecluster").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {name for name in wheel.namelist() if name.startswith("facecluster/")} == files.keys()
    data = [name for name in files if not name.endswith(".py")]
    for suffix in (".safetensors", ".toml", ".npz", ".html", ".css", ".js", ".po"):
        assert any(name.endswith(suffix) for name in data), f"no {suffix} in the package: this test looks for the wrong files"
    assert [name for name in data if wheel.read(name) != files[name].read_bytes()] == []


def test_it_holds_nothing_else_and_is_small(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert [top for top in tops if top != "facecluster" and not top.endswith(".dist-info")] == []
    assert sum(info.compress_size for info in wheel.infolist()) < 30e6  # bytes


def test_it_says_what_it_needs_and_is(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    about = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("facecluster", project["version"], "Apache-2.0")
    assert f'__version__ = "{project["version"]}"' in wheel.read("facecluster/__init__.py").decode()
    assert set(about.get_all("Provides-Extra", [])) == project["optional-dependencies"].keys() >= {"cpu", "gpu"}
    assert b"facecluster = facecluster.cli:main" in wheel.read(f"{folder}/entry_points.txt")
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")
