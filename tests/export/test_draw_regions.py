"""Named regions of other programs in which no face was found: drawn, named, undone, forgotten, imported again; and what can't be drawn."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from export_store import BOXES, SIZE, face_id, make_photo, make_store, run, write_faces
from missed_face import Missed, missed_face
from people_store import call
from PIL import Image

from facecluster.check import check
from facecluster.cli import main
from facecluster.decisions import active, read
from facecluster.export import face_regions
from facecluster.export.draw_regions import AS_LARGE, GONE, MAX_A_PHOTO, OUTSIDE, TAKEN, TOO_MANY, TOO_SMALL, UNDONE
from facecluster.geometry import iou
from facecluster.people import read_current_people
from facecluster.photos.drawn import drawn_faces
from facecluster.photos.places import current_photos
from facecluster.store import FACES, IDENTITIES, Store, in_schema

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:A="http://ns.adobe.com/xmp/sType/Area#"
 xmlns:D="http://ns.adobe.com/xap/1.0/sType/Dimensions#"><R:Regions rdf:parseType="Resource">
 <R:AppliedToDimensions D:w="{}" D:h="{}" D:unit="pixel"/><R:RegionList><rdf:Bag>{}</rdf:Bag></R:RegionList></R:Regions>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""
REGION = """<rdf:li rdf:parseType="Resource"><R:Name>{}</R:Name><R:Type>{}</R:Type>
 <R:Area A:x="{:.6f}" A:y="{:.6f}" A:w="{:.6f}" A:h="{:.6f}" A:unit="normalized"/></rdf:li>"""

Named = tuple[str, str, tuple[float, ...]]  # name, type, box in px of the upright photo


def write_sidecar(photo: Path, size: tuple[int, int], regions: list[Named], orientation: int = 1) -> Path:
    """A sidecar with regions, as digiKam writes them: in the picture as it is stored."""
    areas = [face_regions.to_stored(face_regions.to_area(tuple(box), *size), orientation) for _, _, box in regions]
    listed = "".join(REGION.format(name, kind, *area) for (name, kind, _), area in zip(regions, areas, strict=True))
    path = photo.with_name(photo.name + ".xmp")
    path.write_text(XMP.format(*(size[::-1] if orientation >= 5 else size), listed), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Missed:
    return missed_face(tmp_path_factory.mktemp("missed"))


@pytest.fixture
def missed(made: Missed, tmp_path: Path) -> Missed:
    """A copy of the store; the photos stay where they are, and have no sidecars."""
    shutil.copytree(made.store.url, tmp_path / "store")
    return replace(made, store=Store(str(tmp_path / "store")))


def sidecar_of(missed: Missed, folder: Path, *more: Named, name: str = "Ann Älter") -> Path:
    """A folder with a sidecar of the photo: a loose region around the missed face, and others. It knows the photo by its id."""
    x, y, w, h = missed.box
    loose = (x - 0.1 * w, y - 0.15 * h, 1.2 * w, 1.25 * h)
    row = next(r for r in current_photos(missed.store).to_pylist() if r["uri"] == missed.uri)
    folder.mkdir(exist_ok=True)
    path = write_sidecar(folder / "a.jpg", (missed.width, missed.height), [(name, "Face", loose), *more], row["orientation"] or 1)
    ours = f'<rdf:Description rdf:about="" xmlns:f="{face_regions.OURS}" f:PhotoId="{missed.photo}"/></rdf:RDF>'
    path.write_text(path.read_text(encoding="utf-8").replace("</rdf:RDF>", ours), encoding="utf-8")
    return folder


def name_of(store: Store, face: str) -> str | None:
    known, _, _ = read_current_people(store)
    group = known.faces.identity[known.faces.rows[face]]
    return known.people.names[group] if group >= 0 else None


def groups_of(store: Store) -> set[frozenset[str]]:
    """The groups of the faces that were found by the detector."""
    found: dict[int, set[str]] = {}
    for row in store.read_all("identities/bundled", IDENTITIES).to_pylist():
        if row["identity"] >= 0 and int(row["face_id"][-4:], 16) < 0x8000:
            found.setdefault(row["identity"], set()).add(row["face_id"])
    return {frozenset(faces) for faces in found.values()}


def test_a_named_region_without_a_face_becomes_one(missed: Missed, tmp_path: Path) -> None:
    store = missed.store
    where = sidecar_of(missed, tmp_path / "xmp", ("Rex", "Pet", (5, 5, 60, 60)))
    found = run("import-names", store.url, where)
    [row] = found["names"]
    assert found["drawn"] == 1 and row["drawn"] and row["not_drawn"] is None and row["face_id"][:24] == missed.photo[:24]
    face = row["face_id"]
    kept = next(r for r in in_schema(FACES, store.read_all("faces", FACES)).to_pylist() if r["face_id"] == face)
    assert kept["origin"] == "drawn" and iou(np.array([kept["box"]]), missed.box[None])[0, 0] > 0.75
    made = read(store).decisions
    assert [(d.act, d.faces, d.batch) for d in made[-2:]] == [(act, (face,), found["batch"]) for act in ("draw", "name")]
    again = run("import-names", store.url, where)
    assert (again["drawn"], again["decisions"], [n["face_id"] for n in again["names"]]) == (0, 0, [face])
    call("cluster", store.url)
    assert name_of(store, face) == name_of(store, missed.mates[0]) == "Ann Älter"
    call("run", str(missed.photos), "-o", store.url)
    again = run("import-names", store.url, where)
    assert (again["drawn"], again["decisions"], len(drawn_faces(store))) == (0, 0, 1)
    assert not [finding for finding in check(store).findings if finding.serious]
    call("undo", store.url, found["batch"])
    again = run("import-names", store.url, where)  # before the next run has taken the face out
    call("cluster", store.url)
    [left] = drawn_faces(store)["face_id"].to_pylist()
    assert left == again["names"][0]["face_id"] != face and name_of(store, left) == "Ann Älter"
    call("undo", store.url, again["batch"])
    call("cluster", store.url)
    assert not len(drawn_faces(store)) and name_of(store, missed.mates[0]) is None


def test_a_drawing_that_was_undone_alone_is_not_drawn_again(missed: Missed, tmp_path: Path) -> None:
    store, where = missed.store, sidecar_of(missed, tmp_path / "xmp")
    run("import-names", store.url, where)
    drawing = next(d for d in read(store).decisions if d.act == "draw")
    call("undo", store.url, drawing.id)
    for _ in range(2):  # before a run has taken the face out, and after
        again = run("import-names", store.url, where)
        assert again["drawn"] == 0 and again["names"][0]["not_drawn"] == UNDONE
        call("cluster", store.url)
        assert not len(drawn_faces(store))
    back = next(d for d in read(store).decisions if d.act == "undo")
    call("undo", store.url, back.id)
    assert [d.act for d in active(read(store).decisions)] == ["draw", "name"]
    call("run", str(missed.photos), "-o", store.url)
    assert len(drawn_faces(store)) == 1 and run("import-names", store.url, where)["decisions"] == 0


@pytest.mark.parametrize("edited_first", [False, True])
def test_a_drawing_that_was_undone_alone_is_not_drawn_again_in_the_edited_photo(edited_first: bool, missed: Missed, tmp_path: Path) -> None:
    """A place without a face is drawn. The photo is made smaller and darker before the drawing is taken back, or after."""
    side = 0.12 * min(missed.width, missed.height)
    empty = replace(missed, box=np.array([16, 16, side, side]))
    store, photo = missed.store, Path(missed.uri)
    before = photo.read_bytes()

    def edit() -> None:
        with Image.open(photo) as picture:
            small = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
            small.point([v * 9 // 10 for v in range(256)] * len(small.getbands())).save(photo, quality=92, exif=picture.getexif())
        call("run", str(missed.photos), "-o", store.url)

    try:
        assert run("import-names", store.url, sidecar_of(empty, tmp_path / "xmp", name="Nobody Else"))["drawn"] == 1
        call("cluster", store.url)
        drawing = next(d for d in read(store).decisions if d.act == "draw")
        if edited_first:
            edit()
            assert len(drawn_faces(store)) == 2  # the box goes along
        call("undo", store.url, drawing.id)
        call("cluster", store.url)
        if not edited_first:
            edit()
        assert not len(drawn_faces(store))
        row = next(r for r in current_photos(store).to_pylist() if r["uri"] == missed.uri)
        assert row["photo_id"] != missed.photo
        now = replace(empty, photo=row["photo_id"], box=empty.box * 0.75, width=row["width"], height=row["height"])
        moved = replace(now, box=now.box + [now.width - now.box[2] - 32, 0, 0, 0])
        for there, name in ((now, "Nobody Else"), (now, "Cleo"), (moved, "Nobody Else"), (moved, "Cleo")):
            why = None if there is moved and name == "Cleo" else UNDONE
            again = run("import-names", store.url, sidecar_of(there, tmp_path / "new", name=name))
            assert again["names"][0]["not_drawn"] == why and again["drawn"] == (why is None)
    finally:
        photo.write_bytes(before)


def test_what_would_be_drawn_and_what_not(missed: Missed, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in Path(missed.store.url).rglob("*") if p.is_file()}
    where = sidecar_of(missed, tmp_path / "xmp")
    told = CliRunner().invoke(main, ["import-names", missed.store.url, str(where), "--dry-run"])
    assert "no face found there, it would be drawn" in told.stdout and "1 face would be drawn where none was found" in told.stderr
    found = run("import-names", missed.store.url, where, "--no-draw")
    assert found["drawn"] == 0 and found["names"][0]["face_id"] is None and found["batch"] is None
    assert {p: p.read_bytes() for p in Path(missed.store.url).rglob("*") if p.is_file()} == before
    told = CliRunner().invoke(main, ["import-names", missed.store.url, str(where)])
    assert ", drawn" in told.stdout and "1 face drawn where none was found" in told.stderr and "1 name taken over" in told.stderr


def test_forgetting_and_a_store_in_use(missed: Missed, tmp_path: Path) -> None:
    store, where = missed.store, sidecar_of(missed, tmp_path / "xmp")
    with store.lock():
        told = CliRunner().invoke(main, ["import-names", store.url, str(where)])
        assert "by the next 'facecluster run'" in told.stderr and not len(drawn_faces(store)), told.stderr
        assert run("import-names", store.url, where)["drawn"] == 0, "it is drawn already"
    call("run", str(missed.photos), "-o", store.url)
    [face] = drawn_faces(store)["face_id"].to_pylist()
    assert name_of(store, face) == "Ann Älter"
    call("forget", store.url, face, "--yes")
    found = run("import-names", store.url, where)
    assert found["drawn"] == 0 and "was forgotten" in found["names"][0]["not_drawn"]
    assert not [d for d in read(store).decisions if d.act == "draw"] and not len(drawn_faces(store))


def test_a_region_in_which_nothing_can_be_recognised_changes_nobody_else(missed: Missed, tmp_path: Path) -> None:
    """Two places without a face are drawn: one has a name of its own, one that of a person. Neither brings other faces together."""
    store, before = missed.store, groups_of(missed.store)
    call("name", store.url, missed.mates[0], "Bea")
    corner = 0.12 * min(missed.width, missed.height)
    empty = [(name, "Face", (x, 4, corner, corner)) for name, x in (("Nobody Else", 4), ("Bea", missed.width - corner - 4))]
    where = sidecar_of(missed, tmp_path / "xmp", *empty)
    found = run("import-names", store.url, where)
    faces = {n["name"]: n["face_id"] for n in found["names"] if n["drawn"]}
    assert faces.keys() == {"Ann Älter", "Bea", "Nobody Else"}
    call("cluster", store.url, "--full")
    rows = {r["face_id"]: r for r in store.read_all("identities/bundled", IDENTITIES).to_pylist()}
    assert rows[faces["Bea"]]["recognisability"] < 0.5 and rows[faces["Nobody Else"]]["recognisability"] < 0.5
    assert groups_of(store) == before
    assert name_of(store, faces["Bea"]) == name_of(store, missed.mates[0]) == "Bea"


def test_the_place_in_all_orientations(tmp_path: Path) -> None:
    """The blue squares have no face in the tables; the region says where they are in the stored picture."""
    photos = tmp_path / "photos"
    made = [(make_photo(photos / f"{o}.jpg", o, (200, 200, 100 + o)), str(photos / f"{o}.jpg"), o) for o in range(1, 9)]
    store = make_store(tmp_path / "store", made)
    for table in ("faces", "identities/bundled"):
        store.remove(table)
    write_faces(store, [photo_id for photo_id, _, _ in made], (0,))
    for _, uri, orientation in made:
        named = [("Rosa Rot", "Face", BOXES[0]), ("Bodo Blau", "Face", BOXES[1])]
        write_sidecar(Path(uri), SIZE, named, orientation)
    found = run("import-names", store.url, photos)
    assert found["drawn"] == 8 and all(n["drawn"] == (n["name"] == "Bodo Blau") for n in found["names"])
    assert np.allclose(drawn_faces(store)["box"].to_pylist(), BOXES[1], atol=1.5)
    assert len([d for d in active(read(store).decisions) if d.act == "draw"]) == 8


REFUSED: list[tuple[tuple[float, ...], str]] = [
    ((100, 100, 5, 30), TOO_SMALL), ((SIZE[0] - 2, 100, 60, 60), TOO_SMALL), ((0, 0, *SIZE), AS_LARGE), ((10, 3, *SIZE), AS_LARGE),
    ((-90, 100, 80, 80), OUTSIDE), ((42, 28, 60, 80), TAKEN),
]  # fmt: skip


def test_what_cant_be_drawn_is_counted_with_the_reason(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a.jpg"
    photo_id = make_photo(photo, 1)
    store = make_store(tmp_path / "store", [(photo_id, str(photo), 1)])
    named = [("Rosa Rot", "Face", BOXES[0]), *((f"N{i}", "Face", box) for i, (box, _) in enumerate(REFUSED))]
    sidecar = write_sidecar(photo, SIZE, named)
    found = run("import-names", store.url, sidecar)
    reasons = {n["name"]: n["not_drawn"] for n in found["names"]}
    assert reasons == {"Rosa Rot": None} | {f"N{i}": why for i, (_, why) in enumerate(REFUSED)}
    assert found["drawn"] == 0 and not len(drawn_faces(store))
    photo.write_bytes(b"damaged")
    write_sidecar(photo, SIZE, [("Ann", "Face", (150, 30, 60, 60)), ("Ann", "Face", (152, 31, 60, 60)), ("Bo", "Face", (150, 33, 60, 60))])
    told = CliRunner().invoke(main, ["import-names", store.url, str(sidecar)])
    assert told.exit_code == 0 and f"{TAKEN}: 1" in told.stderr and "expected a" in told.stdout and "face drawn" not in told.stderr
    photo.unlink()
    assert [n["not_drawn"] for n in run("import-names", store.url, sidecar)["names"]] == [GONE] * 3
    assert not read(store).decisions[1:], "nothing but the name of the face that was found"


def test_a_file_with_very_many_regions(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a.jpg"
    store = make_store(tmp_path / "store", [(make_photo(photo, 1), str(photo), 1)])
    places = [(x, y) for y in range(0, 230, 9) for x in range(0, 390, 9)]
    named = [(f"N{i}", "Face", (x, y, 8.6, 8.6)) for i, (x, y) in enumerate(places)]
    found = run("import-names", store.url, write_sidecar(photo, SIZE, named), "--dry-run")
    reasons = [n["not_drawn"] for n in found["names"] if n["face_id"] is None]
    assert found["drawn"] == MAX_A_PHOTO and reasons.count(TOO_MANY) > 500 and len(reasons) == MAX_A_PHOTO + reasons.count(TOO_MANY)


def leave_out(store: Store, table: str, faces: set[str]) -> None:
    for shard in store.shards(table):
        data = store.read(table, shard)
        kept = pa.array([face not in faces for face in data["face_id"].to_pylist()])
        store.write(table, shard, data.filter(kept), store.stamp(table, shard) or {})


def test_an_edited_photo_keeps_its_drawn_face(tmp_path: Path, made: Missed) -> None:
    photos, store = tmp_path / "photos", Store(str(tmp_path / "store"))
    shutil.copytree(made.photos, photos)
    path = photos / Path(made.uri).relative_to(made.photos)
    call("run", str(photos), "-o", store.url)
    for table in ("faces", "embeddings/bundled"):
        leave_out(store, table, {made.face})
    call("cluster", store.url, "--full")
    missed = replace(made, store=store, photos=photos, uri=str(path))
    where = sidecar_of(missed, tmp_path / "xmp")
    assert run("import-names", store.url, where)["drawn"] == 1
    with Image.open(path) as image:
        image.convert("RGB").resize((made.width * 4 // 5, made.height * 4 // 5)).save(path, quality=92)
    call("embed", str(photos), "-o", store.url)
    new = {r["photo_id"] for r in current_photos(store).to_pylist() if r["uri"] == str(path)} - {made.photo}
    there = [r for r in in_schema(FACES, store.read_all("faces", FACES)).to_pylist() if r["photo_id"] in new]
    again = {r["face_id"] for r in there if iou(np.array([r["box"]]), made.box[None] * 0.8)[0, 0] > 0.5}
    for table in ("faces", "embeddings/bundled"):  # missed in the edited photo too
        leave_out(store, table, again)
    call("cluster", store.url)
    [carried] = [r for r in drawn_faces(store).to_pylist() if r["photo_id"] in new]
    assert name_of(store, carried["face_id"]) == "Ann Älter"
    shutil.copy(where / "a.jpg.xmp", path.with_name(path.name + ".xmp"))
    found = run("import-names", store.url, path.with_name(path.name + ".xmp"))
    assert (found["drawn"], [n["face_id"] for n in found["names"]]) == (0, [carried["face_id"]])
    assert found["decisions"] == 0, "named before the edit"
    assert face_id(carried["photo_id"], 0)[:24] == carried["face_id"][:24]
