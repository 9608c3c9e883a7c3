"""The whole runs of workflows/ for a laptop, a GPU box, Slurm and Kubernetes, on a few photos; the cluster's own programs are replaced."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import jobs
import pytest
import yaml
from conftest import need, needs
from store.test_s3 import s3  # noqa: F401

from facecluster.store import Store

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
KUBERNETES = WORKFLOWS / "kubernetes"
SBATCH = """#!/bin/bash
# as Slurm's: notes the job script, starts it, and prints the job's number
n=0
until mkdir "$JOBS/$n" 2> /dev/null; do n=$((n + 1)); done
cp "${!#}" "$JOBS/$n.sh"
setsid bash "$JOBS/$n.sh" > "$JOBS/$n.log" 2>&1 < /dev/null &
echo $! > "$JOBS/$n.pid"
echo "Submitted batch job $n"
"""
SCANCEL = """#!/bin/bash
for n in "$@"; do kill -- "-$(cat "$JOBS/$n.pid")"; done 2> /dev/null
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return jobs.small_photos(tmp_path_factory.mktemp("photos"), 9)


@pytest.fixture(scope="module")
def whole(photos: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What one process makes of the photos."""
    store = Store(str(tmp_path_factory.mktemp("whole") / "store"))
    jobs.run("run", photos, "-o", store.url)
    assert len(store.shards("photos")) == 3
    return store


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables with which `facecluster` is the program of small shards, `sbatch` and `scancel` are ours, and `dask` is found."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "jobs").mkdir()
    for name, text in (("facecluster", f'#!/bin/sh\nexec {shlex.join(jobs.PROGRAM)} "$@"\n'), ("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | jobs.SETTINGS | {"PATH": path, "JOBS": str(tmp_path / "jobs")}


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """In a folder of the test, since the report of a store that is not on this machine is written where the command runs."""
    return subprocess.Popen(command, env=environment, cwd=environment["JOBS"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    """What the program said, once it has ended well."""
    said, _ = process.communicate(timeout=250)
    assert process.returncode == 0, said
    return said


def test_laptop(photos: str, whole: Store, environment: dict[str, str], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "my people"))
    script = [str(WORKFLOWS / "laptop.sh")]
    said = ended(start([*script, photos, store.url, "--device", "cpu"], environment | {"WORKERS": "1"}))
    jobs.same_tables(whole, store)
    assert "9 photos looked at" in said and f"facecluster review '{store.url}'" in said
    wrong = subprocess.run(script, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("expected the photos and a folder") and wrong.stderr.count("\n") == 1


def test_gpu_box(photos: str, whole: Store, environment: dict[str, str], tmp_path: Path) -> None:
    """Also where there is no GPU: the worker that should have one embeds on the processor."""
    store = Store(str(tmp_path / "store"))
    command = [sys.executable, str(WORKFLOWS / "gpu_box.py"), photos, "-o", store.url, "--gpus", "1", "--cpu-workers", "1"]
    said = ended(start([*command, "--device", "cpu"], environment))
    jobs.same_tables(whole, store)
    assert "1 workers with a GPU, 1 without" in said and "9 photos looked at" in said


def test_slurm(photos: str, whole: Store, environment: dict[str, str], tmp_path: Path) -> None:
    """One of two jobs is taken away during the run: another is submitted."""
    needs("dask_jobqueue")
    store, folder = Store(str(tmp_path / "store")), tmp_path / "jobs"
    command = [sys.executable, str(WORKFLOWS / "slurm.py"), photos, "-o", store.url, "--jobs", "2", "--cores", "1", "--interface", "lo"]
    more = [
        "--look",
        "0.2",
        "--job-memory",
        "4GB",
        "--walltime",
        "01:00:00",
        "--queue",
        "short",
        "--scratch",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    process = start([*command, *more], environment)
    try:
        while len(store.shards("photos") if store.fs.isdir(store.root) else ()) < 1 and process.poll() is None:
            time.sleep(0.05)
        os.killpg(int((folder / "0.pid").read_text()), 9)
        ended(process)
    finally:
        process.kill()
        numbers = [path.stem for path in folder.glob("*.pid")]
        subprocess.run(["scancel", *numbers], env=environment)
    jobs.same_tables(whole, store)
    scripts = [path.read_text() for path in sorted(folder.glob("*.sh"))]
    assert len(scripts) >= 3
    for script in scripts:
        header = set(re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE))
        assert header >= {"-p short", "-n 1", "--cpus-per-task=1", "--mem=4G", "-t 01:00:00"}
        assert "--nthreads 1" in script and "--lifetime 3240s --lifetime-stagger 180s" in script and "GPU" not in script


# -- Kubernetes -----------------------------------------------------------------------------------------------------------------------


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one of the Dask operator's resources, in which a field that it does not know is an error, as for kubectl."""
    try:
        files = distribution("dask-kubernetes").files or []
    except PackageNotFoundError:
        need(False, "dask-kubernetes (PyPI; --no-deps is enough)")
    (path,) = [file for file in files if file.match(f"crds/{kind.lower()}.yaml")]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # half a megabyte
    (version,) = yaml.load(path.read_text(), loader)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {"apiVersion": {"const": f"kubernetes.dask.org/{version['name']}"}, "kind": {"const": kind}, "metadata": {}}

    def close(part: dict[str, Any]) -> None:
        if part.get("x-kubernetes-int-or-string"):
            part.pop("type", None)
        if "properties" in part and not part.get("x-kubernetes-preserve-unknown-fields"):
            part["additionalProperties"] = False
        inner = [*part.get("properties", {}).values(), part.get("items"), part.get("additionalProperties")]
        for other in inner:
            if isinstance(other, dict):
                close(other)

    close(schema)
    return dict(schema)


def manifest(name: str) -> Any:
    return yaml.safe_load((KUBERNETES / name).read_text())


def containers(name: str) -> dict[str, Any]:
    """The containers of a manifest by their names."""
    found: dict[str, Any] = {}

    def look(part: Any) -> None:
        if isinstance(part, dict):
            found.update({c["name"]: c for c in part.get("containers", ())})
        for other in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            look(other)

    look(manifest(name))
    return found


@pytest.mark.parametrize("name", ["job.yaml", "gpu-workers.yaml"])
def test_manifests_are_what_the_operator_takes(name: str) -> None:
    validator = needs("jsonschema").Draft202012Validator
    made = manifest(name)
    check = validator(schema_of(made["kind"]))
    assert [(list(error.path), error.message) for error in check.iter_errors(made)] == []
    for wrong in (  # what this test would miss otherwise
        json.dumps(made).replace('"replicas"', '"replica"'),
        json.dumps(made).replace('"args"', '"arg"'),
        json.dumps(made).replace('"name": "worker", ', ""),
        json.dumps(made).replace('"image": "', '"image": 1, "x": "'),
    ):
        assert list(check.iter_errors(json.loads(wrong)))


def test_the_manifests_fit_each_other() -> None:
    job, more = manifest("job.yaml"), manifest("gpu-workers.yaml")
    name, scheduler = job["metadata"]["name"], job["spec"]["cluster"]["spec"]["scheduler"]
    assert more["spec"]["cluster"] == name and scheduler["service"]["selector"]["dask.org/cluster-name"] == name
    assert {p["targetPort"] for p in scheduler["service"]["ports"]} <= {p["name"] for p in scheduler["spec"]["containers"][0]["ports"]}
    all_of_them = [*containers("job.yaml").values(), *containers("gpu-workers.yaml").values()]
    assert len(all_of_them) == 4 and len({str(c.get("envFrom")) for c in all_of_them if c["name"] != "scheduler"}) == 1


def test_the_image_has_what_the_containers_start() -> None:
    text = (KUBERNETES / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", text, re.MULTILINE)
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    first, second = re.findall(r"pip install (.*?)(?: && rm.*)?$", text, re.MULTILINE)  # torch without CUDA before all that needs it
    assert "--no-deps" in first and "${TORCH_INDEX}" in first and first.rstrip(" \\").endswith("torch") and "${EXTRAS}" in second
    assert all("-c /src/constraints.txt" in words for words in (first, second)) and importlib.import_module("dask.__main__")


def test_kubernetes(s3: Any, photos: str, whole: Store, environment: dict[str, str], tmp_path: Path) -> None:  # noqa: F811
    """The containers' command lines, with the variables that the operator sets, and the bucket that they name."""
    s3.mkdir("my-bucket")
    s3.put(f"{photos}/", "my-bucket/photos/", recursive=True)
    given = containers("job.yaml") | {"gpu": containers("gpu-workers.yaml")["worker"]}
    processes, scheduler = list[subprocess.Popen[str]](), tmp_path / "scheduler.json"

    def run(name: str, **variables: str) -> subprocess.Popen[str]:
        container = given[name]
        variables |= {v["name"]: v["value"] for v in container.get("env", ())}
        words = [re.sub(r"\$\((\w+)\)", lambda m: variables[m[1]], word) for word in container["args"]]
        if name == "scheduler":  # a free port, on this machine alone
            words[words.index("8786")] = "0"
            words += ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(scheduler)]
        return start(words, environment | {k: v for k, v in os.environ.items() if k.startswith("AWS_")} | variables)

    try:
        processes.append(run("scheduler"))
        while not scheduler.exists() or not scheduler.read_text().endswith("}"):
            assert processes[0].poll() is None, processes[0].communicate()
            time.sleep(0.05)
        address = json.loads(scheduler.read_text())["address"]
        for name in ("worker", "gpu"):
            processes.append(run(name, DASK_SCHEDULER_ADDRESS=address, DASK_WORKER_NAME=name))
        said = ended(run("job", DASK_SCHEDULER_ADDRESS=address))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert "9 photos looked at" in said
    assert (tmp_path / "jobs" / "facecluster-report" / "index.html").is_file()
    store = Store("s3://my-bucket/people")
    for table in ("faces", "embeddings/bundled", "links/bundled", "identities/bundled"):
        assert store.shards(table) == whole.shards(table)
        for shard in store.shards(table):
            assert store.read(table, shard).equals(whole.read(table, shard), check_metadata=True), (table, shard)
