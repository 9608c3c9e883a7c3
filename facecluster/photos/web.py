"""Fetch a photo from the web: only from an address that the user gave, and from where that leads.

No cookies, no credentials and no other headers than the program's name are sent. Proxies of the environment are used.
"""

from __future__ import annotations

import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from facecluster.errors import PhotoError

MAX_BYTES = 256 << 20
WAIT_SECONDS = 30.0  # for an answer
MOST_SECONDS = 300.0  # for a photo
_CHUNK = 1 << 18


def fetch(url: str) -> bytes:
    """The bytes at an address of the web. Raises PhotoError if they can't be had."""
    try:
        with _opener().open(Request(url, headers={"User-Agent": "facecluster"}), timeout=WAIT_SECONDS) as answer:
            stated = answer.headers.get("Content-Length") or ""
            end, parts, size = time.monotonic() + MOST_SECONDS, [], 0
            while part := answer.read1(_CHUNK):
                parts.append(part)
                size += len(part)
                if max(size, int(stated) if stated.isdigit() else 0) > MAX_BYTES:
                    raise PhotoError(f"expected a photo of at most {MAX_BYTES >> 20} MiB at this address, found a larger file")
                if time.monotonic() > end:
                    raise PhotoError(f"expected a photo within {MOST_SECONDS:.0f} seconds, found {size:,} bytes until then: --retry-failed")
    except HTTPError as e:
        e.close()
        raise PhotoError(f"expected a photo at this address, found: {e.code} {' '.join(str(e.reason).split())[:200]}") from e
    except (URLError, HTTPException, OSError, ValueError) as e:
        reason = e.reason if isinstance(e, URLError) else e
        raise PhotoError(f"expected a photo at this address, found: {' '.join(str(reason).split())[:200] or type(e).__name__}") from e
    if stated.isdigit() and size < int(stated):
        raise PhotoError(f"expected {int(stated):,} bytes at this address, found {size:,}: try again with --retry-failed")
    return b"".join(parts)


def _opener() -> OpenerDirector:
    """Only of the web: no redirection to a file or to another kind of server."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    opener.addheaders = []
    return opener
