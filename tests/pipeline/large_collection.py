"""The command line for which a hundred faces are a large collection: run as a program by the tests on hosts."""

from __future__ import annotations

import importlib

LIMITS = {"link": {"EXACT": 100, "ROWS": 130}, "shelved_vectors": {"EXACT": 100, "PART": 200}}  # in facecluster.grouping

if __name__ == "__main__":
    modules = {name: importlib.import_module(f"facecluster.grouping.{name}") for name in LIMITS}
    for name, values in LIMITS.items():
        for limit, value in values.items():
            assert getattr(modules[name], limit) > value
            setattr(modules[name], limit, value)
    importlib.import_module("facecluster.cli").main()
