"""What all tests share."""

from __future__ import annotations

import importlib
import os
import signal
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts its background jobs deaf to Ctrl-C, and their children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:  # threads of one process and those of another wait for each other's cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ["LC_ALL"] = "C.UTF-8"  # pages in English, whatever this machine speaks

settings.register_profile("facecluster", deadline=None)  # a busy machine is no fault
settings.load_profile("facecluster")


def need(condition: bool, what: str) -> None:
    """Skip the test if this machine lacks `what`; fail where everything must be there (FACECLUSTER_REQUIRE_ALL=1, as in CI)."""
    if condition:
        return
    if os.environ.get("FACECLUSTER_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}, and FACECLUSTER_REQUIRE_ALL=1 forbids skipping")
    pytest.skip(f"needs {what}")


def needs(package: str) -> Any:
    """An optional package; the test is skipped, or fails as `need` says, if it is not installed."""
    need(find_spec(package) is not None, f"the package {package}")
    return importlib.import_module(package)
