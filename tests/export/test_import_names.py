"""Names of other programs: people tags of Microsoft and IPTC (written by exiftool), Picasa's and Google Takeout's files, encodings."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import need
from export_store import BOXES, SIZE, exiftool, face_id, make_photo, make_store, run, write_faces
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecluster.cli import main
from facecluster.decisions import read
from facecluster.export import face_regions, iptc_people, xmp_packet
from facecluster.export.photo_packets import packets_in
from facecluster.export.picasa import read_ini
from facecluster.people.told_faces import told_faces
from facecluster.photos.companions import Companions
from facecluster.photos.sidecar import encoding_of
from facecluster.photos.takeout import photos_of
from facecluster.store import Store

CASES = Path(__file__).parents[3] / "shared" / "cases"
NAMES = ("Rosa Rot", "Bodo Blau")


def stored(box: tuple[float, float, float, float], orientation: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of a box as shares of the stored picture."""
    x, y, w, h = face_regions.to_stored(face_regions.to_area(box, *SIZE), orientation)
    return x - w / 2, y - h / 2, w, h


@pytest.fixture
def eight(tmp_path: Path) -> tuple[Store, list[tuple[Path, int]]]:
    """A store of eight photos, one of each orientation."""
    photos = []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.jpg"
        photos.append((make_photo(path, orientation, (200, 200, 100 + orientation)), str(path), orientation))
    return make_store(tmp_path / "store", photos), [(Path(uri), o) for _, uri, o in photos]


def one_photo(tmp_path: Path, faces: int = 2, name: str = "a.jpg") -> tuple[Store, Path, str]:
    """A store of one photo with one or two faces."""
    photo = tmp_path / "photos" / name
    photo_id = make_photo(photo, 1)
    store = make_store(tmp_path / "store", [(photo_id, str(photo), 1)])
    set_faces(store, photo_id, faces)
    return store, photo, photo_id


def set_faces(store: Store, photo_id: str, faces: int) -> None:
    store.remove("faces")
    store.remove("identities/bundled")
    write_faces(store, [photo_id], tuple(range(faces)))


def right(rows: list[dict[str, Any]]) -> None:
    """Every name is on its face."""
    for row in rows:
        number = NAMES.index(row["name"])
        assert row["face_id"].endswith(f"-000{number}"), row
        assert np.allclose(row["box"], BOXES[number], atol=0.6) and row["overlap"] > 0.97, row


def told(store: Store) -> set[str]:
    """The faces of which decisions say one by one whose they are."""
    decisions = read(store).decisions
    return told_faces(decisions, decisions, {}, {}, {face for d in decisions for face in d.faces})


def test_microsofts_people_tags_in_all_orientations(eight: tuple[Store, list[tuple[Path, int]]]) -> None:
    """Half the photos have them inside, half in a sidecar; exiftool writes both."""
    store, photos = eight
    for path, orientation in photos:
        regions = [
            f"{{PersonDisplayName={name},Rectangle={'|, '.join(f'{v:.6f}' for v in stored(box, orientation))}}}"
            for name, box in zip(NAMES, BOXES, strict=True)
        ]
        target = path if orientation % 2 else path.with_name(path.name + ".xmp")
        exiftool("-overwrite_original" if orientation % 2 else "-q", f"-XMP-MP:RegionInfoMP={{Regions=[{','.join(regions)}]}}", target)
    found = run("import-names", store.url, photos[0][0].parent)
    assert found["files"] == 8 and len(found["names"]) == 16 and found["passed_over"] == {"photos without XMP": 4}
    right(found["names"])
    assert [len(d.faces) for d in read(store).decisions] == [8, 8] and told(store) == {row["face_id"] for row in found["names"]}


def test_iptcs_image_regions_in_all_orientations(eight: tuple[Store, list[tuple[Path, int]]]) -> None:
    store, photos = eight
    for path, orientation in photos:
        keys = ("RbX", "RbY", "RbW", "RbH")
        width, height = SIZE if orientation < 5 else SIZE[::-1]
        regions = []
        for name, box in zip(NAMES, BOXES, strict=True):
            unit = (width, height) * 2 if orientation % 2 else (1, 1, 1, 1)
            values = [v * s for v, s in zip(stored(box, orientation), unit, strict=True)]
            places = ",".join(f"{k}={v:.6f}" for k, v in zip(keys, values, strict=True))
            who = f"PersonInImage=[{name}]" if orientation % 3 else f"Name={name},RCtype=[{{Name=human}}]"
            regions.append(f"{{{who},RegionBoundary={{RbShape=rectangle,RbUnit={'pixel' if orientation % 2 else 'relative'},{places}}}}}")
        regions.append("{Name=Rex,RCtype=[{Name=animal}],RegionBoundary={RbShape=rectangle,RbUnit=relative,RbX=.1,RbY=.1,RbW=.1,RbH=.1}}")
        exiftool("-overwrite_original", f"-XMP-iptcExt:ImageRegion=[{','.join(regions)}]", path)
    found = run("import-names", store.url, photos[0][0].parent)
    assert len(found["names"]) == 16 and found["hints"] == []
    right(found["names"])


def test_a_name_of_mwg_counts_before_that_of_microsoft(tmp_path: Path) -> None:
    store, photo, photo_id = one_photo(tmp_path)
    rects = ["|, ".join(f"{v:.6f}" for v in stored(box, 1)) for box in BOXES]
    mp = ",".join(f"{{PersonDisplayName={name},Rectangle={rect}}}" for name, rect in zip(("Old", "Bodo Blau"), rects, strict=True))
    areas = [face_regions.to_area(box, *SIZE) for box in BOXES]
    mwg = ",".join(
        f"{{Area={{X={a[0]},Y={a[1]},W={a[2]},H={a[3]},Unit=normalized}},Type=Face{name}}}"
        for a, name in zip(areas, (",Name=Rosa Rot", ""), strict=True)
    )
    exiftool(f"-XMP-MP:RegionInfoMP={{Regions=[{mp}]}}", f"-XMP-mwg-rs:RegionInfo={{RegionList=[{mwg}]}}", photo.with_name("a.jpg.xmp"))
    found = run("import-names", store.url, photo.parent)
    assert {n["name"]: n["face_id"] for n in found["names"]} == {n: face_id(photo_id, i) for i, n in enumerate(NAMES)}
    assert found["passed_over"] == {"photos without XMP": 1}


def test_persons_shown_are_used_where_only_one_face_can_be_meant(tmp_path: Path) -> None:
    store, photo, photo_id = one_photo(tmp_path, faces=1)
    exiftool("-overwrite_original", "-XMP-iptcExt:PersonInImage=Rosa Rot", photo)
    [row] = run("import-names", store.url, photo.parent)["names"]
    assert (row["name"], row["face_id"], row["overlap"]) == ("Rosa Rot", face_id(photo_id, 0), 0)
    assert told(store) == set()  # the name is said of the photo
    exiftool("-overwrite_original", "-XMP-iptcExt:PersonInImage+=Bodo Blau", photo)
    found = run("import-names", store.url, photo.parent)
    assert found["names"] == [] and {h["name"] for h in found["hints"]} == set(NAMES)
    assert found["passed_over"] == {"names without a place, more than the photo has faces": 2}


def test_one_name_in_two_cases_is_one_person_shown(tmp_path: Path) -> None:
    """In the photo and its sidecar; and where the face has the name already, it is no other one."""
    store, photo, photo_id = one_photo(tmp_path, faces=1)
    exiftool("-overwrite_original", "-XMP-iptcExt:PersonInImage=Rosa Rot", photo)
    exiftool("-XMP-iptcExt:PersonInImage=rosa rot", photo.with_name("a.jpg.xmp"))
    found = run("import-names", store.url, photo.parent)
    assert found["hints"] == [] and [row["face_id"] for row in found["names"]] == [face_id(photo_id, 0)]
    assert found["names"][0]["person"] is not None
    again = run("import-names", store.url, photo.with_name("a.jpg.xmp"))
    assert again["hints"] == [] and [row["face_id"] for row in again["names"]] == [face_id(photo_id, 0)]
    assert again["decisions"] == 0


TAKEOUT = [  # photo, its JSON, the title in it (from reports on github.com, see facecluster/photos/takeout.py)
    ("photo.jpg", "photo.jpg.json", "photo.jpg"),
    ("photo.jpg", "photo.jpg.supplemental-metadata.json", "photo.jpg"),
    ("photo(1).jpg", "photo.jpg(1).json", "photo.jpg"),
    ("photo(1).jpg", "photo.jpg.supplemental-metadata(1).json", "photo.jpg"),
    ("photo-edited.jpg", "photo.jpg.json", "photo.jpg"),
    ("Screenshot_2017-07-05-10-05-26.png", "Screenshot_2017-07-05-10-05-26.png.supplementa.json", "Screenshot_2017-07-05-10-05-26.png"),
    ("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json", "D7157814.jpeg"),
    ("Urlaub in Knaufspesch in der Schneifel (38).JPG", "Urlaub in Knaufspesch in der Schneifel (38).JP.json", "x.JPG"),
    ("Screenshot_20220207_102421_com.snapchat.android.jpg", "Screenshot_20220207_102421_com.snapchat.androi.json", "y.jpg"),
    ("IMG_1.jpg", "IMG_1.json", "IMG_1.jpg"),
]


@pytest.mark.parametrize(("photo", "json_name", "title"), TAKEOUT)
def test_google_takeouts_file_of_a_photo(photo: str, json_name: str, title: str) -> None:
    others = {"other.jpg", "photo(2).jpg", "Urlaub in Knaufspesch in der Schneifel (39).JPG", "Screenshot_2017-07-05-10-05-27.png"}
    for there, found, says in ({photo, *others}, [photo], title), (others, [], "nothing.jpg"):
        assert photos_of(json_name, says, Companions({json_name, *there}).owners(json_name), there) == found


def test_google_takeouts_people(tmp_path: Path) -> None:
    store, photo, photo_id = one_photo(tmp_path, faces=1)
    about = photo.with_name("a.jpg.supplemental-metadata.json")
    about.write_text(json.dumps({"title": "a.jpg", "people": [{"name": "Zo\u00eb"}], "url": "https://photos.google.com/x"}))
    photo.with_name("metadata.json").write_text(json.dumps({"title": "album"}))
    [row] = run("import-names", store.url, photo.parent)["names"]
    assert (row["name"], row["face_id"]) == ("Zo\u00eb", face_id(photo_id, 0))
    set_faces(store, photo_id, 2)
    found = run("import-names", store.url, photo.parent)
    assert found["names"] == [] and [h["name"] for h in found["hints"]] == ["Zo\u00eb"]
    result = CliRunner().invoke(main, ["import-names", store.url, str(photo.parent)])
    [line] = [ln for ln in result.stderr.splitlines() if ln.startswith("passed over")]
    assert "names without a place, in photos with several faces: 1" in line and "JSON files that are not Google Takeout's: 1" in line
    assert "photos without XMP: 1" in line


ODD = ["", "[", "[" * 100_000, "{}", '{"title": 3}', '{"title": "a.jpg", "people": 4}', '{"title": "a.jpg", "people": [{"name": 1}, 3]}']


@pytest.mark.parametrize("text", ODD)
def test_odd_json_is_passed_over(tmp_path: Path, text: str) -> None:
    store, photo, _ = one_photo(tmp_path)
    photo.with_name("a.jpg.json").write_text(text)
    found = run("import-names", store.url, photo.parent)
    assert found["names"] == [] and found["skipped"] == []


def rect64(box: tuple[float, float, float, float]) -> str:
    x, y, w, h = box
    return f"{sum(round(v * 65535) << s for v, s in zip((x, y, x + w, y + h), (48, 32, 16, 0), strict=True)):x}"


def test_picasas_faces_in_all_orientations(eight: tuple[Store, list[tuple[Path, int]]], tmp_path: Path) -> None:
    """One name stands in the folder's file, the other in contacts.xml."""
    store, photos = eight
    lines = ["[Picasa]", "name=A", "[Contacts2]", "08e62398ebda8c1a5=Rosa Rot;;", "[Contacts]", "d10a8325c557b085=joe_lh,cb989580bc43"]
    for path, orientation in photos:
        red, blue = (rect64(stored(box, orientation)) for box in BOXES)
        faces = f"rect64({red}),8e62398ebda8c1a5;rect64({blue}),d10a8325c557b085;rect64(1),ffffffffffffffff"
        lines += [f"[{path.name.upper()}]", "star=yes", f"faces={faces}"]
    (photos[0][0].parent / ".picasa.ini").write_bytes("\r\n".join(lines).encode())
    contacts = tmp_path / "contacts.xml"
    contacts.write_text('<?xml version="1.0"?><contacts><contact id="d10a8325c557b085" name="Bodo Blau" display="B"/></contacts>')
    found = run("import-names", store.url, photos[0][0].parent)
    assert {n["name"] for n in found["names"]} == {"Rosa Rot"} and len(found["names"]) == 8
    assert found["passed_over"]["faces of Picasa whose name is in no [Contacts2] and no contacts.xml"] == 8
    found = run("import-names", store.url, photos[0][0].parent, contacts)
    assert len(found["names"]) == 16
    right(found["names"])


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_an_ini(data: bytes) -> None:
    read_ini(data)
    read_ini(b"[a.jpg]\nfaces=rect64(" + data)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


BEFORE = ["", "\ufeff", "\n", '<?xml version="1.0" encoding="UTF-16"?>\n', '<?xml version="1.0" encoding="utf-8"?>']


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("before", BEFORE)
def test_sidecars_in_any_encoding_are_read_and_merged(tmp_path: Path, encoding: str, before: str) -> None:
    """What is written is UTF-8 that exiftool reads, with the name that was there."""
    store, photo, _ = one_photo(tmp_path)
    text = xmp_packet.serialise(xmp_packet.parse(None)).decode().replace("id=", "encoding='UTF-16' id=")
    region = FOREIGN.format(*face_regions.to_area(BOXES[0], *SIZE))
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes((before + text.replace('<rdf:Description rdf:about=""/>', region)).encode(encoding) + b"\0" * 8)
    [row] = run("import-names", store.url, sidecar)["names"]
    assert row["name"] == "\u017dofie"
    assert run("export", store.url, "--format", "xmp", "--beside", "--ids")["counts"]["merged"] == 1
    after = sidecar.read_bytes()
    assert encoding_of(after) == "utf-8" and b"UTF-16" not in after
    names = json.loads(exiftool("-j", "-struct", "-XMP-mwg-rs:all", sidecar))[0]["RegionInfo"]["RegionList"]
    assert [n["Name"] for n in names] == ["\u017dofie", "person 0002"]


FOREIGN = """<rdf:Description rdf:about="" xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:A="http://ns.adobe.com/xmp/sType/Area#"><R:Regions rdf:parseType="Resource"><R:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource">
 <R:Name>\u017dofie</R:Name><R:Type>Face</R:Type><R:Area A:x="{}" A:y="{}" A:w="{}" A:h="{}" A:unit="normalized"/></rdf:li></rdf:Bag>
 </R:RegionList></R:Regions></rdf:Description>"""


def test_the_case_of_the_issue() -> None:
    path = CASES / "xmp" / "utf-16.jpg.xmp"
    need(path.exists(), str(path))
    assert [r.name for r in face_regions.read_regions(xmp_packet.parse(path.read_bytes()))] == ["\u017dofie"]


HOSTILE = ["<a>" * 300, "<a/>" * 1_100_000, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"]


@pytest.mark.parametrize("text", HOSTILE, ids=["deep", "long", "entities"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_huge_and_hostile_sidecars_are_refused(tmp_path: Path, text: str, encoding: str) -> None:
    store, photo, _ = one_photo(tmp_path)
    photo.with_name("a.jpg.xmp").write_bytes(text.encode(encoding))
    [row] = run("import-names", store.url, photo.parent)["skipped"]
    assert row["why"].startswith("expected XMP, found ")


def test_microsofts_regions_stay_when_ours_are_merged(tmp_path: Path) -> None:
    store, photo, _ = one_photo(tmp_path)
    sidecar = photo.with_name("a.jpg.xmp")
    exiftool("-XMP-MP:RegionInfoMP={Regions=[{PersonDisplayName=Ann,Rectangle=0.1|, 0.1|, 0.2|, 0.2}]}", sidecar)
    before = exiftool("-XMP-MP:all", sidecar)
    assert run("export", store.url, "--format", "xmp", "--beside")["counts"]["merged"] == 1
    assert "Ann" in before and exiftool("-XMP-MP:all", sidecar) == before


FORMATS = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "webp": "WEBP", "avif": "AVIF", "gif": "GIF", "jp2": "JPEG2000"}


@pytest.mark.parametrize("ending", FORMATS)
def test_packets_in_photos_of_any_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", SIZE).save(path, FORMATS[ending])
    assert packets_in(path) == []
    exiftool("-overwrite_original", "-XMP-iptcExt:PersonInImage=Ann", path)
    [packet] = packets_in(path)
    assert [t.name for t in iptc_people.read_tags(xmp_packet.parse(packet), None)] == ["Ann"]


def test_a_large_packet_of_a_jpeg_in_two_parts(tmp_path: Path) -> None:
    """As Adobe's programs write it; exiftool reads the same name. Nothing is written into such a photo."""
    exiftool("-XMP-iptcExt:PersonInImage=Ann", f"-XMP-dc:source={'x' * 90_000}", tmp_path / "more.xmp")
    more = (tmp_path / "more.xmp").read_bytes()
    digest = hashlib.md5(more).hexdigest().upper().encode()
    main_part = xmp_packet.serialise(xmp_packet.parse(None)).replace(
        b"<rdf:Description", b'<rdf:Description xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + digest + b'"'
    )
    path = tmp_path / "a.jpg"
    Image.new("RGB", SIZE).save(path, "JPEG", xmp=main_part)
    parts = [
        b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(more), at) + more[at : at + 60_000] for at in (60_000, 0)
    ]  # in any order
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts)
    data = path.read_bytes()
    at = data.index(b"\xff\xdb")
    path.write_bytes(data[:at] + segments + data[at:])
    assert json.loads(exiftool("-j", "-XMP-iptcExt:all", path))[0]["PersonInImage"] == "Ann"
    assert packets_in(path) == [main_part, more]
    store = make_store(tmp_path / "store", [(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), 1)])
    assert [h["name"] for h in run("import-names", store.url, path)["hints"]] == ["Ann"]
    [row] = run("export", store.url, "--format", "xmp", "--embed")["sidecars"]
    assert "found two" in row["why"]


def test_a_photo_with_the_xmp_of_another_keeps_its_own_names(tmp_path: Path) -> None:
    """A copy that a program saved with all metadata of the photo in which this program had written names."""
    paths = [tmp_path / "photos" / f"{i}.jpg" for i in range(2)]
    ids = [make_photo(path, 1, (100 * i, 0, 0)) for i, path in enumerate(paths)]
    store = make_store(tmp_path / "store", [(i, str(p), 1) for i, p in zip(ids, paths, strict=True)])
    run("export", store.url, "--format", "xmp", "--embed", "--ids")
    exiftool("-overwrite_original", "-tagsfromfile", paths[0], "-XMP", paths[1])
    exiftool("-overwrite_original", "-RegionName=Rosa Rot,Bodo Blau", "-sep", ",", paths[1])
    found = run("import-names", store.url, paths[1])["names"]
    assert {n["name"]: n["face_id"] for n in found} == {name: face_id(ids[1], i) for i, name in enumerate(NAMES)}
    assert all(n["photo"] == str(paths[1]) for n in found)


@pytest.mark.parametrize("what", ["no file", "no region", "a pet", "not in the store"])
def test_no_name_always_says_what_was_passed_over(tmp_path: Path, what: str) -> None:
    store, photo, _ = one_photo(tmp_path)
    folder = tmp_path / "other"
    folder.mkdir()
    if what == "no region":
        exiftool("-XMP-dc:subject=beach", photo.with_name("a.jpg.xmp"))
    elif what == "a pet":
        exiftool("-XMP-mwg-rs:RegionInfo={RegionList=[{Area={X=.5,Y=.5,W=.1,H=.1},Name=Rex,Type=Pet}]}", photo.with_name("a.jpg.xmp"))
    elif what == "not in the store":
        (folder / "b.cr2").write_bytes(b"x")
    result = CliRunner().invoke(main, ["import-names", store.url, str(folder if what in ("no file", "not in the store") else photo.parent)])
    expected = {
        "no file": "nothing to read there", "no region": "files whose XMP names nobody and has no region of a face: 1",
        "a pet": "regions of the type Pet: 1", "not in the store": "files that are no photo of the store (.cr2): 1",
    }  # fmt: skip
    assert expected[what] in result.stderr and "0 names in" in result.stderr, result.stderr
