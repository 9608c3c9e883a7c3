"""What a command loads: not torch where no model is asked, and not pandas, which nothing needs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from conftest import need
from people_store import call, ungrouped_store

LOOK = """import sys
from facecluster.cli import main
try:
    main()
finally:
    print(*(m for m in ("torch", "pandas") if m in sys.modules), file=sys.stderr)
"""


def loaded(*arguments: str) -> list[str]:
    """The heavy packages that a process of the command has loaded at its end."""
    done = subprocess.run([sys.executable, "-c", LOOK, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = ungrouped_store(tmp_path_factory.mktemp("store"), (6, 5, 4))[0]
    call("cluster", made.url)
    return made.url


def test_lists_and_decisions_load_neither_torch_nor_pandas(store: str) -> None:
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    for words in (["people", store], ["show", store, "1"], ["name", store, "1", "Anna"], ["undo", store], ["prune", store, "--dry-run"]):
        assert loaded(*words) == [], words


def test_grouping_loads_no_pandas(store: str) -> None:
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    assert loaded("cluster", store, "--full", "--dry-run") == ["torch"]


def test_a_program_that_calls_the_command_keeps_its_pandas(store: str) -> None:
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    code = (
        "import sys\nfrom facecluster.cli import main\nimport facecluster\n"
        "main(['people', sys.argv[1]], standalone_mode=False)\nprint(len(facecluster.open(sys.argv[1]).to_pandas('people')))"
    )
    done = subprocess.run([sys.executable, "-c", code, store], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "3", done.stderr


def test_a_process_without_pandas_can_train() -> None:
    """torch searches for pandas, among others, when the first optimiser is made."""
    code = (
        "from facecluster.cli.spare_pandas import spare_pandas\nspare_pandas()\nimport torch\n"
        "torch.optim.AdamW([torch.zeros(2, requires_grad=True)]).zero_grad()\n"
        "try:\n    import pandas\nexcept ImportError as e:\n    print(e.name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == ["pandas"], done.stderr
