"""pyarrow loads pandas, where it is installed, at the first conversion of a list or an array: a third of a second, for nothing that a
command does. So a process of the command is one without pandas, as it is in a default install.

Only the import fails. Who looks whether there is a pandas is not stopped: torch does when the first optimiser is made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError("expected no import of pandas in a command of facecluster, found one", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass  # there is none


def spare_pandas() -> None:
    """Let imports of pandas in this process fail, unless it is loaded already."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())
