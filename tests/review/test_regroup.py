"""Grouping again from the page: a program of its own, whose result counts only when the user says so."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs import SETTINGS
from people_store import call
from review_store import divided, grouped
from sessions import close_sessions, session_of

from facecluster.decisions import read
from facecluster.errors import InputError, StoreError
from facecluster.people import People, current_run, read_current_people
from facecluster.review import api
from facecluster.review.changes import compare
from facecluster.review.regroup import PROGRAM, arguments
from facecluster.review.session import Session
from facecluster.store import Store


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for key, value in SETTINGS.items():
        monkeypatch.setenv(key, value)
    yield
    close_sessions()


def wait(session: Session, *states: str) -> dict[str, Any]:
    """Wait until the grouping is in one of some states."""
    end = time.monotonic() + 200
    while (found := api.regroup(session, {}))["state"] not in states:
        assert time.monotonic() < end and found["state"] != "failed", found
        time.sleep(0.05)
    return found


def do(session: Session, what: str) -> None:
    api.act(session, {"act": "regroup", "do": what})


def files(store: Store, *folders: str) -> dict[str, bytes]:
    root = Path(store.url)
    return {str(p.relative_to(root)): p.read_bytes() for f in folders for p in sorted((root / f).rglob("*")) if p.is_file()}


def answered(store: Store) -> Session:
    """A session of a store whose largest person is in two groups and one single face, after a decision that joins the groups."""
    whole = read_current_people(store)[0].people.person_ids[0]
    divided(store)
    session = session_of(store)
    api.act(session, {"act": "name", "person": whole, "name": "Anna"})
    return session


def test_a_grouping_is_shown_and_counts_only_after_yes(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    session = answered(store)
    before = current_run(store)
    assert before is not None
    kept = files(store, "runs", "identities")
    do(session, "start")
    with pytest.raises(InputError, match="found one: wait"):
        do(session, "start")
    found = wait(session, "asks")
    assert current_run(store) == before and files(store, "runs") == {k: v for k, v in kept.items() if k.startswith("runs")}
    counts = found["changes"]["counts"]
    assert counts["joins"] == counts["joined"] == 1 and found["changes"]["lost_names"] == []
    assert found["changes"]["joins"][0]["to"]["name"] == "Anna"
    assert [g["who"]["name"] for g in found["changes"]["gains"]] == ["Anna"]
    with pytest.raises(StoreError, match="another run at work"), store.lock():
        pass
    # what is said meanwhile is written, and counts later
    api.act(session, {"act": "name", "person": next(p["id"] for p in api.people(session, {})["people"] if p["faces"] == 9), "name": "Bert"})
    do(session, "yes")
    wait(session, "done")
    now = current_run(store)
    assert now is not None and now.number == before.number + 1 and session.view().run_data.run == now
    named = {p["name"]: p["faces"] for p in api.people(session, {})["people"] if p["name"]}
    assert named["Anna"] == 12 and "Bert" in named and api.state(session, {})["since"] == 1
    with store.lock():
        pass


def test_no_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    session = answered(store)
    kept = files(store, "runs", "identities")
    do(session, "start")
    wait(session, "asks")
    assert files(store, "identities") != {k: v for k, v in kept.items() if k.startswith("identities")}, "else it tests nothing"
    do(session, "no")
    wait(session, "declined")
    do(session, "start")  # at once, while the first program ends
    wait(session, "asks")
    do(session, "no")
    session.regroup._thread.join(60)  # type: ignore[union-attr]
    assert files(store, "runs", "identities") == kept
    with pytest.raises(InputError, match="load the page again"):
        do(session, "yes")
    do(session, "forget")
    assert api.regroup(session, {})["state"] == ""


@pytest.mark.parametrize("at", ["running", "asks"])
def test_it_can_be_stopped_at_any_time(tmp_path: Path, at: str) -> None:
    store, _, _ = grouped(tmp_path)
    session = answered(store)
    kept = files(store, "runs", "identities")
    do(session, "start")
    wait(session, at)
    if at == "running":
        until(lambda: session.regroup._process is not None)
    do(session, "stop")
    assert api.regroup(session, {})["state"] == "declined" and session.regroup._process is None
    assert files(store, "runs", "identities") == kept
    with store.lock():
        pass
    do(session, "start")
    wait(session, "asks")
    session.close()  # as when the page's program ends
    assert files(store, "runs", "identities") == kept


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_page_that_is_killed_is_a_no(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    answered(store)
    kept, run = files(store, "runs", "identities"), current_run(store)
    assert run is not None
    program = subprocess.Popen([*PROGRAM, *arguments(store, run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdin is not None and program.stdout is not None
    events = []
    for line in program.stdout:
        events.append(json.loads(line)["event"])
        if events[-1] == "asks":
            program.stdin.close()
    assert events[-2:] == ["asks", "declined"] and program.wait(60) == 0
    program.stdout.close()
    assert files(store, "runs", "identities") == kept


@pytest.mark.parametrize("own", [None, 0.0, 0.8])
def test_a_grouping_keeps_the_purity_of_its_run(tmp_path: Path, own: float | None) -> None:
    """A run from before there was a least purity kept every group, and one with another value had its reason."""
    store, _, _ = grouped(tmp_path)
    run = current_run(store)
    assert run is not None
    settings = {key: value for key, value in run.settings.items() if key != "min_purity"} | ({} if own is None else {"min_purity": own})
    words = arguments(store, replace(run, settings=settings))
    assert float(words[words.index("--min-purity") + 1]) == (own or 0.0)


def test_a_store_in_use_is_said(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    session = answered(store)
    with store.lock():
        do(session, "start")
        until(lambda: api.regroup(session, {})["state"] == "failed")
    assert "another run at work" in api.regroup(session, {})["error"]
    do(session, "start")
    wait(session, "asks")


def test_the_report_follows(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    call("report", store.url)
    session = answered(store)
    do(session, "start")
    wait(session, "asks")
    do(session, "yes")
    assert wait(session, "done")["error"] == ""
    assert any("Anna" in path.read_text(encoding="utf-8") for path in (Path(store.url) / "report").rglob("*.html"))


def test_nothing_to_change_is_not_asked(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    session = session_of(store)
    do(session, "start")
    wait(session, "done")


def test_the_settings_of_the_run_are_kept(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path)
    call("cluster", store.url, "--margin", "0.9", "--merge-margin", "1.4")
    session = answered(store)
    do(session, "start")
    wait(session, "asks")
    do(session, "yes")
    wait(session, "done")
    run = current_run(store)
    assert run is not None and (run.settings["margin"], run.settings["merge"]) == (0.9, 1.4)


def test_changes_are_told_person_by_person(tmp_path: Path) -> None:
    store, _, _ = grouped(tmp_path, (12, 9, 7, 5), singles=2)
    session = session_of(store)
    view = session.view()
    was, people = view.current.faces.identity, view.current.people
    ids = list(people.person_ids)
    rows = [np.flatnonzero(was == i) for i in range(4)]
    now = was.copy()
    now[rows[1]] = 0  # all of 1 joins 0
    now[rows[2][:3]] = 1  # some of 2 come off as a person
    now[rows[3][0]] = -1  # one leaves 3
    now[np.flatnonzero(was < 0)[0]] = 0  # a single one joins 0
    now[rows[2][3:]], now[rows[3][1:]] = 2, 3
    new = People([ids[0], "p-00000001", ids[2], ids[3]], [None] * 4, [22, 3, 4, 4], [False] * 4)
    found = compare(view, new, now)
    assert [(c["who"]["id"], c["to"]["id"]) for c in found["joins"]] == [(ids[1], ids[0])]
    assert [(c["who"]["id"], c["of"]["id"], c["who"]["count"]) for c in found["parts"]] == [("p-00000001", ids[2], 3)]
    assert [(c["who"]["id"], c["who"]["count"]) for c in found["gains"]] == [(ids[0], 1)]
    assert [(c["who"]["id"], c["who"]["count"]) for c in found["losses"]] == [(ids[3], 1)]
    assert found["counts"]["left"] == 1 and found["counts"]["joined"] == 1 and found["new"] == found["gone"] == []


def test_the_command_asks_on_a_terminal(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from facecluster.cli import main

    store, _, _ = grouped(tmp_path)
    answered(store)
    kept = files(store, "runs", "identities")
    for answer, said in (("n\n", "nothing was changed"), ("", "nothing was changed"), ("y\n", "shows them")):
        assert files(store, "runs", "identities") == kept
        result = CliRunner().invoke(main, ["cluster", store.url, "--ask"], input=answer, catch_exceptions=False)
        assert result.exit_code == 0 and said in result.output and "1 merged" in result.output
    assert read_current_people(store)[0].people.names.count("Anna") == 1 and len(read(store).decisions) == 1
    assert "found both" in CliRunner().invoke(main, ["cluster", store.url, "--ask", "--dry-run"]).output
