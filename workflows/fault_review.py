"""Somebody who uses the review page while faults happen to it, and what the page told them that it saved. For `faults.py`.

Each of them looks first at what is there already, as after a fault, and does what is left to do: done twice, it changes no more.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fault_process import LIMIT, Command

REFUSED, RUN, FINISHED = "refused:", "run ", "finished"
BUSY = "another run at work"
BOX = [0.03, 0.1, 0.15, 0.25]  # of a photo, where no square is
AGAIN, PATIENCE, SHORT = 0.1, 100.0, 10.0  # seconds between two looks; for another program to end; for a drawn face to be shown
_DRAWN = re.compile(r"-[89a-f][0-9a-f]{3}$")  # the end of a drawn face's id


def answers(root: Path) -> Path:
    """The file of what the page answered, where no fault happens: ids of saved decisions, runs that count, refused acts, the end."""
    return root.parent / "answered"


def _lines(root: Path) -> list[str]:
    return answers(root).read_text(encoding="utf-8").splitlines() if answers(root).exists() else []


def answered(root: Path) -> list[str]:
    """The ids of decisions that the page has said are saved."""
    return [line for line in _lines(root) if line != FINISHED and not line.startswith((REFUSED, RUN))]


def runs_shown(root: Path) -> list[int]:
    """The numbers of runs that the page has shown as the current one after a yes."""
    return [int(line.removeprefix(RUN)) for line in _lines(root) if line.startswith(RUN)]


def all_was_done(root: Path) -> bool:
    """Whether the page did all that it was asked."""
    lines = _lines(root)
    return FINISHED in lines and not any(line.startswith(REFUSED) for line in lines)


class Page:
    """The page, by one connection: so one thread of the server does it all."""

    def __init__(self, address: str, root: Path) -> None:
        url = urlsplit(address)
        self.facts: dict[str, Any] = json.loads((root / "facts.json").read_text(encoding="utf-8"))
        self._saved, self._http = answers(root), HTTPConnection(url.netloc, timeout=LIMIT)
        self._http.request("GET", f"/?{url.query}")
        first = self._http.getresponse()
        first.read()
        self._headers = {"Cookie": first.getheader("Set-Cookie", "").split(";")[0], "X-Token": url.query.removeprefix("token=")}

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a look."""
        self._http.request("GET", path, headers=self._headers)
        return dict(json.loads(self._http.getresponse().read()))

    def act(self, act: dict[str, Any], *, stays: bool = True) -> dict[str, Any]:
        """Carry out an act; waits while another program is at work in the store.

        Args:
            act: what is asked.
            stays: whether its decisions are to be in the journal from now on.
        """
        end = time.monotonic() + PATIENCE
        while True:
            self._http.request("POST", "/api/act", json.dumps(act), self._headers)
            response = self._http.getresponse()
            answer = dict(json.loads(response.read()))
            if BUSY not in answer.get("error", "") or time.monotonic() > end:
                break
            time.sleep(AGAIN)
        self.write(*([f"{REFUSED} {act}: {answer.get('error')}"] if response.status != 200 else []))
        self.write(*(decision["id"] for decision in answer.get("made", []) if stays))
        return answer

    def write(self, *lines: str) -> None:
        """Keep what the page said."""
        with self._saved.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    def named(self, name: str) -> str:
        """The lasting id of the person with a name; '' if nobody has it."""
        found = [person for person in self.get(f"/api/people?q={name}")["people"] if person["name"] == name]
        return str(found[0]["id"]) if found else ""

    def drawn(self, face: str, *, stays: bool = True) -> str:
        """The drawn face in the photo of another face; it is drawn if it is not there. '' if the page refused it."""
        photo = self.get(f"/api/photo?id={face}")
        there = [found["id"] for found in photo.get("faces", []) if _DRAWN.search(found["id"])]
        if there or "id" not in photo:
            return str(there[0]) if there else ""
        made = self.act({"act": "draw", "photo": photo["id"], "box": BOX}, stays=stays).get("made")
        end = time.monotonic() + SHORT
        while made and time.monotonic() < end:  # while another program is at work, or the disk is full, it is not there yet
            there = [found["id"] for found in self.get(f"/api/photo?id={face}")["faces"] if _DRAWN.search(found["id"])]
            if there:
                return str(there[0])
            time.sleep(AGAIN)
        return ""


def _user(what: Callable[[Page], None]) -> Callable[[Path, Command], None]:
    def use(root: Path, command: Command) -> None:
        """Use the page, and end the command with Ctrl-C; what it refuses is left at that."""
        try:
            address = _address(command)
            if address:
                with suppress(HTTPException, OSError):
                    page = Page(address, root)
                    what(page)
                    page.write(FINISHED)
        finally:
            command.signal(signal.SIGINT)

    return use


def _address(command: Command) -> str:
    """The page's address, with the token; '' if the command ends before it has one."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and command.is_running():
        if found := re.search(r"open (http://\S+)\n", command.said()):
            return found[1]
        time.sleep(0.01)
    return ""


def _decide(page: Page) -> None:
    """Say who people are: each act is about other people."""
    facts = page.facts
    one, two = facts["unnamed"][:2]
    ann, bob = (facts["named"][name] for name in ("Ann", "Bob"))
    for path in ("/api/state", "/api/people", "/api/history"):
        page.get(path)
    page.act({"act": "name", "person": one, "name": "Carla"})
    page.act({"act": "born", "person": ann, "date": "1990-05-03"})
    page.act({"act": "ignore", "people": [two]})
    page.act({"act": "split", "person": bob, "faces": [facts["faces"][bob][0]]})
    page.act({"act": "not-same", "faces": [facts["faces"][one][0], facts["faces"][two][0]]})
    page.act({"act": "undo", "of": facts["decision"]})


def _draw(page: Page) -> None:
    """Draw two missed faces: one is said to be Ann, the drawing of the other is undone."""
    faces, ann = page.facts["faces"], page.facts["named"]["Ann"]
    if face := page.drawn(faces[ann][0]):
        page.act({"act": "same", "faces": [faces[ann][1], face]})
    if wrong := page.drawn(faces[page.facts["unnamed"][0]][0]):
        drawings = page.get("/api/history?limit=60")["decisions"]
        page.act({"act": "undo", "of": next(d["id"] for d in drawings if d["act"] == "draw" and d["face"] == wrong)})


def _group(page: Page, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Group again, do something while the page asks, and say yes; a grouping that another program stands in the way of begins anew."""
    end = time.monotonic() + PATIENCE
    page.act({"act": "regroup", "do": "start"})
    said_yes = False
    while time.monotonic() < end:
        found = page.get("/api/regroup")
        if found["state"] == "asks" and not said_yes:
            meanwhile()
            page.act({"act": "regroup", "do": "yes"})
            said_yes = True
        elif found["state"] == "failed" and BUSY in found["error"]:
            page.act({"act": "regroup", "do": "start"})
        elif found["state"] in ("done", "declined", "failed"):
            page.write(f"{RUN}{page.get('/api/state')['run']}" if found["state"] == "done" else f"{REFUSED} {found}")
            return
        time.sleep(AGAIN)


def _group_again(page: Page) -> None:
    """Merge two people and group by that; while the page asks, a face is drawn, which is there after it. Then group with that too."""
    faces, ann = page.facts["faces"], page.facts["named"]["Ann"]
    other, of_ann = page.facts["unnamed"][0], faces[ann][0]
    if any(person["id"] == other for person in page.get("/api/people")["people"]):
        page.act({"act": "merge", "people": [ann, other]})
    photo = page.get(f"/api/photo?id={of_ann}")
    is_drawn = any(_DRAWN.search(face["id"]) for face in photo["faces"])
    _group(page, lambda: None if is_drawn else page.act({"act": "draw", "photo": photo["id"], "box": BOX}))
    if face := page.drawn(of_ann):
        page.act({"act": "same", "faces": [faces[ann][1], face]})
        _group(page)


def _forget(page: Page) -> None:
    """Draw a face of Bob and forget him; what is said of others before and after stays."""
    faces, (ann, bob) = page.facts["faces"], (page.facts["named"][name] for name in ("Ann", "Bob"))
    page.act({"act": "born", "person": ann, "date": "1990-05-03"})
    person = page.named("Bob")
    face = page.drawn(faces[bob][0], stays=False) if person else ""
    # with a face that could not be drawn, or said to be his, they try again first
    if face and "error" not in page.act({"act": "same", "faces": [faces[bob][1], face]}, stays=False):
        shown = page.act({"act": "forget", "person": person})
        page.act({"act": "forget", "person": person, "confirm": shown.get("confirm", "Bob")})
    page.act({"act": "name", "person": page.facts["unnamed"][0], "name": "Carla"})


use_page, draw_faces, group_again, forget_bob = (_user(what) for what in (_decide, _draw, _group_again, _forget))
