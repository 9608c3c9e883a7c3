"""What a command loads: not torch where no model is asked, and not pandas, which nothing needs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need
from people_store import call, ungrouped_store

LOOK = """import json, sys
from facecluster.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as e:
        assert not e.code, words
    print("loaded", *(m for m in ("torch", "pandas") if m in sys.modules), file=sys.stderr)
"""


def loaded(*commands: list[str]) -> dict[str, list[str]]:
    """The heavy packages that a process has loaded after each of these commands."""
    done = subprocess.run([sys.executable, "-c", LOOK, json.dumps(commands)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("loaded")]
    return {" ".join(words): packages for words, packages in zip(commands, found, strict=True)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = ungrouped_store(tmp_path_factory.mktemp("store"), (6, 5, 4))[0]
    call("cluster", made.url)
    return made.url


def test_commands_that_ask_no_model_load_neither_torch_nor_pandas(store: str, tmp_path: Path) -> None:
    need(importlib.util.find_spec("pandas") is not None, "pandas (PyPI)")
    found = loaded(
        ["people", store], ["show", store, "1"], ["name", store, "1", "Anna"], ["undo", store], ["prune", store, "--dry-run"],
        ["models", "list"], ["plan", store], ["cluster", store, "--full", "--dry-run"], ["cluster", store, "--full"], ["report", store],
        ["show", store, "1", "--model", "bundled"], ["export", store, "--format", "csv", "-o", str(tmp_path), "--model", "bundled"],
    )  # fmt: skip
    assert {words: packages for words, packages in found.items() if packages} == {}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]])
def test_help_loads_no_library_that_takes_long(words: list[str]) -> None:
    """So that it comes in a tenth of a second of processor time."""
    slow = "numpy", "pyarrow", "torch", "faiss", "scipy", "dask", "fsspec", "PIL", "jinja2"
    code = f"""import sys
from facecluster.cli import main
try:
    main({words!r})
except SystemExit as e:
    assert not e.code
print(*set(sys.modules).intersection({slow!r}), file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.split() == [] and done.stdout


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
