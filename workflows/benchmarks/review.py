"""Measure the review page with 5,000 people and 100,000 faces: processor time of an act with the list after it, and of the first page.

    python workflows/benchmarks/review.py --work FOLDER -o results/review.json

The folder gets a store of generated faces (kept, and used again). The server runs in a process of its own, whose processor time is read
before and after: a core that other programs use slows the clock, not this. An act is what the page does after a click: the action, the
counts at the top, and the list that is drawn anew, each over HTTP. With chromium, the processor time of the page's own thread is measured
too, from the address to the drawn list, and for each act from the key to the drawn answer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from bounds import make_store
from numpy.typing import NDArray

from facecluster.decisions import append
from facecluster.people import read_current_people
from facecluster.store import Store

PEOPLE, FACES, GROUPED = 5000, 100_000, 0.8
ACTS = 10
SERVE = """
import sys
from facecluster.review import open_review
from facecluster.store import Store
review = open_review(Store(sys.argv[1]))
print(review.url, flush=True)
review.serve()
"""


def people_of_faces(n: int) -> NDArray[np.int64]:
    """The person (n,) of each face, -1 for one face in five; few people have many faces."""
    rng, grouped = np.random.default_rng(0), int(GROUPED * n)
    share = np.arange(1, PEOPLE + 1) ** -0.8
    sizes = np.maximum(2, np.round(share / share.sum() * grouped)).astype(int)
    labels = np.repeat(np.arange(PEOPLE), sizes)[:n]
    return rng.permutation(np.concatenate([labels, np.full(n - len(labels), -1)]))


def spent(pid: int) -> float:
    """Seconds of processor time of all threads of a process."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


class Server:
    """The review in a process of its own."""

    def __init__(self, store: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, store], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        url = urlsplit(self.url)
        self.token, self.start = url.query.removeprefix("token="), spent(self.process.pid)
        self.http = HTTPConnection(url.netloc)
        self.headers = {"Cookie": f"facecluster-{url.port}={self.token}", "X-Token": self.token}

    def ask(self, path: str, act: dict[str, Any] | None = None) -> Any:
        body = None if act is None else json.dumps(act)
        self.http.request("GET" if act is None else "POST", f"/api/{path}", body, self.headers)
        answer = self.http.getresponse()
        found = json.loads(answer.read())
        assert answer.status == 200, found
        return found

    def time_of(self, *requests: tuple[str, dict[str, Any] | None]) -> float:
        """Milliseconds of processor time of some requests."""
        before = spent(self.process.pid)
        for path, act in requests:
            self.ask(path, act)
        return 1000 * (spent(self.process.pid) - before)


@contextmanager
def serving(store: str) -> Iterator[Server]:
    server = Server(store)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def summary(times: list[float]) -> dict[str, float]:
    return {"median_ms": round(statistics.median(times), 1), "most_ms": round(max(times), 1)}


def acts(server: Server) -> dict[str, Any]:
    """Times of acts with the counts and the list after them, on each page where there are some."""
    people = server.ask("people?limit=60")["people"]
    unnamed = [p for p in server.ask("people?limit=60&show=unnamed")["people"]]
    after: tuple[tuple[str, None], ...] = (("state", None), ("people?limit=60", None))
    found: dict[str, list[float]] = {}

    def measure(kind: str, act: dict[str, Any], *pages: tuple[str, None]) -> None:
        found.setdefault(kind, []).append(server.time_of(("act", act), *(pages or after)))

    for i, person in enumerate(unnamed[:ACTS]):
        measure("name, list", {"act": "name", "person": person["id"], "name": f"Name {i}"})
    for one, two in zip(unnamed[ACTS : 2 * ACTS], people[-ACTS:], strict=True):
        measure("merge, list", {"act": "merge", "people": [one["id"], two["id"]]})
        measure("undo, list", {"act": "undo"})
    for person in people[:ACTS]:
        page = f"person?limit=100&id={person['id']}"
        face = server.ask(page)["faces"][-1]["id"]
        measure("not this person, person", {"act": "split", "person": person["id"], "faces": [face]}, ("state", None), (page, None))
    while not server.ask("questions")["ready"]:
        time.sleep(0.5)
    for i in range(ACTS):
        asked = [q for q in server.ask("questions?all=1")["questions"] if q["kind"] != "known"]
        faces = [side["face"]["id"] for side in asked[0]["sides"]]
        measure("answer, next question", {"act": ("same", "not-same")[i % 2], "faces": faces}, ("state", None), ("questions?all=1", None))
    server.ask("suggestions?limit=60")
    for i in range(2 * ACTS):
        act, kind = (("apart", "answer, suggestions"), ("join", "yes, suggestions"))[i % 2]
        offered = server.ask("suggestions?limit=60")
        pairs = [[offered["people"][s["of"]]["id"], s["person"]["id"] if s["person"] else s["face"]["id"]] for s in offered["suggestions"]]
        measure(kind, {"act": act, "pairs": pairs[:1]}, ("state", None), ("suggestions?limit=60", None))
    return {kind: summary(times) for kind, times in found.items()}


def many_decisions(server: Server, url: str, first: int, decisions: int) -> dict[str, float]:
    """Times of an act after many decisions: names of people from `first` on, the largest being 0."""
    store = Store(url)
    now = read_current_people(store)[0]
    append(store, [now.name(i, f"Somebody {i}") for i in range(first, first + decisions)])
    server.ask("state")
    rows = server.ask("people?limit=60&show=unnamed")["people"][:ACTS]
    return summary([
        server.time_of(("act", {"act": "name", "person": p["id"], "name": f"Else {i}"}), ("state", None), ("people?limit=60", None))
        for i, p in enumerate(rows)
    ])  # fmt: skip


def browser_times(server: Server) -> dict[str, Any]:
    """The first page, and names that are typed, in chromium: processor time of the page's thread."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_window_size(1200, 900)
        browser.get("about:blank")
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

        def task_ms() -> float:
            metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return 1000 * next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")

        def wait(script: str) -> None:
            while not browser.execute_script(f"return {script}"):
                time.sleep(0.05)

        before = spent(server.process.pid)
        page = task_ms()
        browser.get(server.url)
        wait("document.querySelector('.card') && [...document.querySelectorAll('.card img')].slice(0, 12).every((i) => i.complete)")
        first = {"page_ms": round(task_ms() - page, 1), "server_ms": round(1000 * (spent(server.process.pid) - before), 1)}
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        first["clock_until_first_paint_ms"] = round(browser.execute_script(f"return {paint}") or 0, 1)
        browser.execute_script("location.hash = '#/people?show=unnamed'")
        time.sleep(2)
        times = []
        for i in range(ACTS):
            card = browser.execute_script("return [...document.querySelectorAll('.card input[type=text]')].find((f) => !f.value)")
            version = browser.execute_script("return document.getElementById('main').dataset.version")
            card.send_keys(f"Typed {i}")
            time.sleep(0.3)
            before = task_ms()
            card.send_keys("\n")
            wait(f"document.getElementById('main').dataset.version !== {json.dumps(version)}")
            times.append(task_ms() - before)
        return {"first": first, "act": summary(times)}
    finally:
        browser.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", required=True, help="folder for the store")
    parser.add_argument("--decisions", type=int, default=1000, help="names given before the last measurement")
    parser.add_argument("-o", "--out", help="JSON file")
    args = parser.parse_args()
    work = Path(args.work)
    store, used = work / "made", work / "used"
    if not (work / "made.done").exists():
        make_store(str(store), FACES, people_of_faces)
        (work / "made.done").touch()
    shutil.rmtree(used, ignore_errors=True)
    shutil.copytree(store, used)
    with serving(str(used)) as server:
        state = server.ask("state")
        found: dict[str, Any] = {
            "people": state["people"], "faces": state["faces"], "grouped": state["faces"] - state["nobody"],
            "machine": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "start_s": round(server.start, 2), "first_list_ms": round(server.time_of(("state", None), ("people?limit=60", None)), 1),
        }  # fmt: skip
        found["acts"] = acts(server)
        print(json.dumps(found), file=sys.stderr, flush=True)
        if shutil.which("chromium"):
            found["browser"] = browser_times(server)
            print(json.dumps(found["browser"]), file=sys.stderr, flush=True)
            server.http.close()  # the server has closed it by now
        found[f"name, list, after {args.decisions} decisions"] = many_decisions(server, str(used), PEOPLE - args.decisions, args.decisions)
        found[f"the same, after {args.decisions} more about the largest people"] = many_decisions(server, str(used), 100, args.decisions)
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
