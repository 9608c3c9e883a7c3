"""Who may ask. Pure.

The address that the command prints holds a random token. The page that it leads to gets a cookie (HttpOnly, SameSite=Strict), without
which nothing else is answered; an act needs the token in a header as well, which pages from elsewhere can't read. A Host header other than
the server's own address is refused, so that a name that was pointed at this machine (DNS rebinding) leads nowhere, and so is an Origin
other than it, or a request that the browser says comes from another page.

Odd inputs: a header that is missing or can't be read counts as empty, and an empty token opens nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlsplit


def refusal(method: str, path: str, headers: Message, *, names: Collection[str], cookie: str, token: str) -> str:
    """Why a request is not answered; '' if it is.

    Args:
        method: GET or POST.
        path: with the query.
        headers: of the request.
        names: what the Host header may say.
        cookie: name of the cookie that holds the token.
        token: the secret.
    """

    def right(text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), token.encode())

    if headers.get("Host", "") not in names:
        return "this address is not the one that 'facecluster review' printed"
    origin = headers.get("Origin")
    if origin is not None and origin.removeprefix("http://") not in names:
        return "another page asked"
    url = urlsplit(path)
    opens = method == "GET" and url.path == "/"
    if not opens and headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "another page asked"
    if opens and right(dict(parse_qsl(url.query)).get("token", "")):
        return ""
    if not right(_value(headers.get("Cookie", ""), cookie)):
        return "open the whole address that 'facecluster review' printed, with its token"
    if method == "POST" and not right(headers.get("X-Token", "")):
        return "the token is missing: load the page again"
    return ""


def _value(cookies: str, name: str) -> str:
    """The value of one of the cookies of a header."""
    try:
        found = SimpleCookie(cookies).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
