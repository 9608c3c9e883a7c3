"""facecluster cluster --calibrate, end to end on small stores of synthetic people, and what goes by it afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import people_store as syn
import pytest
from click.testing import CliRunner
from people_store import call, refused

from facecluster.calibrate import StoreCalibration, calibration_path, read_calibration, write_calibration
from facecluster.calibrate.logistic import Line
from facecluster.cli import main
from facecluster.errors import StoreError
from facecluster.grouping.identify import IdentifyConfig
from facecluster.matching.probe import Probe
from facecluster.models.registry import card_of
from facecluster.people import read_current_people
from facecluster.store import IDENTITIES, Store

SIZES = [14, 12, 11, 10, 9, 8, 8, 7, 6, 5, 2, 1, 1]


def bad_card(folder: Path, sha256: str = card_of("bundled").sha256[:12]) -> str:
    """A card for the store's vectors whose reading is far off."""
    path = folder / f"bad-{sha256[:4]}.toml"
    lines = syn.CARD.read_text(encoding="utf-8").splitlines()
    new = {"slope": "slope = 1.0", "intercept": "intercept = 0.0", "sha256": f'sha256 = "{sha256}"'}
    path.write_text("\n".join(new.get(line.split(" = ")[0], line) for line in lines), encoding="utf-8")
    return str(path)


def tree(store: Store) -> dict[str, tuple[bytes, int]]:
    root = Path(store.url)
    return {p.relative_to(root).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def name(store: Store, start: int, end: int) -> None:
    people = read_current_people(store)[0].people
    for i in range(start, end):
        call("name", store.url, people.person_ids[i], f"Person {i}")


@pytest.fixture
def named(tmp_path: Path) -> Store:
    """A store whose ten largest people have names."""
    store, _, _ = syn.ungrouped_store(tmp_path, SIZES, noise=0.9)
    call("cluster", store.url)
    name(store, 0, 10)
    return store


def calibrated(store: Store, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("cluster", store.url, "--json", "--calibrate", *options).stdout)["calibration"]
    return found


def stated(store: Store, model: str) -> float:
    """The calibration error of the pair probability as evaluate sees it."""
    found = json.loads(call("evaluate", store.url, "--model", model, "--json").stdout)
    return float(found["verification"]["calibration"]["ece"])


def test_from_names_to_a_reading_and_back(named: Store, tmp_path: Path) -> None:
    bad = bad_card(tmp_path)
    before = stated(named, bad)
    found = calibrated(named, "--model", bad)["pairs"]
    assert found["used"] and found["people"] == 10 and found["faces"] == 90 and found["yes"] == 395 and found["no"] == 90 * 89 // 2 - 395
    error = found["calibration_error"]
    assert error["before"] > 0.3 and error["after"] < 0.1 and before == pytest.approx(error["before"], abs=0.05)
    written = json.loads(Path(named.path("calibration", "bundled.json")).read_text())
    assert written["weights"] == card_of("bundled").sha256[:12] and written["pairs"]["slope"] == found["fitted"]["slope"]
    assert stated(named, bad) < 0.1
    shown = CliRunner().invoke(main, ["evaluate", named.url, "--model", bad])
    assert "this store's own calibration" in shown.stderr
    card = common_card(named, bad)
    assert card.slope == found["fitted"]["slope"] != 1.0
    assert "in use again" in call("cluster", named.url, "--model", bad, "--reset-calibration").stdout
    assert not Path(named.path("calibration", "bundled.json")).exists() and stated(named, bad) == pytest.approx(before)
    assert "nothing to remove" in call("cluster", named.url, "--model", bad, "--reset-calibration").stdout


def common_card(store: Store, model: str) -> Any:
    """The card that match, verify and dedup go by."""
    from facecluster.cli import results

    card = card_of(model)
    return results.calibration_of(store, card).apply_to(card)


def test_words(named: Store, tmp_path: Path) -> None:
    shown = call("cluster", named.url, "--model", bad_card(tmp_path), "--calibrate").stdout
    assert "calibration is based on 10 people with names: 90 faces, 395 pairs of one person and 3,610 of two people" in shown
    assert "two faces are one person: expected calibration error 0." in shown and "each for people left out of the fit: fitted\n" in shown
    assert re.search(r"a face belongs to its group: unchanged: of \d+ faces of \d+ people you marked 0", shown)


def test_a_good_card_is_kept_and_an_older_calibration_goes(named: Store) -> None:
    card = card_of("bundled")
    write_calibration(named, card, StoreCalibration(pairs=Line(3.0, 0.0), impostor_mean=0.0, impostor_sd=0.1), {})
    good = Line(30.0, -9.0)  # what vectors of these people look like; the bundled card's own is not theirs
    text = syn.CARD.read_text(encoding="utf-8").replace("slope = 21.663", f"slope = {good.slope}")
    path = Path(named.url).parent / "good.toml"
    path.write_text(text.replace("intercept = -3.630", f"intercept = {good.intercept}"), encoding="utf-8")
    shown = call("cluster", named.url, "--model", str(path), "--calibrate").stdout
    assert "unchanged: the fitted line is not better" in shown and "the model card's probabilities stay in use" in shown
    assert not Path(named.path("calibration", "bundled.json")).exists()


def test_too_little_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    store, _, _ = syn.ungrouped_store(tmp_path, SIZES, noise=0.9)
    call("cluster", store.url)
    name(store, 0, 3)
    before = tree(store)
    line = refused("cluster", store.url, "--calibrate")
    assert "expected 5 people with names" in line and "found 3 people and 37 faces" in line and "facecluster review" in line
    assert {k: v for k, v in tree(store).items() if k != "store.lock"} == {k: v for k, v in before.items() if k != "store.lock"}
    assert "found several" in refused("cluster", store.url, "--calibrate", "--reset-calibration")


def test_a_dry_run_says_the_same_and_leaves_every_byte(named: Store, tmp_path: Path) -> None:
    bad, before = bad_card(tmp_path), tree(named)
    tried = calibrated(named, "--model", bad, "--dry-run")
    assert tree(named) == before
    assert tried == calibrated(named, "--model", bad)
    before = tree(named)
    call("cluster", named.url, "--model", bad, "--reset-calibration", "--dry-run")
    assert tree(named) == before


def test_names_in_the_table_count(tmp_path: Path) -> None:
    store, _, _ = syn.ungrouped_store(tmp_path, SIZES, noise=0.9)
    call("cluster", store.url)
    name(store, 0, 4)
    call("cluster", store.url)
    table = Path(store.path("people.csv"))
    people = read_current_people(store)[0].people
    text = table.read_text(encoding="utf-8-sig")
    for i in range(4, 8):
        text = text.replace(f"{people.person_ids[i]},,", f"{people.person_ids[i]},Written {i},")
    table.write_text(text, encoding="utf-8-sig")
    assert calibrated(store)["pairs"]["people"] == 8


def test_other_weights_are_not_read_by_it(named: Store, tmp_path: Path) -> None:
    bad, other = bad_card(tmp_path), bad_card(tmp_path, sha256="ffff00000000")
    calibrated(named, "--model", bad)
    assert read_calibration(named, card_of(bad)).pairs is not None
    found = read_calibration(named, card_of(other))
    assert found.other_weights and not found and common_card(named, other).slope == 1.0
    assert "with other weights" in call("cluster", named.url, "--model", other).stderr
    assert stated(named, other) > 0.3


def test_a_place_in_the_group_is_read_by_it(named: Store) -> None:
    """The probabilities of the next run follow from those of this one by the two lines; who is with whom stays."""
    usual = IdentifyConfig()
    old, new = Line(usual.confidence_slope, usual.confidence_intercept), Line(2.5, -2.5)
    before = named.read_all("identities/bundled", IDENTITIES)
    write_calibration(named, card_of("bundled"), StoreCalibration(membership=new), {})
    call("cluster", named.url)
    after = named.read_all("identities/bundled", IDENTITIES)
    assert after["identity"].equals(before["identity"]) and after["face_id"].equals(before["face_id"])
    p, q = (np.asarray(t["probability"], float) for t in (before, after))
    some = (p > 0) & (p < 0.9999)
    place = (np.log(p[some] / (1 - p[some])) - old.intercept) / old.slope
    assert some.sum() > 40 and q[some] == pytest.approx(new.probability(place), abs=2e-3) and (q[p == 0] == 0).all()
    call("cluster", named.url, "--reset-calibration")
    assert named.read_all("identities/bundled", IDENTITIES)["probability"].equals(before["probability"])


SPOILT = [
    "", "{", "[]", '{"format": 1}', '{"format": 1, "weights": "W", "pairs": {"slope": -1, "intercept": 0}, "place": null}',
    '{"format": 1, "weights": "W", "pairs": {"slope": 9, "intercept": 0}, "place": null}',
    '{"format": 1, "weights": "W", "pairs": null, "place": {"slope": NaN, "intercept": 0}}', '{"format": 9}',
]  # fmt: skip


def test_a_spoilt_file_is_one_line_and_is_made_anew(named: Store, tmp_path: Path) -> None:
    bad = bad_card(tmp_path)
    card = card_of(bad)
    for text in SPOILT:
        named.write_bytes(text.replace('"W"', json.dumps(card.sha256)).encode(), *calibration_path(card))
        with pytest.raises(StoreError, match="expected .*calibration/bundled.json"):
            read_calibration(named, card)
    assert "calibration/bundled.json" in refused("cluster", named.url, "--model", bad)
    assert calibrated(named, "--model", bad)["pairs"]["used"]
    assert read_calibration(named, card).pairs is not None


def test_verify_goes_by_a_store_that_is_named(named: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.zeros((2, 128), np.float32)
    vectors[:, :2] = [[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)]]

    def probe_photo(uri: str, *_: Any, **__: Any) -> Probe:
        some = np.ones(1, np.float32)
        return Probe(uri, "", np.ones((1, 4), np.float32), some, some, vectors[[int(uri == "b.jpg")]])

    monkeypatch.setattr("facecluster.matching.probe.probe_photo", probe_photo)
    write_calibration(named, card_of("bundled"), StoreCalibration(pairs=Line(10.0, -1.0), impostor_mean=0.0, impostor_sd=0.1), {})
    found = [json.loads(call("verify", "a.jpg", "b.jpg", "--json", *more).stdout)["probability"] for more in ([], ["--store", named.url])]
    assert found[0] == pytest.approx(float(card_of("bundled").probability(np.array([0.3]))[0]), abs=1e-5)
    assert found[1] == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-5)
