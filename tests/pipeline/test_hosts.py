"""The whole job on hosts of their own: network namespaces with a scheduler, workers and an S3 server; this process is a third machine.

Needs Linux, root and `ip` (Debian's iproute2); skipped where namespaces can't be made. It makes networks on this machine, so it runs only
where FACECLUSTER_HOSTS=1 is set, as in CI.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
import fsspec
import jobs
import people_store as syn
import pytest
from conftest import need

from facecluster.store import Store

pytestmark = pytest.mark.skipif(not os.environ.get("FACECLUSTER_HOSTS"), reason="makes networks on this machine: set FACECLUSTER_HOSTS=1")
# of the range for tests between networks (RFC 2544), others for each process: two runs at once must not meet
ONE, TWO, HERE = (str(ipaddress.ip_address("198.18.0.0") + 8 * (os.getpid() % 2**14) + i) for i in (1, 2, 3))
SCHEDULER = f"tcp://{ONE}:8786"
S3 = {
    "AWS_ENDPOINT_URL": f"http://{ONE}:5000", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "no_proxy": f"{ONE},{TWO},{HERE}",
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report of a store in a bucket goes to the current folder."""
    monkeypatch.chdir(tmp_path)


class Hosts:
    """Two hosts on one switch, with this machine as the third; and the programs that run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, dict[str, subprocess.Popen[bytes]]()
        self.names = {ONE: f"fc-one-{os.getpid()}", TWO: f"fc-two-{os.getpid()}"}

    def connect(self) -> None:
        """Make the hosts and the switch. Raises CalledProcessError where this process may not."""
        one, two = self.names.values()
        for words in (
            f"netns add {one}",
            f"netns add {two}",
            f"-n {one} link add switch type bridge",
            f"-n {one} address add {ONE}/29 dev switch",
            f"-n {one} link add two type veth peer name eth0 netns {two}",
            f"-n {one} link add here type veth peer name fc{os.getpid()} netns {os.getpid()}",
            f"-n {one} link set two master switch up",
            f"-n {one} link set here master switch up",
            f"-n {one} link set switch up",
            f"-n {one} link set lo up",
            f"-n {two} address add {TWO}/29 dev eth0",
            f"-n {two} link set eth0 up",
            f"-n {two} link set lo up",
            f"address add {HERE}/29 dev fc{os.getpid()}",
            f"link set fc{os.getpid()} up",
            f"netns exec {two} true",
        ):
            subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True)

    def start(self, host: str, name: str, *command: str) -> None:
        """Start a Python module on a host."""
        settings = os.environ | jobs.SETTINGS | S3
        with open(self.folder / f"{name}.log", "wb") as log:
            run = ["ip", "netns", "exec", self.names[host], sys.executable, "-m", *command]
            self.processes[name] = subprocess.Popen(run, stdout=log, stderr=log, env=settings, cwd=self.folder)

    def start_scheduler(self) -> None:
        self.start(ONE, "scheduler", "dask", "scheduler", "--host", ONE, "--port", "8786", "--no-dashboard")

    def start_worker(self, host: str, name: str) -> None:
        options = ["--host", host, "--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        self.start(host, name, "dask", "worker", SCHEDULER, *options)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Hosts with an S3 server, a scheduler, a worker on the first and two on the second; and photos in a bucket."""
    need(all(importlib.util.find_spec(p) for p in ("s3fs", "moto", "flask", "flask_cors")), "s3fs, moto[s3], flask and flask-cors (PyPI)")
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("needs Linux and root: network namespaces")
    need(shutil.which("ip") is not None, "ip (Debian: iproute2)")
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    try:
        try:
            hosts.connect()
        except subprocess.CalledProcessError as e:
            pytest.skip(f"needs network namespaces: {' '.join(e.cmd)}: {e.stderr.strip()}")
        hosts.start(ONE, "s3", "moto.server", "--host", "0.0.0.0", "--port", "5000")
        hosts.start_scheduler()
        for host, name in ((ONE, "one"), (TWO, "two"), (TWO, "slow")):
            hosts.start_worker(host, name)
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture(scope="module")
def bucket(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A filesystem with photos in bucket/photos."""
    with pytest.MonkeyPatch.context() as m:
        for name, value in S3.items():
            m.setenv(name, value)
        fs = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
        photos = jobs.small_photos(tmp_path_factory.mktemp("photos"), 24)
        jobs.wait_for(lambda: b"Running" in (hosts.folder / "s3.log").read_bytes())
        fs.mkdir("bucket")
        fs.put(f"{photos}/", "bucket/photos/", recursive=True)
        yield fs
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture(scope="module")
def whole(bucket: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What one process makes of the photos, on a disk."""
    store = Store(str(tmp_path_factory.mktemp("whole") / "store"))
    jobs.run("run", "s3://bucket/photos", "-o", store.url)
    assert len(store.shards("photos")) == 8
    return store


def command(store: str) -> list[str]:
    return ["run", "s3://bucket/photos", "-o", f"s3://{store}", "--scheduler", SCHEDULER]


def embedded(bucket: Any, store: str) -> list[str]:
    return sorted(bucket.glob(f"{store}/embeddings/bundled/*.parquet"))


def same_tables(bucket: Any, store: str, whole: Store, folder: Path) -> None:
    bucket.get(f"{store}/", f"{folder}/copy/", recursive=True)
    jobs.same_tables(whole, Store(str(folder / "copy")))


@contextmanager
def slowed(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let a process run a fifth of the time."""
    over = threading.Event()

    def hold() -> None:
        while not over.wait(0.1):
            process.send_signal(signal.SIGSTOP)
            over.wait(0.4)
            process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_tables_are_equal_though_one_worker_is_killed_and_one_is_slow(hosts: Hosts, bucket: Any, whole: Store, tmp_path: Path) -> None:
    def searched() -> bool:
        """Whether this worker has searched a photo for faces."""
        import facecluster.faces.detect

        return bool(facecluster.faces.detect._detector.cache_info().currsize)

    with distributed.Client(SCHEDULER) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(3, timeout=250)
        with slowed(hosts.processes["slow"]):
            process = jobs.start(*command("bucket/people"))
            jobs.wait_for(lambda: len(embedded(bucket, "bucket/people")) >= 2 or process.poll() is not None)
            hosts.processes["one"].kill()
            assert len(embedded(bucket, "bucket/people")) < 8
            _, err = process.communicate(timeout=250)
        assert process.returncode == 0, err
        found = client.run(searched)
    assert len(found) == 2 and all(address.startswith(f"tcp://{TWO}:") for address in found) and all(found.values())
    same_tables(bucket, "bucket/people", whole, tmp_path)


def test_a_large_collection_is_grouped_to_the_same_tables(hosts: Hosts, bucket: Any, tmp_path: Path) -> None:
    """The limit is lowered; both kinds of tasks, of links and of groups, go to the hosts."""
    store, _, truth = syn.ungrouped_store(tmp_path, [9] * 15 + [3] * 10 + [1] * 85)
    assert len(truth) == 250
    bucket.put(f"{store.root}/", "bucket/large/", recursive=True)
    program = [sys.executable, str(Path(__file__).parent / "large_collection.py"), "cluster"]
    for place in ([store.url], ["s3://bucket/large", "--scheduler", SCHEDULER]):
        done = subprocess.run([*program, *place], env=os.environ | jobs.SETTINGS, capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stderr
    bucket.get("bucket/large/", f"{tmp_path}/copy/", recursive=True)
    there = Store(str(tmp_path / "copy"))
    for table in ("links/bundled", "identities/bundled"):
        assert there.shards(table) == store.shards(table) and there.shards(table)
        for shard in there.shards(table):
            assert there.read(table, shard).equals(store.read(table, shard), check_metadata=True), (table, shard)
    assert len(store.shards("links/bundled")) == 2


def test_a_scheduler_that_starts_again_is_one_clear_line_and_the_same_command_goes_on(
    hosts: Hosts, bucket: Any, whole: Store, tmp_path: Path
) -> None:
    process = jobs.start(*command("bucket/again"))
    jobs.wait_for(lambda: len(embedded(bucket, "bucket/again")) >= 2 or process.poll() is not None)
    hosts.processes["scheduler"].kill()
    hosts.processes["scheduler"].wait()
    hosts.start_scheduler()
    _, err = process.communicate(timeout=250)
    said = jobs.lines(err)
    assert process.returncode == 1 and len(said) == 1, err
    assert "expected the Dask cluster" in said[0] and "run the same command again" in said[0]
    done = {name: bucket.modified(name) for name in embedded(bucket, "bucket/again")}
    assert 2 <= len(done) < 8
    hosts.start_worker(TWO, "again")
    jobs.run(*command("bucket/again"))
    assert {name: bucket.modified(name) for name in done} == done
    same_tables(bucket, "bucket/again", whole, tmp_path)
