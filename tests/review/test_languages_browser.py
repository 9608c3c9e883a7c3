"""The review page in other languages, in a real browser: no English is left, and nothing that a user wrote is read as a text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_texts import english, marked_language, seen, unmarked
from people_store import call
from review_store import NASTY, grouped, real_photo
from test_review_browser import Shown, asked, browser, keys, shot  # noqa: F401

from facecluster.language import Language, language_of
from facecluster.people import current_run
from facecluster.photos.gone import gone_folders
from facecluster.report.run_report import write_run_report
from facecluster.review import open_review
from facecluster.review.regroup import Progress

NAME = "<b>Ann</b> %(n)s $&"


def every_page(shown: Shown, real: str) -> Iterator[str]:
    """Show each page in all its parts, and name it; then a person is called NAME. `real`: a face whose photo is there."""
    first, second = (person[0] for person in shown.people()[:2])
    shown.key(f"name-{first}").send_keys(NAME + keys("ENTER"))
    shown.until(lambda: shown.all("#status:not(:empty)"))
    shown.until(lambda: shown.people()[0][1] == NAME)
    for person in (first, second):
        shown.key(f"tick-{person}").click()
    yield "people"
    shown.key("untick").click()
    shown.go("people?q=nobodyhasthisname", "#found")
    shown.until(lambda: not shown.all(".card"))
    yield "nothing found"
    shown.go(f"person/{first}", ".face")
    face = shown.one(".face").get_attribute("data-id")
    shown.key(f"tick-{face}").click()
    shown.browser.execute_script("document.querySelector('.forget').open = true")  # the bar of what is selected is over it
    shown.until(lambda: shown.all(".forget input"))
    yield "person"
    shown.go(f"album/{first}", ".album")
    yield "album"
    shown.go(f"photo/{real}", "#tray input")
    yield "photo"
    shown.browser.execute_script("arguments[0].click()", shown.key("draw"))  # the bar may be over it
    shown.until(lambda: shown.all("#drawn"))
    yield "drawing"
    more = {"suggestions": "main p", "questions": ".pair", "nobody": ".face", "history": ".history li", "unclear": "h1"}
    for page, css in more.items():
        shown.go(page, css)
        yield page
    people = [{"id": f"p-0000000{i}", "name": NAME, "faces": 3, "face": "", "shown": [], "count": i} for i in (1, 2)]
    kinds = ("joins", "parts", "gone", "new", "gains", "losses")
    lists: dict[str, Any] = {name: [{"who": who, "to": who, "of": who} for who in people] for name in kinds}
    counts = {"moved": 1, "joined": 2, "left": 3, "people": 5, "before": 1200, **{name: 3 for name in lists}}
    session = shown.review.server.session
    session.changes = lambda view: {"counts": counts, "lost_names": [NAME], **lists}  # type: ignore[method-assign]
    for state in ("", "running", "asks", "done", "failed", "declined"):
        session.regroup.progress = Progress(state, "steps of grouping", 3, 10, "why" if state == "failed" else "", number=1)
        shown.go("people", ".card")
        shown.go("regroup", "h1")
        if state == "asks":
            shown.until(lambda: shown.all("#changes-joins"))
        yield f"regroup {state}"
    session.regroup.progress = Progress()


@pytest.fixture
def served(browser: Any, tmp_path: Path) -> Iterator[Any]:  # noqa: F811
    pages = []

    def serve(language: Language) -> tuple[Shown, str]:
        store, ids, _ = grouped(tmp_path, (12, 10, 9, 8, 7, 4), singles=8)
        real_photo(store, ids[1], tmp_path / "real.jpg")
        pages.append(Shown(browser, store, language))
        return pages[-1], ids[1]

    yield serve
    for page in pages:
        page.stop()


def test_every_text_comes_from_the_catalogue(served: Any) -> None:
    """In a language that puts brackets around its texts, nothing stands outside them but what is the user's."""
    shown, real = served(marked_language())
    own = {NAME, f"/photos/{NASTY}.jpg", f"{NASTY}.jpg", NASTY, "/photos/", "why", f"{Path(shown.store.root).parent}/real.jpg"}
    for name in every_page(shown, real):
        found = seen(shown.browser)
        assert unmarked(found, own) == [], name
        assert sum("⟦" in text for text in found) > 10, name


@pytest.mark.parametrize("tag, faces, thousand", [("de", "12 Gesichter", "1.200"), ("fr", "12 visages", "1\u202f200")])
def test_no_english_is_left(served: Any, tag: str, faces: str, thousand: str) -> None:
    shown, real = served(language_of(tag))
    every = []
    for name in every_page(shown, real):
        found = seen(shown.browser)
        assert english(found, tag) == [], name
        every += found
        shot(shown.browser, f"review-{tag}-{name.replace('/', '-').replace('?', '-').replace(' ', '-')}")
    assert shown.one("html").get_attribute("lang") == tag
    assert any(faces in text for text in every) and any(thousand in text for text in every)
    assert len(every) > 500 and english(["12 faces", *every], tag) == ["12 faces"]
    assert shown.browser.execute_script("return document.querySelectorAll('main b').length") == 0
    assert any(NAME in text for text in every)


def test_an_error_is_said_in_the_language_of_the_page(served: Any) -> None:
    shown, _ = served(language_of("de"))
    shown.browser.execute_script("location.hash = '#/person/p-00000000'")
    shown.until(lambda: shown.one("#problem").text == "Die Person „p-00000000“ gibt es nicht mehr: Geh zurück zur Liste")
    assert shown.one("h1").text == "Diese Person gibt es nicht mehr"
    shown.go("people", ".card")
    first = shown.people()[0][0]
    shown.key(f"name-{first}").send_keys("p-0123abcd" + keys("ENTER"))
    wanted = "„p-0123abcd“ sieht aus wie eine Kennung, nicht wie ein Name: Wähle einen anderen Namen"
    shown.until(lambda: shown.one("#problem").text == wanted)
    shown.browser.execute_script("document.activeElement.blur()")
    shown.go(f"person/{first}", ".face")
    shown.key("select-all").click()
    shown.until(lambda: shown.one('#tray [data-key="split"]'))
    shown.key("split").click()
    shown.until(lambda: shown.one("#problem").text == f"Das sind alle Gesichter von {first}: Wähle einige davon, nicht alle")


def test_numbers_dates_and_forms_in_the_browser(served: Any) -> None:
    """What the script makes of numbers, dates and plural forms is what Python makes of them."""
    (shown, _), fr = served(language_of("fr")), language_of("fr")
    made = shown.browser.execute_async_script("""
        const done = arguments[0];
        import("/text.js").then(({ number, percent, day, t, tn, tp }) => done([
          number(1234567), percent(0.5), day("2021-05-06"), day("odd"), tp("button", "Name"), t("Named %(name)s", { name: "$& %(name)s" }),
          t("no text %%"), ...[0, 1, 2, 1000].map((n) => tn("%(n)s face", "%(n)s faces", n)),
        ]));
    """)
    wanted = [
        fr.number(1234567), fr.percent(0.5), fr.date("2021-05-06"), "odd", fr.tp("button", "Name"),
        fr.t("Named %(name)s", name="$& %(name)s"), "no text %", *(fr.tn("%(n)s face", "%(n)s faces", n) for n in (0, 1, 2, 1000)),
    ]  # fmt: skip
    assert made == wanted


def test_the_language_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As --lang says, else as the environment does; another language makes a report anew that is up to date but for it."""
    store, _, _ = grouped(tmp_path, (5, 4))
    page = Path(store.root, "report", "index.html")
    for wanted, environment, tag, title in (("fr", "de_DE.UTF-8", "fr", "Personnes"), ("auto", "de_DE.UTF-8", "de", "Personen"),
                                            ("auto", "it_IT.UTF-8", "en", "People")):  # fmt: skip
        monkeypatch.setenv("LC_ALL", environment)
        call("report", store.url, "--lang", wanted)
        text = page.read_text(encoding="utf-8")
        assert f'<html lang="{tag}">' in text and f"<h1>{title}</h1>" in text
    gone = gone_folders(store)
    run = current_run(store)
    assert run is not None
    for tag in ("de", "fr"):
        write_run_report(store, run.identities, language=language_of(tag), gone=gone)
        assert f'<html lang="{tag}">' in page.read_text(encoding="utf-8")


def test_the_report_after_a_grouping_is_in_the_language_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, _ = grouped(tmp_path, (5, 4))
    (Path(store.root) / "report").mkdir()
    (Path(store.root) / "report" / "index.html").write_text("there is one")
    review = open_review(store, language=language_of("fr"))
    said: list[list[str]] = []

    def run(progress: Progress, words: list[str]) -> tuple[int, str]:
        said.append(words)
        progress.state = "saving"
        return 0, ""

    regroup = review.server.session.regroup
    monkeypatch.setattr(regroup, "_run", run)
    regroup._follow(Progress("running"), None, ["cluster"])
    assert said == [["cluster"], ["report", store.url, "--lang", "fr"]]
    review.close()
