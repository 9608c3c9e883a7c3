"""Write docs/sbom.cdx.json: what facecluster installs, as a CycloneDX 1.6 bill of materials.

    python workflows/sbom.py            # in the environment of the tests, after workflows/lock.py
    python workflows/sbom.py --check    # exits with 1 if the file is not of these versions

Components are the packages of requirements.lock (scope required) with the SHA-256 of their files, and what the extras add (optional), in
the versions of constraints.txt. Licences are those of the metadata where a package is installed here. The file has no time and no random
number, so that the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from licences import key, licence, shipped
from lock import CONSTRAINTS, LOCK, ROOT, hashes, pins

OUT = ROOT / "docs" / "sbom.cdx.json"


def licence_entry(package: Distribution) -> dict[str, Any]:
    """The licence as CycloneDX has it: an SPDX expression where the metadata have one, else a name."""
    if found := package.metadata.get("License-Expression"):
        return {"expression": str(found)}
    return {"license": {"name": licence(package)}}


def component(name: str, version: str, required: bool, files: list[str], package: Distribution | None) -> dict[str, Any]:
    """A package of PyPI. The hashes of its files, of which an installation takes one, stand in external references."""
    url = f"https://pypi.org/project/{name}/{version}/"
    found: dict[str, Any] = {
        "type": "library", "bom-ref": f"pkg:pypi/{name}@{version}", "name": name, "version": version,
        "scope": "required" if required else "optional", "purl": f"pkg:pypi/{name}@{version}",
    }  # fmt: skip
    if package is not None:
        found["licenses"] = [licence_entry(package)]
    content = [{"alg": "SHA-256", "content": digest} for digest in files]
    found["externalReferences"] = [{"type": "distribution", "url": url, **({"hashes": content} if content else {})}]
    return found


def bill() -> dict[str, Any]:
    """The whole bill."""
    lock = LOCK.read_text(encoding="utf-8")
    required, known, files = pins(lock), pins(CONSTRAINTS.read_text(encoding="utf-8")), hashes(lock)
    there = {key(d.metadata["Name"]): d for d in distributions()}
    optional = {name: known[name] for name in sorted(shipped()) if name in known and name not in required}
    made = {name: (version, True) for name, version in required.items()} | {name: (version, False) for name, version in optional.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    root = f"pkg:pypi/{project['name']}@{project['version']}"
    parts = [component(name, *made[name], files.get(name, []), there.get(name)) for name in sorted(made)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": root, "name": project["name"], "version": project["version"], "purl": root,
                "licenses": [{"expression": project["license"]}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": root, "dependsOn": [part["bom-ref"] for part in parts if part["scope"] == "required"]}],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only look whether the file is current")
    text = json.dumps(bill(), indent=1) + "\n"
    if not parser.parse_args().check:
        Path(OUT).write_text(text, encoding="utf-8")
        print(f"wrote {OUT}")
    elif OUT.read_text(encoding="utf-8") != text:
        sys.exit(f"expected a current {OUT.name}, found an older one: run workflows/sbom.py")


if __name__ == "__main__":
    main()
