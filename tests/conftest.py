"""What all tests share."""

from __future__ import annotations

import importlib
import os
import signal
from collections import Counter
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

# The files that take longest. In several processes they begin first, so that at the end none of them runs alone.
LONGEST = (
    "pipeline/test_edit_story.py",
    "pipeline/test_random_history.py",
    "pipeline/test_hosts.py",
    "pipeline/test_dask.py",
    "pipeline/test_cluster_workflows.py",
    "faults/test_faults.py",
    "races/test_races.py",
    "photos/test_hostile_photos.py",
    "pipeline/test_large_collection.py",
    "privacy/test_encrypt.py",
    "pipeline/test_killed.py",
    "store/test_s3.py",
    "pipeline/test_bad_input.py",
    "fuzz/test_fuzz.py",
    "review/test_drawing.py",
    "people/test_histories.py",
    "test_docs.py",
    "review/test_regroup.py",
    "upkeep/test_golden_stores.py",
    "upkeep/test_soak.py",
    "pipeline/test_pipeline.py",
    "review/test_accessibility.py",
    "review/test_languages_browser.py",
    "cli/test_full_disk.py",
    "review/test_drawing_browser.py",
    "test_no_network.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order below: its own has the files of one test last, and some of these are the longest."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes: the longest files, then those of many tests, then those of few, so that all processes end together."""
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        files = [item.nodeid.partition("::")[0].removeprefix("tests/") for item in items]
        place, tests = {name: i for i, name in enumerate(LONGEST)}, Counter(files)
        order = sorted(range(len(items)), key=lambda i: (place.get(files[i], len(place)), -tests[files[i]]))
        items[:] = [items[i] for i in order]


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
