"""Write docs/licences.md: the licences of what is installed with facecluster, and of the libraries that wheels bring along unnamed.

    python workflows/licences.py            # in the environment of the tests; writes docs/licences.md
    python workflows/licences.py --check    # exits with 1 if a bundled library has no licence here

Packages and their licences are read from their metadata. Which shared libraries a wheel bundles is read from its list of files; whose they
are, and under which licence, is in licences.toml. A library that is not in it is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from lock import LOCK, ROOT, pins
from packaging.requirements import Requirement

OUT = ROOT / "docs" / "licences.md"
_SHARED = re.compile(r"\.(so|dylib|dll)(\.|$)")
_EXTENSION = re.compile(r"\.(cpython|abi3|cp3\d+)|\.pyd$")
_HASH = re.compile(r"-[0-9a-f]{8}(?=[.-]|$)")

LIBRARIES: dict[str, list[str]] = tomllib.loads((ROOT / "workflows" / "licences.toml").read_text(encoding="utf-8"))
_ABOUT = """# Licences of what is installed

Made by `workflows/licences.py` from the metadata of installed packages and the lists of files in their wheels (Linux, x86-64, Python
3.11; other wheels bundle other libraries). facecluster itself is under Apache-2.0. In the default install nothing is under the GPL without
an exception for programs that use it, or another licence to choose. The extra `video` brings FFmpeg with x264 and x265 (GPL-2.0-or-later).
NVIDIA's libraries, which PyPI's torch for Linux brings, are under NVIDIA's own licences. For the tests alone,
axe-core-python (MIT) brings the script of axe-core (MPL-2.0).

## Libraries that wheels bundle

| wheel | default install | library | files | licence |
|---|---|---|---|---|
"""
_REST = """
Libraries that are linked into a wheel's own files (as third parties of FAISS, Arrow and PyTorch are) are named in the notices of these
projects.

## Packages

| package | default install | licence, by its metadata |
|---|---|---|
"""


def key(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bundled(package: Distribution) -> list[str]:
    """The shared libraries in a wheel that are no extension modules, without the hashes that repairing a wheel adds."""
    names = {file.name for file in package.files or () if _SHARED.search(file.name) and not _EXTENSION.search(file.name)}
    return sorted({_HASH.sub("", _HASH.sub("", name)).split(".so")[0].split(".dylib")[0].removesuffix(".dll") for name in names})


def library(name: str) -> tuple[str, str] | None:
    """Whose a shared library is, and its licence."""
    begins = [begin for begin in LIBRARIES if name.startswith(begin)]
    return (LIBRARIES[max(begins, key=len)][0], LIBRARIES[max(begins, key=len)][1]) if begins else None


def shipped() -> set[str]:
    """Names of the installed packages that the package and its extras need, through all levels."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = {key(d.metadata["Name"]): d for d in distributions()}
    todo = [Requirement(text) for some in (project["dependencies"], *project["optional-dependencies"].values()) for text in some]
    found: set[str] = set()
    for wanted in todo:  # grows
        name = key(wanted.name)
        if name in there and name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            found.add(name)
            todo += map(Requirement, there[name].requires or ())
    return found


def licence(package: Distribution) -> str:
    """What a package's metadata say: an SPDX expression, or classifiers, or a short text."""
    data = package.metadata
    if found := data.get("License-Expression"):
        return str(found)
    kinds = [c.split(" :: ")[-1] for c in data.get_all("Classifier") or () if c.startswith("License ::") and c != "License :: OSI Approved"]
    text = " ".join((data.get("License") or "").split())
    return ", ".join(kinds) or (text if 0 < len(text) <= 60 else text[:57] + "..." if text else "not stated")


def packages() -> Iterator[tuple[str, Distribution, bool]]:
    """The installed packages that users may get, and whether the default install has them; by name."""
    default, wanted = pins(LOCK.read_text(encoding="utf-8")), shipped()
    there = {key(d.metadata["Name"]): d for d in distributions()}
    for name in sorted(there):
        if name in wanted or name in default:
            yield name, there[name], name in default


def unknown() -> list[str]:
    """Bundled libraries that the table lacks."""
    return [f"{name}: {lib}" for name, package, _ in packages() for lib in bundled(package) if library(lib) is None]


def page() -> str:
    """The page as Markdown."""
    rows, lines = list(packages()), []
    for name, package, default in rows:
        groups: dict[tuple[str, str], list[str]] = {}
        for lib in bundled(package):
            groups.setdefault(library(lib) or (lib, "unknown"), []).append(lib)
        for (whose, terms), libs in sorted(groups.items()):
            named = ", ".join(libs[:3]) + (" ..." if len(libs) > 3 else "")
            lines.append(f"| {name} | {'yes' if default else ''} | {whose} | {named} | {terms} |")
    licences = [f"| {name} | {'yes' if default else ''} | {licence(package).replace('|', '/')} |" for name, package, default in rows]
    return _ABOUT + "\n".join(lines) + "\n" + _REST + "\n".join(licences) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only look whether each bundled library has a licence here")
    options = parser.parse_args()
    if found := unknown():
        sys.exit(f"expected a licence for each bundled library, found none for {', '.join(found)}: add it to LIBRARIES")
    if not options.check:
        Path(OUT).write_text(page(), encoding="utf-8")
        print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
