"""Plans: laws against known laws and against runs they have not seen; sums that must hold whatever the laws say; the command."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path

import numpy as np
import people_store
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.cli import main
from facecluster.cli.plan import amount, duration
from facecluster.errors import InputError
from facecluster.plan import Job, Prices, count_of, make_plan
from facecluster.plan.laws import fit
from facecluster.plan.runs import TASKS, Run, Size, read_runs
from facecluster.plan.stages import TERMS_OF, fit_stage, misses

RUNS = read_runs()
SIZES = [Size(faces=n, dim=dim) for dim in (128, 512) for n in (10_000, 30_000, 60_000, 100_000)]


def job(**changes: object) -> Job:
    given = {"new_photos": 1_000_000, "new_faces": 3_000_000, "faces": 3_000_000, "workers": 32}
    return Job(**(given | changes))  # type: ignore[arg-type]


def measured(seconds: float, size: Size, stage: str = "identify", way: str = TASKS, **more: float) -> Run:
    return Run(stage, way, size, {"processor": seconds, "in_tasks": seconds / 2, **more}, f"{size.faces} faces", False)


# -- laws -------------------------------------------------------------------------------------------------------------------------


def test_a_known_law_is_recovered_from_noisy_runs() -> None:
    rng = np.random.default_rng(0)

    def law(s: Size) -> float:
        return 3 + 2e-5 * s.faces * log2(s.faces) + 1e-7 * s.faces * s.dim

    found = fit(("once", "faces", "numbers", "faces x log faces"), SIZES, [law(s) * rng.uniform(0.98, 1.02) for s in SIZES])
    for size in (Size(faces=20_000, dim=256), Size(faces=10**6), Size(faces=10**7, dim=512)):
        assert found.of(size) == pytest.approx(law(size), rel=0.05)


def test_all_pairs_are_told_from_what_grows_with_the_faces() -> None:
    found = fit(("faces", "pairs", "pairs x dim"), SIZES, [4e-4 * s.faces + 5e-12 * s.faces**2 * s.dim for s in SIZES])
    assert found.factors["faces"] == pytest.approx(4e-4) and found.factors["pairs x dim"] == pytest.approx(5e-12)
    assert found.factors.get("pairs", 0.0) < 1e-3 * 5e-12


def test_no_law_falls_with_the_size_even_if_runs_do() -> None:
    found = fit(("once", "faces"), SIZES[:4], [100.0, 80, 60, 40])
    assert min(found.factors.values()) >= 0 and found.of(Size(faces=10**9)) > 0


def test_the_error_is_of_a_fit_that_has_not_seen_the_run() -> None:
    """Three runs follow n, the fourth takes twice as long: it is predicted at half, and alone."""
    runs = [measured(n * 1e-3, Size(faces=n)) for n in (10_000, 20_000, 40_000)] + [measured(160, Size(faces=80_000))]
    last = max(misses(runs), key=lambda m: m.run.size.faces)
    assert last.predicted == pytest.approx(80, rel=1e-3) and last.error == pytest.approx(-0.5, abs=1e-3)


def test_a_held_out_run_changes_no_law() -> None:
    runs = [measured(n * 1e-3, Size(faces=n)) for n in (10_000, 20_000, 40_000)]
    odd = Run("identify", TASKS, Size(faces=80_000), {"processor": 1e6}, "odd", True)
    assert fit_stage([*runs, odd], "identify", TASKS) == fit_stage(runs, "identify", TASKS)
    assert max(misses([*runs, odd]), key=lambda m: m.measured).run is odd


# -- the table that is shipped ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage, way", TERMS_OF)
def test_the_largest_run_is_predicted_from_the_smaller_within_a_quarter(stage: str, way: str) -> None:
    """Up to a million faces: below, all costs of links grow alike, and only ten million tell them apart."""
    some = [r for r in RUNS if (r.stage, r.way) == (stage, way) and r.size.dim == 128 and r.size.faces <= 1_000_000]
    assert len(some) >= 4
    largest = max(some, key=lambda r: (r.size.faces, r.size.megapixels))
    smaller = [r for r in some if r.size.faces < largest.size.faces or r.size.megapixels < largest.size.megapixels]
    found = [m for m in misses([*smaller, largest]) if m.run is largest]
    assert len(found) == 1 and abs(found[0].error) <= 0.25


@pytest.mark.parametrize("stage", ["link", "identify"])
def test_the_laws_hold_from_a_million_to_ten(stage: str) -> None:
    large = {m.run.size.faces: m for m in misses(RUNS) if (m.run.stage, m.run.way) == (stage, TASKS) and m.run.size.faces >= 1_000_000}
    assert abs(large[1_000_000].error) <= 0.25  # not fitted to
    most = large[10_000_000].run
    assert fit_stage(RUNS, stage, TASKS).of("processor", most.size) == pytest.approx(most.values["processor"], rel=0.25)


@pytest.mark.parametrize("stage, way", [key for key in TERMS_OF if key[1] != "photos"])
def test_memory_and_what_stays_on_disk_are_predicted_at_the_largest_whole_run(stage: str, way: str) -> None:
    some = [r for r in RUNS if (r.stage, r.way) == (stage, way)]
    left = max((r for r in some if "kept" in r.values and r.size.dim == 128), key=lambda r: r.size.faces)
    laws = fit_stage([r for r in some if r is not left], stage, way)
    for quantity in ("kept", "peak"):
        assert laws.of(quantity, left.size) == pytest.approx(left.values[quantity], rel=0.25), quantity


# -- sums that hold whatever the laws say -----------------------------------------------------------------------------------------

COUNTS = st.integers(1, 10**7)


@settings(deadline=None, max_examples=30)
@given(photos=COUNTS, faces=COUNTS, workers=st.integers(1, 500), speed=st.floats(0.2, 5))
def test_workers_take_no_less_than_their_share_of_the_processor_time(photos: int, faces: int, workers: int, speed: float) -> None:
    made = make_plan(job(new_photos=photos, new_faces=faces, faces=faces, workers=workers, speed=speed), runs=RUNS)
    alone = make_plan(job(new_photos=photos, new_faces=faces, faces=faces, workers=1, speed=speed), runs=RUNS)
    for stage, one in zip(made.stages, alone.stages, strict=True):
        assert stage.seconds >= stage.processor_seconds / min(workers, stage.tasks) * (1 - 1e-9)
        assert stage.seconds <= one.seconds * (1 + 1e-9) and one.seconds == pytest.approx(one.processor_seconds)


def test_costs_add_up() -> None:
    prices = Prices(worker_hour=0.05, gpu_hour=2.5, network_gb=0.09, gb_month=0.02)
    made = make_plan(job(gpus=8, gpu_faces_a_second=1000), prices)
    machines = sum(s.seconds for s in made.stages) / 3600 * (32 * 0.05 + 8 * 2.5)
    network = 0.09 * sum(s.network_bytes for s in made.stages) / 1e9
    assert made.total.cost == pytest.approx(machines + network) and machines > 0
    assert made.storage_cost == pytest.approx(0.02 * sum(s.disk_bytes for s in made.stages) / 1e9)
    assert make_plan(job()).total.cost == 0


def test_a_rate_that_the_user_measured_counts() -> None:
    found = make_plan(job(ms_a_photo=100, workers=10), only=("decode", "detect", "embed"))
    assert found.total.seconds == pytest.approx(1_000_000 * 0.1 / 10)
    gpu = make_plan(job(gpus=2, gpu_faces_a_second=10, workers=64), only=("decode", "detect", "embed"))
    assert gpu.total.seconds == pytest.approx(3_000_000 / 10 / 2)  # vectors take longer than all else, which goes on meanwhile


def test_twice_as_fast_cores_take_half() -> None:
    assert make_plan(job(speed=2)).total.seconds == pytest.approx(make_plan(job()).total.seconds / 2)


# -- numbers and the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, value",
    [("1e6", 10**6), ("3M", 3 * 10**6), ("100k", 10**5), ("250,000", 250_000), ("2.5m", 2_500_000), (" 7 ", 7), ("1G", 10**9)],
)
def test_numbers(text: str, value: int) -> None:
    assert count_of(text, "--photos") == value


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "1e13", "nan", "inf", "1e999", "5 k M", "0x10", "1..2", "٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected --photos of 1 to 1e12"):
        count_of(text, "--photos")


@pytest.mark.parametrize(
    "words", [[], ["--faces", "5"], ["--photos", "many"], ["--photos", "5", "--megapixels", "-1"], ["--photos", "5", "--core-speed", "nan"],
              ["--photos", "5", "--price-worker", "inf"], ["nowhere"], ["--photos", "9M", "--memory", "1MB"]],
)  # fmt: skip
def test_what_cannot_be_planned_is_one_line(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert people_store.refused("plan", *words).startswith("facecluster: expected ")


def plan(*words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(people_store.call("plan", *words, "--json").stdout)
    return found


def test_the_command_prints_every_stage_and_its_error() -> None:
    said = people_store.call("plan", "--photos", "1e6", "--faces", "3e6", "--workers", "32", "--gpus", "8", "--price-worker", ".05").stdout
    rows = [line.split()[0] for line in said.splitlines()]
    assert rows[1:9] == ["stage", "decode", "detect", "embed", "link", "identify", "report", "all"]
    assert "assumed: each GPU is counted as one core" in said and "link: processor time of" in said
    found = plan("--photos", "1e6", "--faces", "3e6", "--workers", "32", "--gpus", "8", "--price-worker", ".05")
    assert f"{found['all']['cost']:.2f}" in said and found["job"]["new_faces"] == 3_000_000  # type: ignore[index]


def test_a_store_and_its_growth(tmp_path: Path) -> None:
    """The store has 60 photos with a face each: 600 more photos have 600 faces, and 660 are grouped."""
    store, _, _ = people_store.ungrouped_store(tmp_path, [30, 20, 10])
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    grown = plan(store.url, "--photos", "600")
    assert grown["job"]["new_faces"] == 600 and grown["job"]["faces"] == 660  # type: ignore[index]
    assert grown["job"]["megapixels"] == pytest.approx(0.12)  # type: ignore[index]
    as_it_is = plan(store.url)
    assert as_it_is["job"]["faces"] == 60 and [s["stage"] for s in as_it_is["stages"]] == ["link", "identify", "report"]  # type: ignore[index, attr-defined]
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_a_dry_run_says_first_how_long_it_takes(tmp_path: Path) -> None:
    store, _, _ = people_store.ungrouped_store(tmp_path, [30, 20, 10])
    done = CliRunner().invoke(main, ["cluster", store.url, "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0 and done.stderr.startswith("60 faces: a dry run takes about ")
    assert "a dry run takes" not in CliRunner().invoke(main, ["cluster", store.url], catch_exceptions=False).stderr


def test_times_and_amounts_for_people() -> None:
    assert [duration(s) for s in (0.2, 7.4, 90, 3600, 7260, 90_000, 86400 * 40)] == [
        "under 1 s", "7 s", "1 min 30 s", "1 h", "2 h 1 min", "1 d 1 h", "40 d"
    ]  # fmt: skip
    assert [amount(b) for b in (512, 2.5e6, 3.14159e9, 7e12)] == ["0.512 kB", "2.5 MB", "3.14 GB", "7 TB"]
