"""The lock file, the bill of materials and the page of licences are of the versions that constraints.txt names."""

from __future__ import annotations

import importlib
import json
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scripts() -> Any:
    """lock, licences and sbom of workflows/, which import each other by name."""
    sys.path.insert(0, str(ROOT / "workflows"))
    try:
        yield {name: importlib.import_module(name) for name in ("lock", "licences", "sbom")}
    finally:
        sys.path.remove(str(ROOT / "workflows"))


def test_the_lock_has_every_dependency_in_the_version_of_the_constraints_with_hashes(scripts: Any) -> None:
    lock, text = scripts["lock"], (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked, wanted = lock.pins(text), lock.pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert {name: wanted.get(name, version) for name, version in locked.items()} == locked
    digests = lock.hashes(text)
    assert set(digests) == set(locked) and all(digests.values())
    assert sum(map(len, digests.values())) == text.count("--hash=sha256:") > 500
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for asked in map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["cpu"]]):
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        assert asked.specifier.contains(locked[name]), asked


def test_installed_dependencies_of_the_default_install_are_all_locked(scripts: Any) -> None:
    """What pip chose here for '.[cpu]', through all levels."""
    locked = scripts["lock"].pins((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    there = {scripts["licences"].key(d.metadata["Name"]): d for d in distributions()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    todo, seen = [Requirement(t) for t in (*project["dependencies"], *project["optional-dependencies"]["cpu"])], set[str]()
    for asked in todo:
        name = scripts["licences"].key(asked.name)
        if name not in seen and (asked.marker is None or asked.marker.evaluate({"extra": ""})):
            seen.add(name)
            todo += map(Requirement, there[name].requires or ()) if name in there else []
    assert seen <= set(locked) and len(seen) > 30


def test_the_bill_of_materials_is_current(scripts: Any) -> None:
    found = json.loads((ROOT / "docs" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked, digests = scripts["lock"].pins(lock), scripts["lock"].hashes(lock)
    wanted = scripts["lock"].pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    parts = {part["name"]: part for part in found["components"]}
    assert {name: part["version"] for name, part in parts.items() if part["scope"] == "required"} == locked
    optional = {name: part["version"] for name, part in parts.items() if part["scope"] == "optional"}
    assert {name: wanted[name] for name in optional} == optional and {"av", "rawpy", "cryptography", "onnxruntime"} <= set(optional)
    for name, part in parts.items():
        said = [h["content"] for ref in part["externalReferences"] for h in ref.get("hashes", ())]
        assert sorted(said) == sorted(digests.get(name, [])) and part["purl"] == f"pkg:pypi/{name}@{part['version']}"
    refs = [part["bom-ref"] for part in found["components"]]
    assert len(set(refs)) == len(refs) and set(found["dependencies"][0]["dependsOn"]) <= set(refs)


def test_each_bundled_library_that_is_installed_has_a_licence_on_the_page(scripts: Any) -> None:
    assert scripts["licences"].unknown() == []
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    for name, package, _ in scripts["licences"].packages():
        assert f"| {name} |" in page
        for lib in scripts["licences"].bundled(package):
            whose, terms = scripts["licences"].library(lib)
            assert re.search(rf"\| {re.escape(name)} \|[^|]*\| {re.escape(whose)} \|[^|]*\| {re.escape(terms)} \|", page), (name, lib)
    assert "libgfortran" in page and "libquadmath" in page


def test_names_of_libraries_lose_what_the_repair_of_a_wheel_adds(scripts: Any) -> None:
    class Wheel:
        files = [Path(n) for n in ("a.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "a.libs/libscipy_openblas64_-32a4b2a6.so",
                                   "a/.dylibs/libomp.dylib", "a/_c.cpython-311-x86_64-linux-gnu.so", "a/_d.abi3.so", "a/x.py")]  # fmt: skip

    assert scripts["licences"].bundled(Wheel()) == ["libgfortran", "libomp", "libscipy_openblas64_"]
    assert scripts["licences"].library("libavif")[0] == "libavif" and scripts["licences"].library("libavutil")[0] == "FFmpeg"
    assert scripts["licences"].library("libnew") is None
