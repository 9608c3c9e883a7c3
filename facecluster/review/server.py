"""HTTP on 127.0.0.1: the page, its pictures, and the answers of `api`. `access` decides which requests are allowed.

The page loads nothing from other servers; a content security policy enforces that.

Odd inputs: a request that is not HTTP, too long, or not allowed gets an error status and one line; the server keeps running.
"""

from __future__ import annotations

import gc
import json
import secrets
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from facecluster.errors import FaceclusterError, InputError, is_refusal
from facecluster.language import ENGLISH, Language
from facecluster.language.said import say, translated
from facecluster.language.script import language_module
from facecluster.language.templates import environment
from facecluster.permissions import private_opener
from facecluster.photos.picture_type import mime_type
from facecluster.report.styles import BASE_CSS, template
from facecluster.review import api
from facecluster.review.access import refusal_reason
from facecluster.review.session import Session
from facecluster.review.whole_photo import SMALL_SIDE, number_of, picture
from facecluster.store import Store

HOST = "127.0.0.1"
MAX_BODY = 1 << 20  # bytes of a request
STATIC = {
    "/base.css": "text/css", "/review.css": "text/css",
    "/app.js": "text/javascript", "/api.js": "text/javascript", "/parts.js": "text/javascript",
    "/update.js": "text/javascript", "/people.js": "text/javascript", "/person.js": "text/javascript", "/questions.js": "text/javascript",
    "/history.js": "text/javascript", "/suggestions.js": "text/javascript", "/photo.js": "text/javascript",
    "/forget.js": "text/javascript", "/looks.js": "text/javascript",
    "/drawing.js": "text/javascript", "/regroup.js": "text/javascript", "/time.js": "text/javascript", "/time.css": "text/css",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # of pictures too: what a browser keeps on its disk, `forget` can't reach
}


@dataclass(frozen=True, slots=True)
class Review:
    """A review page, ready to be served."""

    server: _Server
    url: str  # includes the token

    def write_opener(self) -> Path:
        """Write a file that opens the page in a browser, once; only its owner can read it, and it is deleted when it was used.

        Raises:
            OSError: it can't be written.
        """
        store = self.server.session.store
        folder = store.root if store.is_local else tempfile.gettempdir()
        code, path = secrets.token_urlsafe(24), Path(folder, f"review-{secrets.token_hex(8)}.html")
        address = f"http://{HOST}:{self.server.server_port}/?once={code}"
        with open(path, "x", opener=private_opener) as file:
            file.write(f'<!doctype html><meta name="referrer" content="no-referrer"><script>location.replace("{address}")</script>\n')
        self.server.once, self.server.opener = code, path
        return path

    def serve(self) -> None:
        """Answer requests until `stop` is called from another thread, or until a KeyboardInterrupt."""
        gc.freeze()  # modules and the run: looking through them for garbage took .15 s of one act in twenty
        try:
            self.server.serve_forever(poll_interval=0.2)
        finally:
            gc.unfreeze()

    def stop(self) -> None:
        """End `serve`; call `close` afterwards."""
        self.server.shutdown()

    def close(self) -> None:
        """Free the port and delete the temporary file of crops."""
        self.server.ended = True
        self.server.use_opener()
        self.server.server_close()
        self.server.session.close()


def open_review(store: Store, port: int = 0, language: Language = ENGLISH) -> Review:
    """Read a store and open a port on 127.0.0.1 (0 = any free port). No other machine can reach it. The pages are in a language.

    Raises:
        StoreError: the store has no people.
        InputError: the port is in use.
    """
    session = Session(store, language)
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as e:
        session.close()
        raise InputError(f"expected port {port} of {HOST} to be free, found: {e}. Choose another port, or leave out --port") from e
    server.session, server.token = session, secrets.token_urlsafe(24)
    return Review(server, f"http://{HOST}:{server.server_port}/?token={server.token}")


_FORGET_CACHED = {"Clear-Site-Data": '"cache"'}  # pictures that pages of earlier versions let the browser keep


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    session: Session
    token: str
    once = ""  # opens the page, and then no more
    opener: Path | None = None
    ended = False

    @property
    def hosts(self) -> set[str]:
        """Allowed values of the Host header."""
        return {f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    @property
    def cookie(self) -> str:
        """Name of the cookie. It contains the port, because all ports of a machine share cookies."""
        return f"facecluster-{self.server_port}"

    def use_opener(self) -> None:
        """The file that opens the page was used: it does not open it again."""
        self.once, path, self.opener = "", self.opener, None
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless the page was only closed in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "facecluster"
    sys_version = ""
    timeout = 60  # seconds, of an idle connection

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the URL contains the token."""

    def _answer(self, method: Any) -> None:
        if self.server.ended:  # a connection that a page kept open
            self.close_connection = True
            return
        server = self.server
        secrets_of = {"cookie": server.cookie, "token": server.token, "once": server.once}
        why = refusal_reason(self.command, self.path, self.headers, hosts=server.hosts, **secrets_of)
        try:
            if why:
                self._body()  # read the body, or it would be taken for the next request
                self._refuse(why, HTTPStatus.FORBIDDEN)
            else:
                method()
        except InputError as e:
            self._refuse(e.args[0] if e.args else "", HTTPStatus.CONFLICT)
        except FaceclusterError as e:
            self._refuse(e.args[0] if e.args else "", HTTPStatus.INTERNAL_SERVER_ERROR)
        except Exception as e:
            remote = not server.session.store.is_local  # whose file system has errors of its own, also of connections
            if isinstance(e, ConnectionError | TimeoutError) and not remote:  # the page was closed
                raise
            if remote or (isinstance(e, OSError) and is_refusal(e)):
                why = getattr(e, "strerror", None) or " ".join(str(e).split())[:200] or type(e).__name__
                text = say("expected to read and write files, found: %(why)s. Correct that and do it again: what is done is kept", why=why)
            else:  # an answer all the same: without one the page says that this program has ended
                server.handle_error(self.request, self.client_address)
                why = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
                text = say("expected an answer, found an error of facecluster (%(why)s): the terminal says more, please report it", why=why)
            self._refuse(text, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _get(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            if "once" in dict(parse_qsl(url.query)):
                self.server.use_opener()
            env = environment("facecluster.review", self.server.session.language, "static")
            page = env.get_template("index.html").render(token=self.server.token).encode()
            cookie = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self._send(page, "text/html; charset=utf-8", extra={"Set-Cookie": cookie})
        elif url.path in STATIC:
            self._send(_static(url.path[1:]), f"{STATIC[url.path]}; charset=utf-8")
        elif url.path == "/text.js":
            self._send(language_module(self.server.session.language).encode(), "text/javascript; charset=utf-8")
        elif url.path.startswith("/crop/"):
            self._crop(url.path[len("/crop/") :])
        elif url.path.startswith("/look/"):
            self._crop(url.path[len("/look/") :], look=True)
        elif url.path.startswith("/photo/"):
            view = self.server.session.view()
            self._send(picture(view, number_of(view, url.path[len("/photo/") :])), "image/jpeg")
        elif url.path.startswith("/small/"):
            view = self.server.session.view()
            self._send(picture(view, number_of(view, url.path[len("/small/") :]), SMALL_SIDE), "image/jpeg")
        elif url.path in api.GET_ROUTES:
            self._json(api.GET_ROUTES[url.path](self.server.session, dict(parse_qsl(url.query))))
        else:
            self._json({"error": "not found"}, HTTPStatus.NOT_FOUND)

    def _post(self) -> None:
        body = self._body()
        if urlsplit(self.path).path != "/api/act":
            return self._json({"error": "not found"}, HTTPStatus.NOT_FOUND)
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return self._json({"error": "expected a JSON object, found something else"}, HTTPStatus.BAD_REQUEST)
        answer = api.act(self.server.session, request)
        self._json(answer, extra=_FORGET_CACHED if answer.get("done") else None)

    def _crop(self, face: str, *, look: bool = False) -> None:
        """The crop of a face, or with `look` the picture of where the model looks on it."""
        view = self.server.session.view()
        rows = view.current.find_rows(face)
        crop = view.run_data.details.crop(rows[0]) if rows else b""
        kind = mime_type(crop)
        if not kind:
            return self._refuse(say("this face has no picture"), HTTPStatus.NOT_FOUND)
        if look:
            return self._send(self.server.session.looks(view).picture(face, crop), "image/png")
        self._send(crop, kind)

    def _body(self) -> bytes:
        """The body of the request. If it is too long or its length is unknown: b'', and the connection is closed."""
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not (length.isascii() and length.isdecimal()) or int(length) > MAX_BODY:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _json(self, answer: api.Answer, status: HTTPStatus = HTTPStatus.OK, extra: dict[str, str] | None = None) -> None:
        text = json.dumps(answer, ensure_ascii=True, separators=(",", ":"))
        self._send(text.encode(), "application/json", status, extra)

    def _refuse(self, why: object, status: HTTPStatus) -> None:
        """Answer with an error, in the language of the page if it is known there."""
        self._json({"error": translated(why if isinstance(why, str) else str(why), self.server.session.language)}, status)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data)), **(extra or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)


def _static(name: str) -> bytes:
    if name == BASE_CSS:
        return template(name).encode()
    return files("facecluster.review").joinpath("static", name).read_bytes()
