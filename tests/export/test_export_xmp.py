"""XMP sidecars, with exiftool as the independent reader and writer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from export_store import BOXES, COLOURS, SIZE, exiftool, face_id, make_photo, make_store, run, write_faces
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecluster.cli import main
from facecluster.decisions import Decision, append
from facecluster.errors import InputError
from facecluster.export import face_regions, region_frames, xmp_packet
from facecluster.export.import_names import read_names
from facecluster.export.photo_library import Photo, PhotoLibrary, read_photo_library
from facecluster.export.xmp import merge_sidecar, sidecar_path
from facecluster.store import Store, embeddings_schema, table_of

SHARE = st.floats(0.01, 0.99)


def info(path: Path) -> dict[str, Any]:
    """What exiftool finds in a file, without the path of the file."""
    found: dict[str, Any] = json.loads(exiftool("-j", "-struct", "-n", "-XMP:all", path))[0]
    return {k: v for k, v in found.items() if k != "SourceFile"}


@pytest.fixture
def one(tmp_path: Path) -> tuple[Store, Path, str]:
    """A store with one photo, orientation 6."""
    photo = tmp_path / "photos" / "a.jpg"
    photo_id = make_photo(photo, 6)
    return make_store(tmp_path / "store", [(photo_id, str(photo), 6)]), photo, photo_id


def with_names(library: PhotoLibrary, **names: str) -> list[tuple[Any, str]]:
    """The faces of the first photo with names for the red and the blue face."""
    faces = sorted(library.faces(library.photos[0]), key=lambda f: f.face_id)
    return list(zip(faces, (names.get("red", ""), names.get("blue", "")), strict=True))


@given(SHARE, SHARE, SHARE, SHARE, st.integers(1, 8))
def test_orientation_and_normalisation_are_invertible(x: float, y: float, w: float, h: float, orientation: int) -> None:
    assert np.allclose(face_regions.to_upright(face_regions.to_stored((x, y, w, h), orientation), orientation), (x, y, w, h))
    assert np.allclose(face_regions.to_box(face_regions.to_area((x, y, w, h), 640, 480), 640, 480), (x, y, w, h))


def test_regions_lie_on_the_stored_pixels_in_all_orientations(tmp_path: Path) -> None:
    """The stored picture has the colour of the face in each region that exiftool reads."""
    photos = []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.jpg"
        photos.append((make_photo(path, orientation, (200, 200, 100 + orientation)), str(path), orientation))
    store = make_store(tmp_path / "store", photos)
    done = run("export", store.url, "--format", "xmp", "-o", tmp_path / "out", "--ids")
    assert done["counts"] == {"new": 8, "merged": 0, "unchanged": 0, "skipped": 0}
    for _, uri, orientation in photos:
        found = info(tmp_path / "out" / f"{orientation}.jpg.xmp")["RegionInfo"]
        with Image.open(uri) as stored:
            assert (found["AppliedToDimensions"]["W"], found["AppliedToDimensions"]["H"]) == stored.size
            assert found["AppliedToDimensions"]["Unit"] == "pixel"
            assert len(found["RegionList"]) == 2
            for region in found["RegionList"]:
                area = region["Area"]
                assert region["Type"] == "Face" and area["Unit"] == "normalized"
                x, y, w, h = (area[k] * stored.size[i % 2] for i, k in enumerate("XYWH"))
                inside = np.asarray(stored.crop((round(x - w / 2) + 3, round(y - h / 2) + 3, round(x + w / 2) - 3, round(y + h / 2) - 3)))
                colour = COLOURS[["person 0001", "person 0002"].index(region["Name"])]
                assert np.abs(inside.astype(int) - colour).max() < 40, (orientation, region)
                around = np.asarray(stored.crop((round(x - w / 2) - 8, round(y - h / 2), round(x - w / 2) - 4, round(y + h / 2))))
                assert np.abs(around.astype(int) - colour).max(axis=(0, 2)).min() > 60  # the region is not much larger than the face


def test_names_come_back_from_all_orientations(tmp_path: Path) -> None:
    """Another program names the regions (exiftool writes them in the photo itself, as Lightroom does): the right faces get the names."""
    photos = []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.jpg"
        photos.append((make_photo(path, orientation, (200, 200, 100 + orientation)), str(path), orientation))
    store = make_store(tmp_path / "store", photos)
    run("export", store.url, "--format", "xmp", "-o", tmp_path / "out", "--ids")
    for _, uri, orientation in photos:
        exiftool("-tagsfromfile", tmp_path / "out" / f"{orientation}.jpg.xmp", "-XMP-mwg-rs:all", "-overwrite_original", uri)
        exiftool("-overwrite_original", "-RegionName=Rosa Rot,Bodo Blau", "-sep", ",", uri)
    found = run("import-names", store.url, tmp_path / "photos")
    assert found["files"] == 8 and found["skipped"] == []
    assert len(found["names"]) == 16
    for row in found["names"]:
        assert row["face_id"].endswith("-0000" if row["name"] == "Rosa Rot" else "-0001"), row
        assert np.allclose(row["box"], BOXES[0 if row["name"] == "Rosa Rot" else 1], atol=0.6)
        assert row["overlap"] > 0.97


FOREIGN = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<!-- a comment of theirs -->
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Other 1.0'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
 <rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:odd='http://example.com/odd/'
  odd:Note='two&#10;lines &lt;3'>
  <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>Zo\u00eb</rdf:li></rdf:Bag></dc:subject>
 </rdf:Description>
 <rdf:Description rdf:about='' xmlns:R='http://www.metadataworkinggroup.com/schemas/regions/'
   xmlns:stDim='http://ns.adobe.com/xap/1.0/sType/Dimensions#' xmlns:stArea='http://ns.adobe.com/xmp/sType/Area#'>
  <R:Regions><rdf:Description>
   <R:AppliedToDimensions stDim:w='240' stDim:h='400' stDim:unit='pixel'/>
   <R:RegionList><rdf:Seq>
    <rdf:li><rdf:Description R:Name='Zo\u00eb' R:Type='Face'>
      <R:Area stArea:x='{x}' stArea:y='{y}' stArea:w='{w}' stArea:h='{h}'/>
     </rdf:Description></rdf:li>
    <rdf:li rdf:parseType='Resource'><R:Type>Pet</R:Type><R:Name>Rex</R:Name>
      <R:Area rdf:parseType='Resource'><stArea:x>0.5</stArea:x><stArea:y>0.9</stArea:y>
       <stArea:w>0.1</stArea:w><stArea:h>0.1</stArea:h></R:Area></rdf:li>
   </rdf:Seq></R:RegionList>
  </rdf:Description></R:Regions>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""


def foreign(box: tuple[float, float, float, float], orientation: int = 6) -> bytes:
    """A sidecar of another program with a named face at `box` (px, upright), in RDF's other forms."""
    x, y, w, h = face_regions.to_stored(face_regions.to_area(box, *SIZE), orientation)
    return FOREIGN.format(x=x, y=y, w=w, h=h).encode()


def test_merging_loses_nothing(one: tuple[Store, Path, str]) -> None:
    store, photo, photo_id = one
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(foreign((38, 28, 66, 86)))
    before = info(sidecar)
    assert run("export", store.url, "--format", "xmp", "--beside", "--ids", "--dry-run")["counts"]["merged"] == 1
    assert info(sidecar) == before and sidecar.read_bytes() == foreign((38, 28, 66, 86))
    assert run("export", store.url, "--format", "xmp", "--beside", "--ids")["counts"]["merged"] == 1
    after = info(sidecar)
    listed = after.pop("RegionInfo")["RegionList"]
    theirs = before.pop("RegionInfo")["RegionList"]
    assert listed[:2] == theirs  # Zoë's region is unchanged, and her face has no second region
    assert [r["Name"] for r in listed[2:]] == ["person 0002"]
    assert {k: v for k, v in after.items() if k in before} == before
    text = sidecar.read_text(encoding="utf-8")
    assert "a comment of theirs" in text and "two&#10;lines &lt;3" in text and "xmptk" in text and text.count("<?xpacket") == 2
    assert run("export", store.url, "--format", "xmp", "--beside", "--ids")["counts"]["unchanged"] == 1  # a second export changes nothing
    [row] = run("import-names", store.url, sidecar)["names"]
    assert (row["name"], row["face_id"]) == ("Zo\u00eb", face_id(photo_id, 0))


def test_export_to_a_folder_merges_the_sidecar_beside_the_photo_and_leaves_it(one: tuple[Store, Path, str], tmp_path: Path) -> None:
    store, photo, _ = one
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(foreign((38, 28, 66, 86)))
    run("export", store.url, "--format", "xmp", "-o", tmp_path / "out")
    assert sidecar.read_bytes() == foreign((38, 28, 66, 86))
    assert info(tmp_path / "out" / "a.jpg.xmp")["Subject"] == ["holiday", "Zo\u00eb"]


def test_our_names_are_updated_and_those_of_others_kept(one: tuple[Store, Path, str]) -> None:
    store, photo, photo_id = one
    library = read_photo_library(store, "bundled")
    first = merge_sidecar(None, library.photos[0], with_names(library, red="Anna", blue="Bob"))
    assert first is not None
    renamed = merge_sidecar(first, library.photos[0], with_names(library, red="Anne", blue="Bob"))
    assert renamed is not None
    assert {r.name for r in face_regions.read_regions(xmp_packet.parse(renamed))} == {"Anne", "Bob"}
    other = renamed.replace(b"<mwg-rs:Name>Bob<", b"<mwg-rs:Name>Robert<")  # another program renames
    assert merge_sidecar(other, library.photos[0], with_names(library, red="Anne", blue="Bobby")) is None
    photo.with_name("a.jpg.xmp").write_bytes(other)
    [row] = read_names([str(photo.parent)], replace(library, names_said=frozenset(("anna", "anne", "bob")))).names
    assert row.name == "Robert" and row.face is not None and row.face.face_id == face_id(photo_id, 1)
    none = merge_sidecar(other, library.photos[0], [])  # the faces are gone: our regions are removed, Robert stays
    assert none is not None and {r.name for r in face_regions.read_regions(xmp_packet.parse(none))} == {"Robert"}


def test_names_that_another_store_exported_are_taken_over(one: tuple[Store, Path, str]) -> None:
    """A store that was lost, or is on another computer: its sidecars bring the names back. A store learns nothing from its own."""
    store, photo, photo_id = one
    library = read_photo_library(store, "bundled")
    data = merge_sidecar(None, library.photos[0], with_names(library, red="Anna", blue="p-0d4f21aa"))
    assert data is not None
    photo.with_name("a.jpg.xmp").write_bytes(data)
    found = run("import-names", store.url, photo.parent, "--dry-run")
    assert [(row["name"], row["face_id"]) for row in found["names"]] == [("Anna", face_id(photo_id, 0))]
    assert found["passed_over"]["regions that facecluster wrote"] == 1 and not found["skipped"]  # an id is no name
    sidecar = photo.with_name("a.jpg.xmp")
    run("export", store.url, "--format", "xmp", "--beside")  # before they were taken over, and again
    run("export", store.url, "--format", "xmp", "--beside")
    assert [r.name for r in face_regions.read_regions(xmp_packet.parse(sidecar.read_bytes()))] == ["Anna", ""]
    assert [row["name"] for row in run("import-names", store.url, photo.parent, "--dry-run")["names"]] == ["Anna"]
    append(store, [Decision(act="not-named", name="Anna", faces=(face_id(photo_id, 1),))])  # a name that it refused is not one that it gave
    assert [row["name"] for row in run("import-names", store.url, photo.parent, "--dry-run")["names"]] == ["Anna"]
    append(store, [Decision(act="name", name="anna", faces=(face_id(photo_id, 0),))])  # a name that this store gave, and nobody has
    found = run("import-names", store.url, photo.parent, "--dry-run")
    assert not found["names"] and found["passed_over"]["regions that facecluster wrote"] == 1
    run("export", store.url, "--format", "xmp", "--beside")
    assert [r.name for r in face_regions.read_regions(xmp_packet.parse(sidecar.read_bytes()))] == ["", ""]


def test_a_foreign_region_without_a_name_gets_our_name_and_is_kept(one: tuple[Store, Path, str]) -> None:
    store, _, _ = one
    library = read_photo_library(store, "bundled")
    data = foreign(BOXES[0]).replace("R:Name='Zo\u00eb'".encode(), b"")
    merged = merge_sidecar(data, library.photos[0], with_names(library, red="Anna"))
    assert merged is not None
    there = face_regions.read_regions(xmp_packet.parse(merged))
    assert sorted(r.name for r in there) == ["", "Anna", "Rex"]
    gone = merge_sidecar(merged, library.photos[0], [])
    assert gone is not None
    assert sorted((r.kind, r.name) for r in face_regions.read_regions(xmp_packet.parse(gone))) == [("Face", ""), ("Pet", "Rex")]


def test_regions_of_the_upright_picture_are_recognised_by_their_dimensions(one: tuple[Store, Path, str]) -> None:
    store, _, _ = one
    library = read_photo_library(store, "bundled")
    data = foreign(BOXES[0], orientation=1).replace(b"stDim:w='240' stDim:h='400'", b"stDim:w='400' stDim:h='240'")
    merged = merge_sidecar(data, library.photos[0], with_names(library, blue="Bob"))
    assert merged is not None
    [bob] = [r for r in face_regions.read_regions(xmp_packet.parse(merged)) if r.name == "Bob"]
    assert np.allclose(face_regions.to_box(bob.area, *SIZE), BOXES[1], atol=0.01)


BAD = {
    "": "no element", "no xml": "syntax error", "<a/>": "without rdf:RDF", "<x:xmpmeta>": "prefix",
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>': "document type", "<rdf:RDF xmlns:rdf='u'": "XMP",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_damaged_sidecar_is_reported_in_one_line_and_left_unchanged(one: tuple[Store, Path, str], text: str) -> None:
    store, photo, _ = one
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_text(text)
    for arguments in (["export", store.url, "--format", "xmp", "--beside"], ["import-names", store.url, str(sidecar)]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0
        [line] = [ln for ln in result.stderr.splitlines() if ln.startswith("skipped")]
        assert "expected XMP" in line and BAD[text] in line
    assert sidecar.read_text() == text


def test_a_cropped_photo_is_not_changed(one: tuple[Store, Path, str]) -> None:
    store, _, _ = one
    library = read_photo_library(store, "bundled")
    data = foreign(BOXES[0]).replace(b"stDim:h='400'", b"stDim:h='240'")
    with pytest.raises(InputError, match="was it cropped"):
        merge_sidecar(data, library.photos[0], with_names(library, red="Anna"))


def test_the_sidecar_of_a_photo(tmp_path: Path) -> None:
    photo = tmp_path / "a [1].jpg"
    photo.touch()
    assert sidecar_path(photo).name == "a [1].jpg.xmp"
    (tmp_path / "a [1].xmp").touch()
    assert sidecar_path(photo).name == "a [1].xmp"
    (tmp_path / "a [1].cr2").touch()  # now the sidecar may belong to the raw file
    assert sidecar_path(photo).name == "a [1].jpg.xmp"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", ["oblong", "square", "no dimensions"])
def test_the_frame_is_found_by_the_faces_where_dimensions_cannot_tell(shape: str, orientation: int) -> None:
    """Regions of the stored and of the upright picture, with the faces of either side: names are never swapped."""
    width, height = (400, 400) if shape == "square" else (400, 240)
    photo = Photo("0" * 64, ["/a.heic"], "HEIF", width, height, orientation, "")
    faces = [(40.0, 90.0, 60.0, 80.0), (300.0, 60.0, 60.0, 80.0)]  # each near the other's place after a turn by 180 degrees
    for frame in (orientation, 1):
        w, h = (height, width) if frame >= 5 else (width, height)
        document = xmp_packet.parse(None)
        container = face_regions.region_container(document, w, h)
        for i, face in enumerate(faces):
            grown = (face[0] - 5, face[1] - 12, face[2] + 8, face[3] + 20)  # as another program draws it
            face_regions.append_region(container, face_regions.to_stored(face_regions.to_area(grown, width, height), frame), "", f"n{i}")
        if shape == "no dimensions":
            for node in document.getElementsByTagName("mwg-rs:AppliedToDimensions"):
                node.parentNode.removeChild(node)  # type: ignore[union-attr]
        found = region_frames.region_orientation(document, photo, faces)
        assert found is not None
        for region, face in zip(face_regions.read_regions(document), faces, strict=True):
            x, y, _, _ = face_regions.to_box(face_regions.to_upright(region.area, found), width, height)
            assert abs(x - face[0] + 5) < 0.5 and abs(y - face[1] + 12) < 0.5, (frame, region.name)


def test_people_without_a_name_give_regions_without_one(one: tuple[Store, Path, str], tmp_path: Path) -> None:
    store, _, photo_id = one
    run("export", store.url, "--format", "xmp", "-o", tmp_path / "out")
    assert all("Name" not in r for r in info(tmp_path / "out" / "a.jpg.xmp")["RegionInfo"]["RegionList"])
    store.remove("faces")
    store.remove("identities/bundled")
    write_faces(store, [photo_id], people=(0, -1))
    run("export", store.url, "--format", "xmp", "-o", tmp_path / "out", "--ids")
    names = [r.get("Name") for r in info(tmp_path / "out" / "a.jpg.xmp")["RegionInfo"]["RegionList"]]
    assert sorted(names, key=str) == [None, "person 0001"]


def test_names_of_other_programs_become_decisions(tmp_path: Path) -> None:
    """Names from sidecars take effect at once, are imported once, survive a new grouping, and can be undone."""
    vectors = np.repeat(np.eye(128, dtype=np.float16)[:2], 6, axis=0)
    photos = []
    for i in range(6):
        path = tmp_path / "photos" / f"{i}.jpg"
        photos.append((make_photo(path, 1 + i, (200, 200, 100 + i)), str(path), 1 + i))
        path.with_name(f"{i}.jpg.xmp").write_bytes(foreign((38, 28, 66, 86), 1 + i).replace(*_dimensions(1 + i)))
    store = make_store(tmp_path / "store", photos)
    ids = [face_id(p, i) for i in range(2) for p, _, _ in photos]
    store.write("embeddings/bundled", "00000", table_of(embeddings_schema(128), {"face_id": ids, "embedding": vectors}), {"table": "e"})
    assert CliRunner().invoke(main, ["cluster", store.url]).exit_code == 0
    [red, blue] = sorted(p["person"] for p in _people(store))
    plan = run("import-names", store.url, tmp_path / "photos", "--dry-run")
    assert plan["decisions"] == 1 and {n["name"] for n in plan["names"]} == {"Zo\u00eb"} and len(plan["names"]) == 6
    assert all(p["name"] is None for p in _people(store))
    done = run("import-names", store.url, tmp_path / "photos")
    assert [p["name"] for p in _people(store)].count("Zo\u00eb") == 1
    assert run("import-names", store.url, tmp_path / "photos")["decisions"] == 0
    assert CliRunner().invoke(main, ["cluster", store.url]).exit_code == 0
    assert {p["person"]: p["name"] for p in _people(store)} in ({red: "Zo\u00eb", blue: None}, {red: None, blue: "Zo\u00eb"})
    assert {p["photo_id"] for p in run("show", store.url, "zo\u00eb")["photos"]} == {p for p, _, _ in photos}
    assert CliRunner().invoke(main, ["undo", store.url, done["batch"]]).exit_code == 0
    assert all(p["name"] is None for p in _people(store))


def _dimensions(orientation: int) -> tuple[bytes, bytes]:
    """A replacement so that the other program's sidecar states the stored size of a photo of this orientation."""
    old = b"stDim:w='240' stDim:h='400'"
    return old, old if orientation >= 5 else b"stDim:w='400' stDim:h='240'"


def _people(store: Store) -> list[dict[str, Any]]:
    return [{"person": p.key, "name": p.name} for p in read_photo_library(store).recognition.people]


def test_an_ignored_person_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "photos" / "a.jpg"
    store = make_store(tmp_path / "store", [(make_photo(path, 1), str(path), 1)])
    library = read_photo_library(store)
    library.recognition.people[0] = replace(library.recognition.people[0], ignored=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facecluster.export.photo_library.read_recognition", lambda *_: library.recognition)
        [(_, faces)] = list(read_photo_library(store))
        [(_, all_faces)] = list(read_photo_library(store, include_ignored=True))
    assert [f.person is None for f in faces] == [True, False] and all(f.person for f in all_faces)


@pytest.mark.parametrize("given, taken, spelt", [(3, False, b"Zo"), (4, True, b"Zo"), (4, True, b"ZO")])
def test_a_few_names_in_files_rename_nobody_whom_the_user_named(tmp_path: Path, given: int, taken: bool, spelt: bytes) -> None:
    """Old tags of digiKam in three of six photos of somebody who got another name in `review`; in most of them the files know better."""
    vectors = np.repeat(np.eye(128, dtype=np.float16)[:2], 6, axis=0)
    photos = []
    for i in range(6):
        path = tmp_path / "photos" / f"{i}.jpg"
        photos.append((make_photo(path, 1 + i, (200, 200, 100 + i)), str(path), 1 + i))
        if i < given:
            text = foreign((38, 28, 66, 86), 1 + i).replace(*_dimensions(1 + i))
            path.with_name(f"{i}.jpg.xmp").write_bytes(text.replace(b"Zo", spelt) if i == 1 else text)
    store = make_store(tmp_path / "store", photos)
    ids = [face_id(p, i) for i in range(2) for p, _, _ in photos]
    store.write("embeddings/bundled", "00000", table_of(embeddings_schema(128), {"face_id": ids, "embedding": vectors}), {"table": "e"})
    for arguments in (["cluster", store.url], ["name", store.url, ids[0], "Mia"]):
        assert CliRunner().invoke(main, arguments).exit_code == 0
    said = CliRunner().invoke(main, ["import-names", store.url, str(tmp_path / "photos"), "--dry-run"])
    assert ("not taken over: Zo\u00eb: " in said.stdout and "is of Mia (" in said.stdout) is not taken
    found = run("import-names", store.url, tmp_path / "photos")
    assert len(found["names"]) == given * taken and len(found["hints"]) == given * (not taken)
    assert {str(p["name"]).casefold() for p in _people(store)} == {"zo\u00eb" if taken else "mia", "none"}
    assert CliRunner().invoke(main, ["cluster", store.url]).exit_code == 0
    assert ("zo\u00eb" in {str(p["name"]).casefold() for p in _people(store)}) is taken  # two of six stay Mia's, as the user said
