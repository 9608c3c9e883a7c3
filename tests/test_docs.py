"""The guides' commands run, line by line, on a small collection; the documents' links and pictures are there."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from facecluster.cli import main
from facecluster.demo import make_collection

ROOT = Path(__file__).parents[1]
DOCS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ~/Pictures, and with ~/faces, a folder for each person, and ~/labels.csv."""
    home = tmp_path_factory.mktemp("home")
    made = make_collection(str(home / "Pictures"), people=6, photos=4)
    with open(made.table, encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    with open(home / "labels.csv", "w", encoding="utf-8", newline="") as f:
        labels = csv.writer(f)
        labels.writerow(["path", "person"])
        for i, row in enumerate(rows):
            path = Path(made.photos) / row["photo"]
            x, y, w, h = (float(row[key]) for key in "xywh")
            folder = home / "faces" / row["person"]
            folder.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                if image.getexif().get(0x0112, 1) != 1:  # boxes are of the upright photo
                    continue
                image.convert("RGB").crop((int(x - w), int(y - h), int(x + 2 * w), int(y + 2 * h))).save(folder / f"{i}.jpg", quality=95)
            labels.writerow([str(folder / f"{i}.jpg"), row["person"]])
    return home


def lines(guide: str) -> list[str]:
    """Commands of a guide's shell blocks, but those that wait for a browser."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / guide).read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("facecluster review")]


@pytest.mark.parametrize("guide", ["guide-archive.md", "guide-datasets.md"])
def test_the_guides_commands_run(guide: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    commands = lines(guide)
    assert len(commands) >= 5
    for command in commands:
        if not command.startswith("facecluster "):
            subprocess.run(["bash", "-c", command], check=True)
            continue
        words = [os.path.expanduser(word) for word in shlex.split(command)[1:]]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception!r}"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [t for t in targets if not re.match(r"[a-z]+:", t) and not (path.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("path", [p for p in DOCS if p.name not in {"decisions.md", "CHANGELOG.md"}], ids=lambda p: p.name)
def test_files_that_are_named_exist(path: Path) -> None:
    """Old entries of the decisions name files as they were called then."""
    names = re.findall(r"`((?:facecluster|workflows|tests|docs)/[\w./-]+)`", path.read_text(encoding="utf-8"))
    assert [n for n in names if not (ROOT / n).exists()] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_no_figure_is_left_open(path: Path) -> None:
    assert not re.findall(r"\b[A-Z]{3,}_[A-Z]{3,}\b", re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures and sum(p.stat().st_size for p in pictures) < 1_000_000
