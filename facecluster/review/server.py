"""HTTP on 127.0.0.1: the page, its pictures, and the answers of api. Whom it answers is in guard.

Nothing on the page comes from elsewhere, which a content security policy holds it to.

Odd inputs: what is not HTTP, too long, or not allowed is answered with a status and one line; the program goes on.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from facecluster.errors import FaceclusterError, InputError
from facecluster.review import api
from facecluster.review.guard import refusal
from facecluster.review.session import Session
from facecluster.store import Store

HOST = "127.0.0.1"
MOST = 1 << 20  # bytes of a request's body
STATIC = {
    "/review.css": "text/css", "/app.js": "text/javascript", "/api.js": "text/javascript", "/parts.js": "text/javascript",
    "/people.js": "text/javascript", "/person.js": "text/javascript", "/questions.js": "text/javascript", "/history.js": "text/javascript",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_KINDS = {b"RIFF": "image/webp", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


@dataclass(frozen=True, slots=True)
class Review:
    """A page that can be served."""

    server: _Server
    url: str  # with the token

    def serve(self) -> None:
        """Answer until `stop` is called, from another thread, or a KeyboardInterrupt comes."""
        self.server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End `serve`; call `close` then."""
        self.server.shutdown()

    def close(self) -> None:
        """Free the port and the file of crops."""
        self.server.ended = True
        self.server.server_close()
        self.server.session.close()


def open_review(store: Store, port: int = 0) -> Review:
    """Read a store and take a port (0 = a free one) of this machine, which no other machine can reach.

    Raises:
        StoreError: there are no people in the store.
        InputError: the port is taken.
    """
    session = Session(store)
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as e:
        session.close()
        raise InputError(f"expected port {port} of {HOST} to be free, found: {e}. Choose another, or leave --port out") from e
    server.session, server.token = session, secrets.token_urlsafe(24)
    return Review(server, f"http://{HOST}:{server.server_port}/?token={server.token}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    session: Session
    token: str
    ended = False

    @property
    def names(self) -> set[str]:
        """What a Host header may say."""
        return {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    @property
    def cookie(self) -> str:
        """Name of the cookie: cookies are shared by all ports of a machine."""
        return f"facecluster-{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed in the middle of an answer is nobody's fault; anything else is ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "facecluster"
    sys_version = ""
    timeout = 60  # seconds that a connection may be silent

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address has the token in it."""

    def _answer(self, method: Any) -> None:
        if self.server.ended:  # a connection that a page had kept open
            self.close_connection = True
            return
        server = self.server
        why = refusal(self.command, self.path, self.headers, names=server.names, cookie=server.cookie, token=server.token)
        try:
            if why:
                self._body()  # else it would be read as the next request
                self._json({"error": why}, HTTPStatus.FORBIDDEN)
            else:
                method()
        except InputError as e:
            self._json({"error": str(e)}, HTTPStatus.CONFLICT)
        except FaceclusterError as e:
            self._json({"error": str(e)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _get(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            page = _static("index.html").replace(b"TOKEN", self.server.token.encode())
            cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self._send(page, "text/html; charset=utf-8", extra={"Set-Cookie": cookie})
        elif url.path in STATIC:
            self._send(_static(url.path[1:]), f"{STATIC[url.path]}; charset=utf-8")
        elif url.path.startswith("/crop/"):
            self._crop(url.path[len("/crop/") :])
        elif url.path in api.GET:
            self._json(api.GET[url.path](self.server.session, dict(parse_qsl(url.query))))
        else:
            self._json({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)

    def _post(self) -> None:
        body = self._body()
        if urlsplit(self.path).path != "/api/act":
            return self._json({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return self._json({"error": "expected a JSON object, found something else"}, HTTPStatus.BAD_REQUEST)
        self._json(api.act(self.server.session, request))

    def _crop(self, face: str) -> None:
        base = self.server.session.view().base
        row = base.rows.get(face)
        crop = b"" if row is None else base.library.crop(row)
        kind = next((k for start, k in _KINDS.items() if crop.startswith(start)), "")
        if not kind:
            return self._json({"error": "this face has no picture"}, HTTPStatus.NOT_FOUND)
        # the crop of a face never changes; kept by the page's own browser for an hour
        self._send(crop, kind, extra={"Cache-Control": "private, max-age=3600, immutable"})

    def _body(self) -> bytes:
        """The body of the request; b'' and the end of the connection if it is too long or of unknown length."""
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not (length.isascii() and length.isdecimal()) or int(length) > MOST:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _json(self, answer: api.Answer, status: HTTPStatus = HTTPStatus.OK) -> None:
        text = json.dumps(answer, ensure_ascii=True, separators=(",", ":"))
        self._send(text.encode(), "application/json", status)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**_ALWAYS, "Content-Type": kind, "Content-Length": str(len(data)), **(extra or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)


def _static(name: str) -> bytes:
    return files("facecluster.review").joinpath("static", name).read_bytes()
