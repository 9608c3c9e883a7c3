"""pyarrow loads pandas, where it is installed, at the first conversion of a list or an array: a third of a second, for nothing that a
command does. So a process of the command is one without pandas, as it is in a default install.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname == "pandas":
            raise ModuleNotFoundError("expected no import of pandas in a command of facecluster, found one", name=fullname)
        return None


def spare_pandas() -> None:
    """Let imports of pandas in this process fail, unless it is loaded already."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())
