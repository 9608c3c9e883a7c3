"""Names of files and of class folders that any filesystem accepts, and that loaders of image folders do not take for splits.

Hugging Face's imagefolder loader takes a folder for a split if a word of its path is `train`, `dev`, `test`, ... (datasets/data_files.py of
`datasets` 5.2), and passes over names that start with "." or "__". So such a word gets "@" before it. A README.md with `data_files` in its
head says what the splits are, whatever the names (https://huggingface.co/docs/hub/datasets-manual-configuration).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

README = "README.md"
_SPLITS = "train|training|validation|valid|dev|val|test|testing|eval|evaluation"
_SPLIT = re.compile(rf"(?<![^-._ 0-9])({_SPLITS})(?![^-._ 0-9])")  # whole words only; the loader is case-sensitive
_SPLIT_ALONE = re.compile(_SPLITS, re.IGNORECASE)  # other loaders are not
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])\s*(\..*)?", re.IGNORECASE)


def safe_file_name(name: str) -> str:
    """A file name that any filesystem accepts."""
    name = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode()).strip().rstrip(". ")
    if not name.strip(".") or _RESERVED.fullmatch(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if len(name.encode()) > 200:  # most filesystems allow 255 bytes
        short = (stem if dot else name).encode()[: 190 - len(ending.encode()) if dot and len(ending) < 20 else 190].decode(errors="ignore")
        name = (short + (dot + ending if dot and len(ending) < 20 else "")).rstrip(". ")
    return name


def class_folders(labels: Sequence[str]) -> list[str]:
    """A folder name for each label, all different on any filesystem; a second label with the same name gets a number."""
    taken = {file_key(README)}
    names = []
    for label in labels:
        plain = re.sub(r"^([._]{2,}|\.)", "_", safe_file_name(label))
        base = f"@{plain}" if _SPLIT_ALONE.fullmatch(plain) else _SPLIT.sub(r"@\1", plain)
        name, n = base, 2
        while file_key(name) in taken:
            name, n = f"{base} ({n})", n + 1
        taken.add(file_key(name))
        names.append(name)
    return names


def file_key(name: str) -> str:
    """What two names share that are one file on some filesystem: those of Windows and macOS ignore case and Unicode's forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def readme(title: str, text: str, splits: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """README.md for a folder of class folders. `splits`: the files of each split, as a pattern."""
    lines = [f"  - split: {split}\n    path: \"{pattern}\"\n" for split, pattern in dict(splits).items()]
    head = f"---\nconfigs:\n- config_name: default\n  data_files:\n{''.join(lines)}---\n"
    return f"{head}\n# {title}\n\n{text}\n".encode()
