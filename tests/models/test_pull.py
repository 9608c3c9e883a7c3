"""`models pull` against a server on this machine that is broken in many ways: never a half file, never the wrong one, one clear line."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx_files
import pytest
from click.testing import CliRunner
from conftest import needs

from facecluster.cli import main
from facecluster.errors import InputError, ModelError
from facecluster.models import pull as pulling
from facecluster.models.download import Wanted, fetch
from facecluster.models.folder import installed
from facecluster.models.pull import PACKS, Offer, offers, pull
from facecluster.models.registry import load_embedder

DATA = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(600_000)
SHA = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Does what the server's next act says; with none left, it serves the file well."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers)))
        acts = server.acts
        (acts.pop(0) if acts else good)(self)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


Act = Callable[[Handler], None]


def answer(handler: Handler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    handler.send_response(status)
    for key, value in ({"Content-Length": str(len(body)), "Connection": "close"} | headers).items():
        handler.send_header(key, value)
    handler.end_headers()
    handler.wfile.write(body)


def good(handler: Handler, data: bytes | None = None) -> None:
    data = handler.server.data if data is None else data  # type: ignore[attr-defined]
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    if start >= len(data):
        answer(handler, 416, {"Content-Range": f"bytes */{len(data)}"})
    elif start:
        answer(handler, 206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:])
    else:
        answer(handler, 200, {}, data)


def cut(n: int, data: bytes = DATA) -> Act:
    """Ends after n bytes of what it promised."""
    return lambda h: answer(h, 200, {"Content-Length": str(len(data))}, data[:n])


def whole(handler: Handler) -> None:
    """Knows no ranges."""
    answer(handler, 200, {}, DATA)


def slow(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    for i in range(0, len(DATA), 60_000):
        handler.wfile.write(DATA[i : i + 60_000])
        time.sleep(0.03)


def stalled(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    handler.wfile.write(DATA[:1000])
    handler.wfile.flush()
    time.sleep(1.0)


def status(code: int, **headers: str) -> Act:
    return lambda h: answer(h, code, {k.replace("_", "-"): v for k, v in headers.items()}, b"sorry")


def html(handler: Handler) -> None:
    answer(handler, 200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in</html>")


def wrong_part(handler: Handler) -> None:
    answer(handler, 206, {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}, DATA[5:])


def no_length(handler: Handler) -> None:
    """Says no length, and ends too early."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(DATA[:1000])


@dataclass
class Place:
    """The server, and what it is to do next."""

    server: Any
    url: str
    waits: list[float] = field(default_factory=list)

    def wanted(self, size: int | None = len(DATA), path: str = "/file") -> Wanted:
        return Wanted(url=self.url + path, sha256=SHA, size=size)

    def fetch(self, folder: Path, *acts: Act, size: int | None = len(DATA)) -> Path:
        self.server.acts[:] = acts
        return fetch(self.wanted(size), folder, timeout=0.4, sleep=self.waits.append)

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.server.seen]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.acts, server.seen, server.data = [], [], DATA
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Place(server, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


RECOVERED = {
    "slow": [slow],
    "stalled, then good": [stalled],
    "cut off, then the rest": [cut(250_000)],
    "cut off three times": [cut(100_000), lambda h: answer(h, 206, {"Content-Range": f"bytes 100000-{len(DATA)}/{len(DATA)}",
                            "Content-Length": "500000"}, DATA[100_000:300_000])],
    "busy, then good": [status(503), status(429, Retry_After="7"), status(502)],
    "redirected": [status(302, Location="/elsewhere")],
    "knows no ranges": [cut(250_000), whole],
    "refuses ranges": [cut(250_000), status(416)],
    "sends another part than asked for": [cut(250_000), wrong_part],
    "another file between the parts": [cut(250_000, OTHER)],
    "no length, cut off": [no_length],
}  # fmt: skip


@pytest.mark.parametrize("acts", RECOVERED.values(), ids=RECOVERED)
def test_a_download_recovers(tmp_path: Path, place: Place, acts: list[Act]) -> None:
    got = place.fetch(tmp_path, *acts)
    assert got.read_bytes() == DATA and [p.name for p in tmp_path.iterdir()] == [got.name]


def test_it_goes_on_where_it_ended_and_waits_as_told(tmp_path: Path, place: Place) -> None:
    place.fetch(tmp_path, cut(250_000), status(429, Retry_After="7"), status(503))
    assert place.ranges == [None, *["bytes=250000-"] * 3]
    assert place.waits == [1, 7, 4]


FAILED = {
    "not found": ([status(404)], "found HTTP 404"),
    "forbidden": ([status(403)], "found HTTP 403 .*accept the model's terms on its page and set HF_TOKEN"),
    "redirects in a ring": ([status(302, Location="/file")] * 20, "redirects that do not end"),
    "wrong bytes": ([lambda h: good(h, OTHER)], "expected a file with SHA-256 .*, found "),
    "another length": ([lambda h: good(h, DATA[:-1])], "expected 600,000 bytes at .*, found 599,999"),
    "a web page": ([html], "found a web page: log in"),
    "always cut off": ([cut(100)] + [cut(50)] * 9, "after 5 tries: a connection that ended after 50 of 600,000 bytes"),
    "always busy": ([status(503)] * 9, "after 5 tries: HTTP 503"),
    "always another file": ([cut(9, OTHER), lambda h: good(h, OTHER), lambda h: good(h, OTHER)], "expected a file with SHA-256"),
}


@pytest.mark.parametrize("acts, line", FAILED.values(), ids=FAILED)
def test_a_download_that_fails_leaves_no_file_and_says_why_in_a_line(tmp_path: Path, place: Place, acts: list[Act], line: str) -> None:
    with pytest.raises(ModelError, match=line) as failed:
        place.fetch(tmp_path, *acts)
    assert "\n" not in str(failed.value) and "/file" in str(failed.value)
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".part")] == []
    assert place.fetch(tmp_path).read_bytes() == DATA  # and the next call is none the worse


def test_nobody_there_and_no_address(tmp_path: Path, place: Place) -> None:
    with pytest.raises(ModelError, match="Connection refused"):
        fetch(Wanted(url="http://127.0.0.1:9/file", sha256=SHA), tmp_path, sleep=place.waits.append)
    with pytest.raises(ModelError, match="expected an http or https address"):
        fetch(Wanted(url="no address", sha256=SHA), tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(tmp_path: Path, place: Place) -> None:
    (tmp_path / f"{SHA}.part").symlink_to("/dev/full")
    with pytest.raises(ModelError, match=r"found: No space left on device\. Make room"):
        place.fetch(tmp_path)
    assert not (tmp_path / f"{SHA}.download").exists()


def test_the_token_goes_to_the_first_server_alone(tmp_path: Path, place: Place) -> None:
    elsewhere = place.url.replace("127.0.0.1", "localhost")
    wanted = replace(place.wanted(), headers={"Authorization": "Bearer secret"})
    place.server.acts[:] = [status(302, Location="/near"), status(302, Location=f"{elsewhere}/far")]
    assert fetch(wanted, tmp_path).read_bytes() == DATA
    assert [headers.get("Authorization") for _, headers in place.server.seen] == ["Bearer secret", "Bearer secret", None]


def test_a_proxy_of_the_environment_is_used(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", place.url)
    monkeypatch.setenv("no_proxy", "")
    assert fetch(Wanted(url="http://models.invalid/file", sha256=SHA), tmp_path).read_bytes() == DATA
    assert place.server.seen[0][0] == "http://models.invalid/file"


@pytest.fixture
def offer(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """An embedder on the server, as the catalogue would have it; the user's folder and the hub's cache are empty."""
    needs("onnxruntime")
    monkeypatch.setenv("FACECLUSTER_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    onnx_files.embedder(tmp_path / "m.onnx")
    place.server.data = (tmp_path / "m.onnx").read_bytes()
    sha = hashlib.sha256(place.server.data).hexdigest()
    first = offers("sface")[0]
    card = first.card | {"model": first.card["model"] | {"name": "mine", "sha256": sha, "dim": 24}}
    about = replace(first.about, name="mine", sha256=sha)
    return Offer(about, card, "https://huggingface.co/them/theirs/resolve/main/m.onnx", len(place.server.data), False)


def test_a_pulled_model_can_be_used(place: Place, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", place.url)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("secret\n")
    pull(offer)
    assert place.server.seen[0][0] == "/them/theirs/resolve/main/m.onnx"
    assert place.server.seen[0][1]["Authorization"] == "Bearer secret"
    assert installed() == ["mine"] and load_embedder("mine", "cpu").embed(np.zeros((1, 112, 112, 3), np.uint8)).shape == (1, 24)
    pull(offer)  # nothing is fetched again
    assert len(place.server.seen) == 1 and sorted(p.suffix for p in (tmp_path / "models").rglob("*") if p.is_file()) == [
        ".lock", ".onnx", ".toml"]  # fmt: skip
    load_embedder.cache_clear()  # type: ignore[attr-defined]


def test_a_mirror_gets_no_token_and_the_hubs_cache_comes_first(
    place: Place, offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    blob = tmp_path / "hub" / "hub" / "models--them--theirs" / "blobs" / offer.about.sha256
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"half")  # damaged: not used
    pull(offer, mirror=place.url + "/hub/")
    assert place.server.seen[0][0] == "/hub/them/theirs/resolve/main/m.onnx" and "Authorization" not in place.server.seen[0][1]
    (tmp_path / "models" / "mine.toml").unlink()
    blob.write_bytes(place.server.data)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pull(offer)
    assert installed() == ["mine"] and len(place.server.seen) == 1
    blob.unlink()
    (tmp_path / "models" / "mine.toml").unlink()
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        pull(offer)


def test_a_file_that_is_no_model_is_not_added(place: Place, offer: Offer, tmp_path: Path) -> None:
    place.server.data = b"x" * 5_000
    sha = hashlib.sha256(place.server.data).hexdigest()
    bad = Offer(replace(offer.about, sha256=sha), offer.card | {"model": offer.card["model"] | {"sha256": sha}}, offer.url, None, False)
    with pytest.raises(ModelError, match="expected an ONNX file that onnxruntime opens"):
        pull(bad, mirror=place.url)
    assert installed() == []
    with pytest.raises(InputError, match="expected the http or https address of a mirror"):
        pull(offer, mirror="ftp://x")


def test_terms_must_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    pulled: list[str] = []
    monkeypatch.setattr(pulling, "pull", lambda offer, **_: pulled.append(offer.about.name))
    refused = CliRunner().invoke(main, ["models", "pull", "buffalo_s"])
    assert refused.exit_code == 1 and "non-commercial research only" in refused.output and not pulled
    assert refused.output.splitlines()[-1].startswith("facecluster: expected that you accept the licence of scrfd_500m")
    assert CliRunner().invoke(main, ["models", "pull", "buffalo_s", "--accept-licence"]).exit_code == 0
    assert CliRunner().invoke(main, ["models", "pull", "opencv"]).exit_code == 0
    assert pulled == ["scrfd_500m", "w600k_mbf", "yunet", "sface"]


def test_the_catalogue_is_whole() -> None:
    every = {offer.about.name: offer for offer in offers()}
    assert {name for pack in PACKS.values() for name in pack} == set(every)
    for name, offer in every.items():
        assert offer.url.startswith("https://huggingface.co/") and len(offer.about.sha256) == 64 and offer.about.source
        assert offer.about.limits and offer.about.accuracy["published in"] and offers(name) == [offer]
        assert offer.asks == ("non-commercial" in offer.about.licence)
    with pytest.raises(InputError, match="expected one of opencv, buffalo_l"):
        offers("none")
