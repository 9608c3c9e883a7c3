"""Finding duplicates in a store: groups, kinds, keepers, bursts, protected folders, odd names, interrupted runs."""

from __future__ import annotations

import io
import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from dedup_photos import barred, captioned, coded, cut, moved, scaled, scene, silent, write_store
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, PngImagePlugin

from facecluster.dedup import DedupConfig, Plan, find_duplicates, make_plan
from facecluster.dedup import fingerprints as fingerprints_module
from facecluster.errors import InputError
from facecluster.photos.fingerprint import LOOKS
from facecluster.store import FACES, Store, table_of

NOON = datetime(2020, 5, 6, 12)


def put(folder: Path, **files: bytes) -> dict[str, Path]:
    """Files by name ("a_jpg" is a.jpg)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name.replace("_", ".") for name in files}
    for name, path in paths.items():
        path.write_bytes(files[name])
    return paths


def plan_of(store: Store, *, bursts: bool = False, **config: object) -> Plan:
    with find_duplicates(store, DedupConfig(**config), bars=silent, threads=1) as found:  # type: ignore[arg-type]
        return make_plan(found, bursts=bursts)


def summary(plan: Plan) -> dict[str, tuple[str, str, str]]:
    """By file name: kind, action, keeper's name."""
    return {os.path.basename(r.uri): (r.kind, r.action, os.path.basename(r.keeper)) for r in plan.rows}


def test_copies_of_all_kinds_are_found_and_the_original_is_kept(tmp_path: Path) -> None:
    image = scene(1)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "another day")
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=text, compress_level=1)
    png = coded(image, "PNG")
    files = put(
        tmp_path / "photos",
        original_png=png, copy_png=png, comment_png=out.getvalue(), small_jpg=coded(scaled(image, 0.25)),
        coded_jpg=coded(image, quality=40), turned_jpg=coded(image.transpose(Image.Transpose.ROTATE_90)),
        grey_jpg=coded(image.convert("L")),
        cut_jpg=coded(cut(image, 0.05, 0.05, 0.95, 0.95)), text_jpg=coded(captioned(image)), bar_jpg=coded(barred(image)),
        moved_jpg=coded(moved(image, 0.07)), other_jpg=coded(scene(2)),
    )  # fmt: skip
    plan = plan_of(write_store(tmp_path / "store", list(files.values())))
    assert summary(plan) == {
        "comment.png": ("", "keep", ""),  # of equal pixels the file of most bytes
        "original.png": ("pixels", "move", "comment.png"),
        "copy.png": ("pixels", "move", "comment.png"),
        **{f"{n}.jpg": ("near", "move", "comment.png") for n in ("small", "coded", "turned", "grey", "cut", "text", "bar")},
    }
    words = {os.path.basename(r.uri): (r.why, r.reason) for r in plan.rows}
    assert "25 % of its size" in words["small.jpg"][0] and "smaller: 120x90 against 480x360" in words["small.jpg"][1]
    assert "turned by 270°" in words["turned.jpg"][0]
    assert "cropped to 81 %" in words["cut.jpg"][0] and "cropped" in words["cut.jpg"][1]
    assert "text" in words["text.jpg"][0] and "written" in words["text.jpg"][1] and "written" in words["bar.jpg"][1]
    assert words["grey.jpg"][1] == "without colour"
    assert "the same pixels" in words["original.png"][0]
    assert (plan.files, len(plan.moved)) == (12, 9)
    assert plan.saved == sum(files[n].stat().st_size for n in files if n not in ("comment_png", "moved_jpg", "other_jpg"))


def test_exact_copies(tmp_path: Path) -> None:
    data = coded(scene(3))
    files = put(tmp_path / "a" / "deep", photo_jpg=data) | put(tmp_path / "b", copy_jpg=data)
    plan = plan_of(write_store(tmp_path / "store", list(files.values())))
    assert summary(plan) == {"photo.jpg": ("", "keep", ""), "copy.jpg": ("copy", "move", "photo.jpg")}, "a file named like a copy is moved"


def test_preferred_and_protected_folders(tmp_path: Path) -> None:
    image = scene(4)
    good = put(tmp_path / "good", one_jpg=coded(image, quality=95), two_jpg=coded(image, quality=95))
    poor = put(tmp_path / "poor", one_jpg=coded(scaled(image, 0.5), quality=60))
    store = write_store(tmp_path / "store", [*good.values(), *poor.values()])

    def moves(**config: object) -> set[str]:
        return {os.path.relpath(r.uri, tmp_path) for r in plan_of(store, **config).moved}

    assert moves() in ({"good/one.jpg", "poor/one.jpg"}, {"good/two.jpg", "poor/one.jpg"})
    assert moves(prefer=[str(tmp_path / "poor")]) == {"good/one.jpg", "good/two.jpg"}
    assert len(moves(protect=[str(tmp_path / "poor")])) == 1
    assert moves(protect=[str(tmp_path / "good")]) == {"poor/one.jpg"}
    assert moves(protect=[str(tmp_path)]) == set()
    with pytest.raises(InputError, match="expected a folder to prefer"):
        moves(prefer=[str(tmp_path / "missing")])


def test_a_folder_whose_name_only_starts_the_same_is_not_protected(tmp_path: Path) -> None:
    data = coded(scene(5))
    files = put(tmp_path / "keep", a_jpg=data) | put(tmp_path / "keep2", b_jpg=data)
    plan = plan_of(write_store(tmp_path / "store", list(files.values())), protect=[str(tmp_path / "keep")])
    assert [os.path.basename(r.uri) for r in plan.moved] == ["b.jpg"]


def test_time_tells_copies_from_bursts(tmp_path: Path) -> None:
    image = scene(6)
    files = put(
        tmp_path / "photos",
        a_jpg=coded(image, quality=95), b_jpg=coded(image, quality=80), c_jpg=coded(moved(image)), d_jpg=coded(image, quality=70),
    )  # fmt: skip
    taken = {"a.jpg": NOON, "b.jpg": NOON + timedelta(seconds=2), "c.jpg": NOON + timedelta(seconds=4), "d.jpg": NOON + timedelta(hours=2)}
    store = write_store(tmp_path / "store", list(files.values()), taken)
    plan = plan_of(store)
    kinds = summary(plan)
    assert kinds["d.jpg"] == ("near", "move", "a.jpg"), "two hours can be a difference of time zones"
    assert {n: k[:2] for n, k in kinds.items() if k[0] == "burst"} in (
        {"b.jpg": ("burst", "keep"), "c.jpg": ("burst", "keep")}, {"a.jpg": ("burst", "keep"), "b.jpg": ("burst", "keep")},
        {"a.jpg": ("burst", "keep"), "c.jpg": ("burst", "keep")},
    )  # fmt: skip
    assert plan.counts() == {"near": 1, "burst": 2}
    assert "taken 2 s" in " ".join(r.why for r in plan.rows)
    assert len(plan_of(store, bursts=True).moved) == 3
    assert plan_of(store, burst_seconds=0.0).counts() == {"near": 1}


def faces_of(store: Store, rows: list[tuple[str, Image.Image, float]], boxes: NDArray[np.float32] | None = None) -> None:
    """A face for each (photo_id, crop, quality); boxes (n, 4)."""
    columns = {
        "face_id": [f"{i[:24]}-0000" for i, _, _ in rows], "photo_id": [i for i, _, _ in rows], "score": np.ones(len(rows), np.float32),
        "box": np.tile(np.float32([100, 100, 80, 80]), (len(rows), 1)) if boxes is None else boxes,
        "landmarks": np.zeros((len(rows), 10), np.float32),
        "sharpness": np.full(len(rows), 9, np.float32), "yaw": np.zeros(len(rows), np.float32),
        "quality": np.array([q for _, _, q in rows], np.float32), "crop": [coded(c, "PNG") for _, c, _ in rows],
    }  # fmt: skip
    store.write("faces", "99999", table_of(FACES, columns), {"table": "faces"})


def eyes(*, shut: bool) -> Image.Image:
    """A face of two eyes: a pupil and the white beside it, or a line."""
    pixels = np.full((112, 112, 3), 170, np.uint8)
    for x in (38, 74):
        if shut:
            pixels[51:53, x - 9 : x + 9] = 60
        else:
            pixels[48:56, x - 9 : x + 9], pixels[47:57, x - 4 : x + 4] = 235, 40
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kept", ["a.jpg", "b.jpg"])
def test_of_a_burst_the_photo_with_open_eyes_is_kept_then_that_of_better_faces(kept: str, tmp_path: Path) -> None:
    files = put(tmp_path / "p", a_jpg=coded(scene(7)), b_jpg=coded(moved(scene(7))))
    store = write_store(tmp_path / "store", list(files.values()), {"a.jpg": NOON, "b.jpg": NOON})
    ids = {os.path.basename(r["uri"]): r["photo_id"] for r in store.read("photos", "00000", ["uri", "photo_id"]).to_pylist()}
    # the one with open eyes has the poorer face: eyes come first
    faces_of(store, [(ids[n], eyes(shut=n != kept), 0.4 if n == kept else 0.9) for n in ids])
    reasons = {os.path.basename(r.uri): r.reason for r in plan_of(store).rows}
    other = next(n for n in ids if n != kept)
    assert (reasons[kept], reasons[other]) == ("", "eyes less open")
    faces_of(store, [(ids[n], eyes(shut=False), 0.9 if n == kept else 0.4) for n in ids])
    reasons = {os.path.basename(r.uri): r.reason for r in plan_of(store).rows}
    assert (reasons[kept], reasons[other]) == ("", "faces of less quality")


def test_links_are_not_copies(tmp_path: Path) -> None:
    data = coded(scene(8))
    files = put(tmp_path / "p", real_jpg=data)
    (tmp_path / "p" / "soft.jpg").symlink_to("real.jpg")
    os.link(files["real_jpg"], tmp_path / "p" / "a.jpg")
    (tmp_path / "q").symlink_to("p")
    names = [tmp_path / "p" / n for n in ("real.jpg", "soft.jpg", "a.jpg")] + [tmp_path / "q" / "real.jpg"]
    plan = plan_of(write_store(tmp_path / "store", names))
    assert plan.moved == [] and plan.saved == 0 and plan.counts() == {}
    assert [r.size for r in plan.rows] == [len(data)] + [0] * (len(plan.rows) - 1), "one file, whatever its names"
    assert {r.action for r in plan.rows} == {"keep"}
    assert not os.path.islink(next(r.uri for r in plan.rows if not r.keeper))


def test_a_link_is_neither_kept_nor_moved_if_there_is_a_file(tmp_path: Path) -> None:
    data = coded(scene(8))
    files = put(tmp_path / "p", photograph_jpg=data) | put(tmp_path / "outside", real_jpg=data)
    (tmp_path / "p" / "a.jpg").symlink_to(files["real_jpg"])  # a shorter name, of a file that the store does not know
    plan = plan_of(write_store(tmp_path / "store", [tmp_path / "p" / "a.jpg", files["photograph_jpg"]]))
    assert summary(plan) == {"photograph.jpg": ("", "keep", ""), "a.jpg": ("copy", "keep", "photograph.jpg")}
    assert next(r.reason for r in plan.rows if r.uri.endswith("a.jpg")) == "stays: it is a link"


def test_missing_and_changed_files_are_left_out(tmp_path: Path) -> None:
    data = coded(scene(9))
    files = put(tmp_path / "p", a_jpg=data, b_jpg=data, c_jpg=data, d_jpg=data)
    store = write_store(tmp_path / "store", list(files.values()))
    files["a_jpg"].unlink()
    files["b_jpg"].write_bytes(coded(scene(10)))
    os.utime(files["c_jpg"], (1, 1))  # touched: the bytes are the same
    with find_duplicates(store, DedupConfig(), bars=silent) as found:
        plan = make_plan(found)
        assert list(found.locations.changed) == [str(files["b_jpg"])] and "changed" in found.locations.changed[str(files["b_jpg"])]
        assert found.photos.missing == 1
    assert set(summary(plan)) == {"c.jpg", "d.jpg"}


def test_odd_names_and_damaged_photos(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    names = [b"line\nbreak.jpg", "smile \N{GRINNING FACE}.jpg".encode(), b"caf\xe9 %41.jpg", b"-rf *.jpg", b'"quoted", comma.jpg']
    for name in names:
        with open(os.path.join(folder, name), "wb") as f:
            f.write(coded(scene(11)))
    plan = plan_of(write_store(tmp_path / "store", [os.fsdecode(os.path.join(folder, n)) for n in names]))
    assert len(plan.moved) == 4 and any(r.uri.startswith("file:///") and "caf%E9%20%2541" in r.uri for r in plan.rows)


def test_an_interrupted_run_continues_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = put(tmp_path / "p", **{f"n{i}_jpg": coded(scene(i % 5), quality=60 + i) for i in range(12)})
    whole = write_store(tmp_path / "whole", list(photos.values()), shard_size=3)
    cut_off = write_store(tmp_path / "cut", list(photos.values()), shard_size=3)
    plan = plan_of(whole)
    opened = 0
    real = fingerprints_module.fingerprint_photo

    def failing(pixels: object) -> object:
        nonlocal opened
        opened += 1
        if opened == 8:
            raise KeyboardInterrupt
        return real(pixels)  # type: ignore[arg-type]

    monkeypatch.setattr(fingerprints_module, "fingerprint_photo", failing)
    with pytest.raises(KeyboardInterrupt):
        plan_of(cut_off)
    opened = 100
    assert plan_of(cut_off).rows == plan.rows and opened <= 100 + 12 - 3, "shards that were done are not made again"
    for shard in whole.shards("dedup/looks"):
        assert whole.read("dedup/looks", shard).equals(cut_off.read("dedup/looks", shard))
    opened = 0
    assert plan_of(cut_off).rows == plan.rows and opened == 0


def test_a_photo_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    files = put(tmp_path / "p", a_jpg=coded(scene(1)), b_jpg=coded(scene(1), quality=50))
    store = write_store(tmp_path / "store", list(files.values()))
    away = files["b_jpg"].read_bytes()
    files["b_jpg"].write_bytes(b"not a photo")
    with find_duplicates(store, DedupConfig(), bars=silent) as found:
        assert "changed" in found.not_opened[str(files["b_jpg"])] and make_plan(found).rows == []
    files["b_jpg"].write_bytes(away)
    assert len(plan_of(store).moved) == 1


def test_fingerprints_of_other_settings_are_made_again(tmp_path: Path) -> None:
    files = put(tmp_path / "p", a_jpg=coded(scene(1)), b_jpg=coded(scene(1), quality=50))
    store = write_store(tmp_path / "store", list(files.values()))
    plan = plan_of(store)
    store.write("dedup/looks", "00000", LOOKS.empty_table(), {"table": "dedup/looks", "version": 0})
    assert plan_of(store).rows == plan.rows != []


def test_an_empty_store_has_no_duplicates(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    assert plan_of(store).rows == []


def test_photos_that_match_a_member_but_not_the_keeper_are_not_in_its_group(tmp_path: Path) -> None:
    """A chain of crops: each matches the next, the ends do not match."""
    image = scene(12, 600, 450)
    files = put(
        tmp_path / "p",
        a_jpg=coded(image), b_jpg=coded(cut(image, 0, 0, 0.9, 0.9)), c_jpg=coded(cut(image, 0, 0, 0.81, 0.81)),
        d_jpg=coded(cut(image, 0, 0, 0.73, 0.73)), e_jpg=coded(cut(image, 0, 0, 0.66, 0.66)), f_jpg=coded(cut(image, 0, 0, 0.6, 0.6)),
    )  # fmt: skip
    plan = plan_of(write_store(tmp_path / "store", list(files.values())))
    with find_duplicates(write_store(tmp_path / "again", list(files.values())), DedupConfig(), bars=silent) as found:
        for group in found.copies:
            assert all(m.relation is not None and m.relation.extra_a < 0.5 for m in group.members)
    assert summary(plan).get("f.jpg", ("", "", ""))[2] != "a.jpg"


def test_shut_eyes_are_not_taken_for_a_caption(tmp_path: Path) -> None:
    """On a thumbnail both are sharp changes along one side; only a caption may be ignored."""

    def portrait(*, shut: bool) -> Image.Image:
        image = scene(15, 800, 600).filter(ImageFilter.GaussianBlur(3))
        draw = ImageDraw.Draw(image)
        draw.ellipse((280, 10, 520, 330), fill="peachpuff")
        for x in (345, 455):
            if shut:
                draw.line((x - 26, 125, x + 26, 125), fill="sienna", width=5)
            else:
                draw.ellipse((x - 26, 112, x + 26, 138), fill="white", outline="black", width=4)
                draw.ellipse((x - 12, 113, x + 12, 137), fill="black")
        return image

    image = portrait(shut=False)
    turned = portrait(shut=True).transpose(Image.Transpose.ROTATE_90)
    files = put(tmp_path / "p", a_jpg=coded(image), b_jpg=coded(portrait(shut=True)), c_jpg=coded(captioned(image)), d_jpg=coded(turned))
    store = write_store(tmp_path / "store", list(files.values()))
    assert len(plan_of(store).moved) == 3, "without faces the blink is not noticed"
    ids = {os.path.basename(r["uri"]): r["photo_id"] for r in store.read("photos", "00000", ["uri", "photo_id"]).to_pylist()}
    boxes = np.float32([[280, 10, 240, 320], [280, 10, 240, 320], [280, 10, 240, 320], [10, 280, 320, 240]])
    faces_of(store, [(ids[f"{n}.jpg"], eyes(shut=False), 0.9) for n in "abcd"], boxes)
    kept = {name: keeper for name, (_, _, keeper) in summary(plan_of(store)).items()}
    assert kept["c.jpg"] == "a.jpg" and {kept["a.jpg"], kept["b.jpg"], kept["d.jpg"]} <= {"", "b.jpg", "d.jpg"}


def test_a_face_that_differs_is_found_though_the_thumbnails_match(tmp_path: Path) -> None:
    image = scene(13, 1600, 1200)
    draw = ImageDraw.Draw(image)
    for x, y, r, colour in ((800, 600, 33, "peachpuff"), (787, 592, 4, "brown"), (813, 592, 4, "brown"), (800, 618, 4, "brown")):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    blinks = image.copy()
    for x in (787, 813):
        ImageDraw.Draw(blinks).rectangle((x - 5, 587, x + 5, 597), fill="peachpuff")
        ImageDraw.Draw(blinks).line((x - 5, 593, x + 5, 593), fill="brown", width=2)
    files = put(
        tmp_path / "p",
        a_jpg=coded(image, quality=95), b_jpg=coded(blinks, quality=94), c_jpg=coded(scaled(image, 0.6), quality=60),
        d_jpg=coded(cut(image, 0.05, 0.05, 0.95, 0.95)), e_jpg=coded(image.transpose(Image.Transpose.ROTATE_90)),
        f_jpg=coded(cut(blinks, 0.05, 0, 1, 1).transpose(Image.Transpose.ROTATE_270)),
    )  # fmt: skip
    store = write_store(tmp_path / "store", list(files.values()))
    assert len(plan_of(store).moved) == 5, "without faces the blink is not noticed"
    ids = {os.path.basename(r["uri"]): r["photo_id"] for r in store.read("photos", "00000", ["uri", "photo_id"]).to_pylist()}
    box = np.float32([[765, 565, 70, 70]])
    faces_of(store, [(ids["a.jpg"], eyes(shut=False), 0.9)], box)
    kept = {name: keeper for name, (_, _, keeper) in summary(plan_of(store)).items()}
    assert kept == {"a.jpg": "", "c.jpg": "a.jpg", "d.jpg": "a.jpg", "e.jpg": "a.jpg", "b.jpg": "", "f.jpg": "b.jpg"}
