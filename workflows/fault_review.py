"""Somebody who uses the review page while faults happen to it, and what the page told them that it saved. For `faults.py`."""

from __future__ import annotations

import json
import re
import signal
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fault_process import LIMIT, Command

ACTS = 6  # of `_acts`
REFUSED = "refused:"


def answers(root: Path) -> Path:
    """The file of what the page answered, where no fault happens: ids of decisions that are saved, and acts that it refused."""
    return root.parent / "answered"


def answered(root: Path) -> list[str]:
    """The ids of decisions that the page has said are saved."""
    lines = answers(root).read_text(encoding="utf-8").splitlines() if answers(root).exists() else []
    return [line for line in lines if not line.startswith(REFUSED)]


def use_page(root: Path, command: Command) -> None:
    """Look at the pages, say who people are, and end the command with Ctrl-C; what it refuses is left at that."""
    acts = _acts(json.loads((root / "facts.json").read_text(encoding="utf-8")))
    try:
        address = _address(command)
        if address:
            with suppress(HTTPException, OSError):
                _use(address, acts, answers(root))
    finally:
        command.signal(signal.SIGINT)


def _acts(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Each about other people, so that to do them again changes no more."""
    one, two = facts["unnamed"][:2]
    ann, bob = (facts["named"][name] for name in ("Ann", "Bob"))
    return [
        {"act": "name", "person": one, "name": "Carla"},
        {"act": "born", "person": ann, "date": "1990-05-03"},
        {"act": "ignore", "people": [two]},
        {"act": "split", "person": bob, "faces": [facts["faces"][bob][0]]},
        {"act": "not-same", "faces": [facts["faces"][one][0], facts["faces"][two][0]]},
        {"act": "undo", "of": facts["decision"]},
    ]


def _address(command: Command) -> str:
    """The page's address, with the token; '' if the command ends before it has one."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and command.is_running():
        if found := re.search(r"open (http://\S+)\n", command.said()):
            return found[1]
        time.sleep(0.01)
    return ""


def _use(address: str, acts: list[dict[str, Any]], saved: Path) -> None:
    url = urlsplit(address)
    page = HTTPConnection(url.netloc, timeout=LIMIT)  # one connection, so that one thread of the server does it all
    page.request("GET", f"/?{url.query}")
    first = page.getresponse()
    first.read()
    headers = {"Cookie": first.getheader("Set-Cookie", "").split(";")[0], "X-Token": url.query.removeprefix("token=")}
    for path in ("/api/state", "/api/people", "/api/history"):
        page.request("GET", path, headers=headers)
        page.getresponse().read()
    for act in acts:
        page.request("POST", "/api/act", json.dumps(act), headers)
        answer = page.getresponse()
        made = json.loads(answer.read())
        lines = [decision["id"] for decision in made["made"]] if answer.status == 200 else [f"{REFUSED} {act}: {made.get('error')}"]
        with saved.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
