"""The command line for which a hundred faces are a large collection: run as a program by the tests on hosts."""

from __future__ import annotations

import importlib

LIMITS = {"link": {"EXACT": 100, "ROWS": 130}, "shelved_vectors": {"EXACT": 100, "PART": 200}}  # in facecluster.grouping

if __name__ == "__main__":
    for name, values in LIMITS.items():
        module = importlib.import_module(f"facecluster.grouping.{name}")
        for limit, value in values.items():
            assert getattr(module, limit) > value
            setattr(module, limit, value)
    importlib.import_module("facecluster.cli").main()
