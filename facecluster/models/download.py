"""Downloads a file whose SHA-256 is known: resumed, verified, put in place at once, in one line of explanation if it fails.

What has come is kept in a file named after the wanted hash, and a later try asks for the rest. Only bytes with the right hash leave it. A
server that knows no ranges sends the whole file again. Proxies are those of the environment (http_proxy, https_proxy, no_proxy). The
token is sent to the first server alone, never to one that it redirects to.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from facecluster import __version__
from facecluster.errors import ModelError

Tick = Callable[[int, int | None], None]  # bytes that are there, bytes in all if that is known
TRIES = 5
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may pass
_LONGEST_WAIT = 60.0  # seconds that a server may ask to wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to be fetched."""

    url: str
    sha256: str
    size: int | None = None  # bytes; None: not known
    headers: Mapping[str, str] | None = None  # for the server of the URL alone


class _Again(Exception):
    """A failure that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, without the token to other servers, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise ModelError(f"expected a safe connection, found a redirect from {old.netloc} to {newurl[:100]}: try --mirror")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            made.remove_header("Authorization")
        return made


def fetch(
    wanted: Wanted, folder: Path, *, tick: Tick | None = None, timeout: float = TIMEOUT, sleep: Callable[[float], None] = time.sleep
) -> Path:
    """Fetch a file into `folder`, which must exist; returns its path, named after its hash.

    Raises:
        ModelError: it can't be fetched, or is another file. What is good of it stays for the next call.
    """
    whole, part = folder / f"{wanted.sha256}.download", folder / f"{wanted.sha256}.part"
    if whole.is_file() and _sha256(whole) == wanted.sha256:
        return whole
    mixed = False  # whether what is there came in more than one piece
    for attempt in range(TRIES):
        mixed = mixed or part.exists()
        try:
            _receive(wanted, part, tick, timeout)
        except _Again as e:
            if attempt + 1 == TRIES:
                hint = "run the command again to go on, or try --mirror"
                raise ModelError(f"expected {wanted.url}, found after {TRIES} tries: {e}. Check the connection and {hint}") from e
            sleep(min(e.wait if e.wait is not None else 2.0**attempt, _LONGEST_WAIT))
            continue
        except OSError as e:
            raise ModelError(f"expected to write {part}, found: {e.strerror or e}. Make room, then run the command again to go on") from e
        if (found := _sha256(part)) == wanted.sha256:
            os.replace(part, whole)
            return whole
        part.unlink()
        if not mixed:
            expected = f"expected a file with SHA-256 {wanted.sha256[:12]}..., found {found[:12]}... at {wanted.url}"
            raise ModelError(f"{expected}: it has changed or is damaged, and was not kept; try --mirror, or a newer facecluster")
        mixed = False  # its pieces may be of two files: once more from the start
    raise ModelError(f"expected the whole of {wanted.url}, found it broken {TRIES} times: check the connection, or try --mirror")


def _receive(wanted: Wanted, part: Path, tick: Tick | None, timeout: float) -> None:
    """Receive what is missing of a file. Raises _Again, ModelError, or OSError if it can't be written."""
    have = part.stat().st_size if part.exists() else 0
    if wanted.size is not None and have >= wanted.size:
        return
    headers = {"User-Agent": f"facecluster/{__version__}", "Accept-Encoding": "identity", **(wanted.headers or {})}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urllib.request.build_opener(_Redirects).open(urllib.request.Request(wanted.url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as e:
        with e:
            if e.code == 416 and have:  # there is nothing after what we have
                return
            _refuse(wanted.url, e)
    except ValueError as e:
        raise ModelError(f"expected an http or https address, found {wanted.url}: {e}. Correct it") from e
    except (OSError, http.client.HTTPException) as e:
        raise _Again(_line(getattr(e, "reason", None) or e)) from e
    with answer:
        start = _start_of(answer, have)
        total = _check(wanted, answer, start)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            _copy(answer, file, start, total, wanted.size, tick)


def _refuse(url: str, error: urllib.error.HTTPError) -> None:
    """Raise what an HTTP error means."""
    found = f"HTTP {error.code} {' '.join(str(error.reason).split())[:80]}"
    if error.code in _PASSING:
        wait = error.headers.get("Retry-After", "") if error.headers else ""
        raise _Again(found, float(wait) if wait.isdigit() else None) from error
    hint = "try --mirror, or a newer facecluster"
    if error.code in (401, 403):
        hint = "accept the model's terms on its page and set HF_TOKEN, or try --mirror"
    elif 300 <= error.code < 400:
        hint, found = "try --mirror", f"redirects that do not end ({found[:60]})"
    raise ModelError(f"expected the file {url}, found {found}: {hint}") from error


def _start_of(answer: Any, have: int) -> int:
    """The byte of the file at which an answer begins: what we have, or 0 for the whole file. Raises _Again."""
    if not have or answer.status != 206:
        return 0
    said = str(answer.headers.get("Content-Range", ""))
    if not said.startswith(f"bytes {have}-"):
        raise _Again(f"another part of the file than asked for ({said[:40] or 'no Content-Range'})")
    return have


def _check(wanted: Wanted, answer: Any, start: int) -> int | None:
    """The length of the whole file, if the answer says so. Raises ModelError for a web page, or for a file of another length."""
    if "html" in str(answer.headers.get("Content-Type", "")).lower():
        raise ModelError(f"expected the file {wanted.url}, found a web page: log in to the network or proxy, or try --mirror")
    length = str(answer.headers.get("Content-Length", ""))
    total = start + int(length) if length.isdigit() else None
    if wanted.size is not None and total is not None and total != wanted.size:
        raise ModelError(f"expected {wanted.size:,} bytes at {wanted.url}, found {total:,}: try --mirror, or a newer facecluster")
    return total if total is not None else wanted.size


def _copy(answer: Any, file: IO[bytes], have: int, total: int | None, size: int | None, tick: Tick | None) -> None:
    """Write what comes. Raises _Again if it ends too early."""
    while True:
        try:
            data = answer.read(_CHUNK)
        except (OSError, http.client.HTTPException) as e:
            raise _Again(f"{_line(e)}, after {have:,} bytes") from e
        if not data:
            break
        file.write(data)
        have += len(data)
        if tick:
            tick(have, total)
        if size is not None and have > size:
            break  # the hash will say that it is another file
    file.flush()
    if total is not None and have < total:
        raise _Again(f"a connection that ended after {have:,} of {total:,} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: Any) -> str:
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
