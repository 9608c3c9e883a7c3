"""Which names of files are those of photos and videos, and which of hidden files."""

from __future__ import annotations

from collections.abc import Callable

from facecluster.photos.extras import EXTRAS, VIDEO, Extra, is_installed
from facecluster.photos.passed_over import PassedOver, extension_of

# what is opened without any extra
EXTENSIONS = frozenset(
    "jpg jpeg jpe jfif mpo png webp tif tiff gif avif heic heif hif bmp jp2 j2k jpx jpf j2c jpc".split()
)  # fmt: skip
EXTRA_OF: dict[str, Extra] = {extension: extra for extra in EXTRAS for extension in extra.extensions}
_SKIPPED_NAMES = frozenset({"@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"})


def is_hidden(name: str) -> bool:
    """Whether the name of a file or a folder is a hidden one."""
    return name.startswith(".") or name in _SKIPPED_NAMES


def is_taken(path: str, passed_over: PassedOver, is_live: Callable[[], bool]) -> bool:
    """Whether a file has the name of a photo or a video that can be opened; else it is counted."""
    extension = extension_of(path.rpartition("/")[2])
    extra = EXTRA_OF.get(extension)
    if (extra is VIDEO or extension == "mp") and is_live():
        passed_over.live_parts += 1
    elif extra is not None and not is_installed(extra):
        passed_over.missing[extra.name] += 1
    elif extra is None and extension not in EXTENSIONS:
        passed_over.others[extension] += 1
    else:
        return True
    return False
