"""Write requirements.lock: what the default install takes, each file by its SHA-256 from PyPI's index, for pip's --require-hashes.

    pip install uv && python workflows/lock.py

Versions are those of constraints.txt. The file holds for Linux, macOS and Windows and for all Pythons from 3.11 on. Beside the
dependencies it has what builds the package itself, so that nothing is fetched without a hash:

    pip install --require-hashes -r requirements.lock && pip install --no-deps --no-build-isolation .
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, CONSTRAINTS = ROOT / "requirements.lock", ROOT / "constraints.txt"
INDEX = "https://pypi.org/simple"
HEADER = "# Made by workflows/lock.py from constraints.txt and PyPI's index: not to be edited. docs/security.md says how it is used.\n"
_BUILD = "hatchling"


def pins(text: str) -> dict[str, str]:
    """Names (normalised) and versions of a file of requirements."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def hashes(text: str) -> dict[str, list[str]]:
    """SHA-256 of the files of each package, by its name."""
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {name: re.findall(r"--hash=sha256:([0-9a-f]{64})", part) for part in parts for name in pins(part)}


def compiled() -> str:
    """The lock as uv resolves it."""
    command = [
        "uv", "pip", "compile", "pyproject.toml", "-", "--extra", "cpu", "--constraint", CONSTRAINTS.name, "--universal",
        "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--no-config", "--default-index", INDEX, "--quiet",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, input=_BUILD, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"expected uv to resolve the default install, found: {done.stderr.strip()}")
    return HEADER + done.stdout


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    text = compiled()
    wanted, found = pins(CONSTRAINTS.read_text(encoding="utf-8")), pins(text)
    wrong = {name: version for name, version in found.items() if wanted.get(name, version) != version}
    if wrong or any(not some for some in hashes(text).values()):
        sys.exit(f"expected the versions of constraints.txt, each with hashes, found others: {wrong}")
    LOCK.write_text(text, encoding="utf-8")
    print(f"{len(found)} packages, {sum(map(len, hashes(text).values())):,} files in {LOCK.name}")


if __name__ == "__main__":
    main()
