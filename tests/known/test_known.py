"""Known people: contacts are read from text as the formats state it, and pictures drawn by the demo give groups their names."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import zipfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from people_store import call, refused, ungrouped_store
from PIL import Image

from facecluster.decisions import Decision, read
from facecluster.decisions.journal import Journal
from facecluster.demo import make_collection
from facecluster.errors import InputError
from facecluster.faces.embed import EmbedConfig
from facecluster.known import SURE
from facecluster.known.sources import Picture, find_pictures, name_of_file
from facecluster.known.take_in import take_in
from facecluster.known.vcard import contacts
from facecluster.people import people_with_current_names, read_current_people
from facecluster.people.known_names import Known, pictures_left_out, read_known, write_known
from facecluster.store import Store

PHOTO = b"\xff\xd8\xff" + bytes(range(90))
CODED = base64.b64encode(PHOTO).decode()
CARDS = f"""BEGIN:VCARD\r
VERSION:2.1\r
FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Zo=C3=AB =\r
Lang\r
PHOTO;ENCODING=BASE64;JPEG:{CODED[:40]}\r
 {CODED[40:80]}\r
 {CODED[80:]}\r
\r
END:VCARD\r
BEGIN:VCARD
VERSION:3.0
N:Lovelace\\;x;Ada;;;
item1.PHOTO;ENCODING=b;TYPE=JPEG:{CODED}
PHOTO;VALUE=URI:https://example.org/a.jpg
END:VCARD
BEGIN:VCARD
VERSION:4.0
FN:Grace\\, Hopper
PHOTO:data:image/jpeg;base64,{CODED}
PHOTO;ENCODING=b:@@@
END:VCARD
BEGIN:VCARD
PHOTO;ENCODING=b:{CODED}
END:VCARD
"""


def test_contacts_of_all_three_versions() -> None:
    found = list(contacts(CARDS.encode()))
    assert found == [("Zoë Lang", PHOTO), ("Ada Lovelace;x", PHOTO), ("Grace, Hopper", PHOTO), ("Grace, Hopper", b"")]
    assert list(contacts(bytes(range(256)) * 3)) == []


@pytest.mark.parametrize(
    "stem, name",
    [("Anna", "Anna"), ("Anna_2", "Anna"), ("Anna (3)", "Anna"), ("Anna-Maria_12", "Anna-Maria"), ("Anna_Maria 2", "Anna Maria"),
     ("R2D2", "R2D2"), ("12", "12")],
)  # fmt: skip
def test_names_of_files(stem: str, name: str) -> None:
    assert name_of_file(stem) == name


def vectors_of(store: Store, faces: list[str]) -> list[np.ndarray]:
    rows = store.read_all("embeddings/bundled", store.read("embeddings/bundled", "00000").schema)
    at = {face: i for i, face in enumerate(rows["face_id"].to_pylist())}
    flat = np.asarray(rows["embedding"].combine_chunks().flatten(), np.float32).reshape(len(at), -1)
    return [flat[at[face]] for face in faces]


def test_sure_groups_get_names_others_are_asked_about_and_forget_takes_all_of_it_out(tmp_path: Path) -> None:
    """Pictures are vectors here: near a person, near nobody, and one that can't be used."""
    store, ids, truth = ungrouped_store(tmp_path, (9, 8, 6, 5))
    call("cluster", store.url)
    near = [vectors_of(store, [i for i, t in zip(ids, truth, strict=True) if t == person])[:2] for person in range(2)]
    nobody = np.random.default_rng(4).normal(size=128).astype(np.float32)
    pictures = [
        *(Picture("Anna", f"/elsewhere/Anna_{n}.jpg", vector=v) for n, v in enumerate(near[0])),
        Picture("Bo", "/b.vcf#1", vector=near[1][0]), Picture("Nobody", "/n.jpg", vector=nobody / np.linalg.norm(nobody)),
        Picture("Cy", "/c.jpg", error="expected a photo, found none"),
    ]  # fmt: skip
    found = take_in(store, pictures, EmbedConfig())
    assert (found.pictures, found.people, found.notes) == (4, 3, ["/c.jpg: expected a photo, found none"])
    assert {(p.name, faces) for p, _, faces in found.named} == {("Anna", 9), ("Bo", 8)}
    known = people_with_current_names(store)
    assert known is not None and dict(zip(known[0].faces, known[0].names, strict=True)) == {9: "Anna", 8: "Bo", 6: None, 5: None}
    assert sorted((d.act, d.name, d.origin) for d in read(store).decisions) == [("name", "Anna", "known"), ("name", "Bo", "known")]
    assert len(store.read_all("photos", store.read("photos", "00000").schema)) == len(ids)  # the pictures are no photos
    # again: nothing twice, and a group that is not called so keeps no name
    call("undo", store.url, found.batch)
    asked = take_in(store, pictures[:2], EmbedConfig(), sure=1.0)
    kept = read_known(store, "bundled")
    assert asked.named == [] and {p.name for p, _, _ in asked.asked} == {"Anna", "Bo"}
    assert kept is not None and sorted(kept.names) == ["Anna", "Anna", "Bo", "Nobody"]
    call("forget", store.url, "Anna", "--yes")
    kept = read_known(store, "bundled")
    assert kept is not None and sorted(kept.names) == ["Bo", "Nobody"]
    assert refused("forget", store.url, "Anna", "--yes")
    call("forget", store.url, "Nobody", "--yes")  # who has pictures but no group
    assert "Anna" not in "".join(p.read_text(errors="ignore") for p in Path(store.url).rglob("*") if p.is_file())



def test_a_further_group_of_a_name_needs_less_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the groups for Ann the surest counts first, whatever their order; Cy has a group already; Eve's are not alike."""
    naming = import_module("facecluster.known.take_in")
    sure = [("Ann", 0.96), ("Ann", 1.0), ("Ann", 0.995), ("Bo", 0.951), ("Cy", 0.97), ("Dan", 0.94), ("Eve", 1.0), ("Eve", 0.999)]
    proposals = [SimpleNamespace(group=i, name=name, probability=p) for i, (name, p) in enumerate(sure)]
    people = SimpleNamespace(names=[None, "", "", "", "", "", None, None, "CY"], person_ids=[f"p-{i}" for i in range(9)], faces=[3] * 9)
    current = SimpleNamespace(people=people, name=lambda group, name: Decision(act="name", name=name, faces=(f"f{group}",)))
    session = SimpleNamespace(view=lambda: SimpleNamespace(current=current, journal=Journal([])), proposals=lambda view: proposals)
    session.likeness = lambda view, group, others: 0.05 if group == 7 else 0.3
    written: list[Decision] = []
    monkeypatch.setattr(naming, "append", lambda store, made: written.extend(made))
    found = naming.TakenIn()
    naming._name_groups(None, session, SURE, found)  # type: ignore[arg-type]
    assert [(d.name, d.faces) for d in written] == [("Ann", ("f1",)), ("Eve", ("f6",)), ("Ann", ("f2",)), ("Bo", ("f3",))]
    assert {about[1] for about in found.asked} == {"p-0", "p-4", "p-5", "p-7"}


def test_a_folder_with_contacts_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn people: a folder for one, a file for another, contacts for a third; an empty picture and a group photo are told in a line."""
    truth = make_collection(str(tmp_path / "demo"), people=6, photos=4, seed=3)
    store = str(tmp_path / "store")
    call("run", truth.photos, "-o", store)
    crowd = Counter(face.photo for face in truth.faces)
    alone = {p: [f.photo for f in truth.faces if f.person == p and crowd[f.photo] == 1] for p in range(6)}
    several = next(photo for photo, n in crowd.items() if n > 1)
    known = tmp_path / "known"
    (known / "Ann").mkdir(parents=True)
    shutil.copy(Path(truth.photos, alone[0][0]), known / "Ann")
    shutil.copy(Path(truth.photos, alone[1][0]), known / f"Bo_2{Path(alone[1][0]).suffix}")
    shutil.copy(Path(truth.photos, several), known / f"All{Path(several).suffix}")
    Image.new("RGB", (300, 200)).save(known / "Empty.png")
    coded = base64.b64encode(Path(truth.photos, alone[2][0]).read_bytes()).decode()
    (known / "all.vcf").write_text(f"BEGIN:VCARD\nVERSION:3.0\nFN:Cy\nPHOTO;ENCODING=b:{coded}\nEND:VCARD\n")
    before = {p: p.read_bytes() for p in known.rglob("*") if p.is_file()}
    answer = json.loads(call("known", str(known), store, "--json").stdout)
    assert (answer["pictures"], answer["people"]) == (3, 3)
    assert [note.rsplit("/", 1)[1].split(": ")[0].split(".")[0] for note in answer["not_used"]] == ["All", "Empty"]
    assert [p.read_bytes() for p in before] == [*before.values()]
    named = {g["name"] for g in answer["groups"] if g["named"]}
    assert named and named <= {"Ann", "Bo", "Cy"}
    rows = {face.photo_id[:24]: face.person for face in truth.faces if crowd[face.photo] == 1}
    now = read_current_people(Store(store))[0]
    for face, group in zip(now.faces.ids, now.faces.identity.tolist(), strict=True):
        if group >= 0 and face[:24] in rows and (name := now.people.names[group]):
            assert ["Ann", "Bo", "Cy"].index(name) == rows[face[:24]]
    assert "name one" in refused("known", str(tmp_path / "none"), store)
    asked = sum(not g["named"] for g in answer["groups"])
    monkeypatch.setattr(import_module("facecluster.cli.known"), "LISTED", 1)
    call("undo", store, answer["undo"])
    text = call("known", str(known), store, "--name-from", "1").stdout
    assert asked > 0 and text.count(" may be ") == 2 and "groups more that may be one of them" in text


def test_the_people_of_another_store(tmp_path: Path) -> None:
    """Named people give their surest faces, ignored ones none; a store of another model is refused in one line."""
    theirs, ids, truth = ungrouped_store(tmp_path / "theirs", (9, 8, 6))
    mine, _, _ = ungrouped_store(tmp_path / "mine", (9, 8, 6))  # the same people
    for store in (theirs, mine):
        call("cluster", store.url)
    face = {t: next(i for i, who in zip(ids, truth, strict=True) if who == t) for t in range(3)}
    call("name", theirs.url, face[0], "Ann")
    call("name", theirs.url, face[1], "Bo")
    call("ignore", theirs.url, face[1])
    call("cluster", theirs.url)
    answer = json.loads(call("known", theirs.url, mine.url, "--json").stdout)
    assert (answer["pictures"], answer["people"]) == (9, 1)
    assert [(g["name"], g["faces"], g["named"]) for g in answer["groups"]] == [("Ann", 9, True)]
    kept = read_known(mine, "bundled")
    assert kept is not None and {*kept.sources} == {f"{theirs.url}#{i}" for i, t in zip(ids, truth, strict=True) if t == 0}
    with pytest.raises(InputError, match="vectors of the model other"):
        list(find_pictures(theirs.url, "other"))
    vectors = theirs.read("embeddings/bundled", "00000")
    theirs.write("embeddings/bundled", "00000", vectors, {"table": "embeddings", "weights": "others"})
    assert "same weights of bundled" in refused("known", theirs.url, mine.url)
    call("forget", mine.url, "Ann", "--yes")
    assert read_known(mine, "bundled") is None


def test_files_that_say_no_name_are_told_and_never_one_person(tmp_path: Path) -> None:
    top = tmp_path / "known"
    (top / "Ann").mkdir(parents=True)
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    for name in (b"Ann/1.jpg", b"Bo_2.jpg", b"M\xfcller.jpg", b"IMG_1234.jpg", b"DSC00017.jpg", b"20240101_120000.jpg"):
        (top / os.fsdecode(name)).write_bytes(jpeg.getvalue())
    with zipfile.ZipFile(top / "old.zip", "w") as archive:
        archive.writestr("Carl/1.jpg", jpeg.getvalue())
    found = list(find_pictures(str(top), "bundled"))
    assert sorted(p.name for p in found if not p.error) == ["Ann", "Bo"]
    assert len([p for p in found if p.error]) == 5


def test_contacts_in_utf_16_and_those_with_only_an_address_are_told(tmp_path: Path) -> None:
    """Google's export has addresses instead of photos; nothing is fetched."""
    assert list(contacts(CARDS.encode("utf-16"))) == list(contacts(CARDS.encode("utf-8-sig"))) == list(contacts(CARDS.encode()))
    card = "BEGIN:VCARD\r\nFN:Ann\r\nPHOTO:https://example.org/a.jpg\r\nEND:VCARD\r\n"
    assert list(contacts((card + card.replace("a.jpg", "b.jpg")).encode())) == [("Ann", None)] * 2
    (tmp_path / "google.vcf").write_text(card * 3)
    (tmp_path / "none.vcf").write_text("BEGIN:VCARD\r\nFN:Ann\r\nEND:VCARD\r\n")
    found = {Path(p.source).name: p.error for p in find_pictures(str(tmp_path), "bundled")}
    assert found["google.vcf"].startswith("3 contacts have only the address of a photo")
    assert found["none.vcf"].startswith("expected contacts with photos (vCard), found none")
    (tmp_path / "google.vcf").write_text(card + f"BEGIN:VCARD\nFN:Bo\nPHOTO;ENCODING=b:{CODED}\nEND:VCARD\n")
    found = {p.source.rpartition("/")[2]: p.name for p in find_pictures(str(tmp_path / "google.vcf"), "bundled")}
    assert found == {"google.vcf": "", "google.vcf#1": "Bo"}


def known_to(store: Store) -> list[tuple[str, str]]:
    kept = read_known(store, "bundled")
    return [] if kept is None else sorted(zip(kept.names, kept.sources, strict=True))


def test_a_picture_that_was_renamed_has_one_name_and_what_is_gone_counts_no_more(tmp_path: Path) -> None:
    """Under two names with the same vector each would have half of the probability, and the group no name."""
    store, ids, truth = ungrouped_store(tmp_path, (9, 8, 6))
    call("cluster", store.url)
    anna, bo, cy = (vectors_of(store, [i for i, t in zip(ids, truth, strict=True) if t == person])[0] for person in range(3))
    first = [Picture("Ana", "/k/Ana.jpg", vector=anna), Picture("Bo", "/k/Bo.jpg", vector=bo), Picture("Cy", "/c.vcf#1", vector=cy)]
    assert len(take_in(store, first, EmbedConfig(), place="/k").named) == 3
    call("undo", store.url, read(store).decisions[-1].batch)
    found = take_in(store, [Picture("Anna", "/k/Anna.jpg", vector=anna)], EmbedConfig(), place="/k")
    assert {p.name for p, _, _ in found.named} == {"Anna", "Cy"} and found.no_longer == ["Ana", "Bo"]
    assert known_to(store) == [("Anna", "/k/Anna.jpg"), ("Cy", "/c.vcf#1")]
    # the folder was moved; a picture of another place stays as it is, and so does what can't be read now
    moved = [Picture("Anna", "/new/Anna.jpg", vector=anna), Picture("Bo", "/new/Bo/1.jpg", vector=bo)]
    take_in(store, moved, EmbedConfig(), place="/new")
    unread = [Picture("Anna", "/new/Anna.jpg", vector=anna), Picture("Bo", "/new/Bo", error="expected a folder that can be read")]
    assert take_in(store, unread, EmbedConfig(), place="/new").no_longer == []
    assert known_to(store) == [("Anna", "/new/Anna.jpg"), ("Bo", "/new/Bo/1.jpg"), ("Cy", "/c.vcf#1")]
    take_in(store, [Picture("", "/c.vcf", error="expected contacts")], EmbedConfig(), place="/c.vcf")
    assert len(known_to(store)) == 3
    # a contact was added before the first, another was deleted
    take_in(store, [Picture("Dan", "/c.vcf#1", vector=-cy), Picture("Cy", "/c.vcf#2", vector=cy)], EmbedConfig(), place="/c.vcf")
    take_in(store, [Picture("Cy", "/c.vcf#1", vector=cy), Picture("", "/c.vcf", error="1 contact")], EmbedConfig(), place="/c.vcf")
    assert known_to(store) == [("Anna", "/new/Anna.jpg"), ("Bo", "/new/Bo/1.jpg"), ("Cy", "/c.vcf#1")]


def test_pictures_of_another_model_are_told_until_they_are_given_again(tmp_path: Path) -> None:
    store, ids, truth = ungrouped_store(tmp_path, (9, 8))
    call("cluster", store.url)
    anna = vectors_of(store, [i for i, t in zip(ids, truth, strict=True) if t == 0])[0]
    take_in(store, [Picture("Anna", "/a.jpg", vector=anna)], EmbedConfig())
    assert "known by pictures" not in call("cluster", store.url, "--full").stderr
    vectors = store.read("embeddings/bundled", "00000")
    store.write("embeddings/bundled", "00000", vectors, {"table": "embeddings", "weights": "others"})
    assert "1 person is known by pictures" in pictures_left_out(store, "bundled")[0] and pictures_left_out(store, "another")
    known = Known(["ANNA"], ["/b.jpg"], anna[None])
    write_known(store, "bundled", known, {"table": "known", "weights": "others"})
    assert pictures_left_out(store, "bundled") == []


def test_a_moved_picture_is_known_whatever_float16_does_to_its_length(tmp_path: Path) -> None:
    """A vector with one large number: stored, its length is off by more than its direction."""
    store, _, _ = ungrouped_store(tmp_path, (9, 8))
    call("cluster", store.url)
    large = 2046.5 / 2048  # half way between two numbers that float16 has: it takes the smaller one
    spiky = np.full(128, np.sqrt((1 - large**2) / 127), np.float32)
    spiky[3] = large
    assert abs(np.linalg.norm(spiky.astype(np.float16).astype(np.float32)) - 1) > 1e-4
    for name in ("Ana", "Anna"):
        take_in(store, [Picture(name, f"/{name}/1.jpg", vector=spiky)], EmbedConfig(), place=f"/{name}")
    assert known_to(store) == [("Anna", "/Anna/1.jpg")]


def test_a_name_that_another_store_corrected_is_corrected_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ids, truth = ungrouped_store(tmp_path / "theirs", (20, 8))
    mine, _, _ = ungrouped_store(tmp_path / "mine", (9, 8))
    for store in (theirs, mine):
        call("cluster", store.url)
    face = next(i for i, who in zip(ids, truth, strict=True) if who == 0)
    call("name", theirs.url, face, "Ann")
    call("known", theirs.url, mine.url)
    assert {name for name, _ in known_to(mine)} == {"Ann"}
    call("name", theirs.url, "Ann", "Anne")
    monkeypatch.chdir(tmp_path)  # under another path too
    said = call("known", os.path.relpath(theirs.url), mine.url).output
    assert {name for name, _ in known_to(mine)} == {"Anne"} and len(known_to(mine)) == 16 and "Ann: not known by pictures" in said
    assert "the store itself" in refused("known", mine.url, mine.url)


@pytest.mark.parametrize("charset", ["undefined", "idna", "UTF-16", "a\0b", "rot13", "zip"])
def test_a_contact_of_an_odd_character_set_ends_nothing(charset: str) -> None:
    card = f"BEGIN:VCARD\r\nFN;CHARSET={charset};ENCODING=QUOTED-PRINTABLE:J=C3=BCrg\r\nPHOTO;ENCODING=B:AAAA\r\nEND:VCARD\r\n"
    assert [name for name, _ in contacts(card.encode())] == ["Jürg"]


def test_a_name_that_was_taken_away_is_not_given_again(tmp_path: Path) -> None:
    store, ids, truth = ungrouped_store(tmp_path, (9, 8, 6))
    call("cluster", store.url)
    near = [vectors_of(store, [i for i, t in zip(ids, truth, strict=True) if t == person])[0] for person in range(2)]
    pictures = [Picture(name, f"/{name}.jpg", vector=v) for name, v in zip(("Anna", "Bo"), near, strict=True)]
    assert len(take_in(store, pictures, EmbedConfig()).named) == 2
    call("name", store.url, "Anna", "")
    for _ in range(2):
        found = take_in(store, pictures, EmbedConfig())
        assert not found.named and [p.name for p, _, _ in found.asked] == ["Anna"]
        call("cluster", store.url)
    call("undo", store.url, read(store).decisions[-1].id[:8])
    known = people_with_current_names(store)
    assert known is not None and {n for n in known[0].names if n} == {"Anna", "Bo"}
