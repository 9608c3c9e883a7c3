"""Which requests are allowed. Pure.

The URL that the command prints contains a random token. A browser that the command opens gets a file instead, which only its owner can
read, with a code that works once: what stands on a command line can be read by every user of the machine. The page behind both sets a
cookie (HttpOnly, SameSite=Strict). Without the cookie no other request is answered. An action also needs the token in a header, which
other sites can't read. These are refused: a Host header other than the server's own address (against DNS rebinding), a foreign Origin,
and a request that the browser marks as coming from another site.

Odd inputs: a header that is missing or can't be read counts as empty; an empty token is never valid.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlsplit

from facecluster.language.said import say


def refusal_reason(method: str, path: str, headers: Message, *, hosts: Collection[str], cookie: str, token: str, once: str = "") -> str:
    """The reason why a request is refused; '' if it is allowed.

    Args:
        method: GET or POST.
        path: with the query.
        headers: of the request.
        hosts: allowed values of the Host header.
        cookie: name of the cookie that holds the token.
        token: the secret.
        once: another secret that opens the page; empty if there is none.
    """

    def matches(text: str, secret: str = token) -> bool:
        return bool(secret) and hmac.compare_digest(text.encode("utf-8", "replace"), secret.encode())

    if headers.get("Host", "") not in hosts:
        return say("this address is not the one that 'facecluster review' printed")
    origin = headers.get("Origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return say("the request comes from another site")
    url = urlsplit(path)
    opens = method == "GET" and url.path == "/"
    if not opens and headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return say("the request comes from another site")
    query = dict(parse_qsl(url.query))
    if opens and (matches(query.get("token", "")) or matches(query.get("once", ""), once)):
        return ""
    if not matches(_cookie_value(headers.get("Cookie", ""), cookie)):
        return say("open the whole address that 'facecluster review' printed, with its token")
    if method == "POST" and not matches(headers.get("X-Token", "")):
        return say("the token is missing: load the page again")
    return ""


def _cookie_value(cookies: str, name: str) -> str:
    """The value of a cookie in a Cookie header."""
    try:
        found = SimpleCookie(cookies).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
