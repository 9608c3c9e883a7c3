"""facecluster evaluate, end to end on a small store that is made here, and what it says to odd input."""

from __future__ import annotations

import csv
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from report import report_store as syn

from facecluster.cli import main
from facecluster.evaluation import bcubed, folds, nmi, pairwise, roc
from facecluster.evaluation.ground_truth import Answers
from facecluster.evaluation.plot import reliability_svg, roc_svg
from facecluster.evaluation.store import evaluate_store
from facecluster.models.registry import card_of
from facecluster.store import FACES, IDENTITIES, Store, embeddings_schema, table_of

PEOPLE = 12
EACH = 6  # photos of each person alone
BOXES = {0: (50.0, 60.0, 100.0, 120.0), 1: (230.0, 60.0, 110.0, 120.0), 2: (150.0, 190.0, 60.0, 60.0)}  # of faces in a photo of 400 x 300


def write_faces(store: Store, rows: Sequence[tuple[str, str, int]]) -> None:
    """Rows of (face_id, photo_id, number of its box)."""
    n = len(rows)
    columns = {
        "face_id": [r[0] for r in rows], "photo_id": [r[1] for r in rows], "box": np.array([BOXES[r[2]] for r in rows], np.float32),
        "landmarks": np.zeros((n, 10), np.float32), "score": np.full(n, 0.9, np.float32), "sharpness": np.full(n, 5, np.float32),
        "yaw": np.zeros(n, np.float32), "quality": np.full(n, 0.5, np.float32), "crop": [syn.crop((9, 9, 9))] * n,
    }  # fmt: skip
    store.write("faces", "0", table_of(FACES, columns), {"stage": "detect"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, np.ndarray, np.ndarray]:
    """A store, who each face of it is and its group.

    Photos p_000i of person p lie at photos/p/, a face in each; photos/group.jpg has persons 0, 1 and 2; photos/none.jpg has no face.
    """
    folder = tmp_path_factory.mktemp("evaluate")
    store = Store(str(folder / "store"))
    store.create()
    truth = np.append(np.repeat(np.arange(PEOPLE), EACH), [0, 1, 2])
    names = [f"{folder}/photos/person_{p}/person_{p}_{i:04d}.jpg" for p in range(PEOPLE) for i in range(1, EACH + 1)]
    photos = [(syn.photo_id(i), name, None, None) for i, name in enumerate(names)]
    others = [(syn.photo_id(900), f"{folder}/photos/group.jpg", None, None), (syn.photo_id(901), f"{folder}/photos/none.jpg", None, None)]
    syn.write_photos(store, "0", [*photos, *others, ("", f"{folder}/photos/bad.jpg", None, "truncated")])
    faces = [(syn.face_id(i, 0), syn.photo_id(i), 0) for i in range(len(names))] + [
        (syn.face_id(900, i), syn.photo_id(900), i) for i in range(3)
    ]
    write_faces(store, faces)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(len(truth)) < 0.1, -1, truth // np.where(truth < 4, 2, 1))  # 0 and 1, 2 and 3 are taken for one
    syn.write_identities(store, [(face, int(label), 0.0 if label < 0 else 0.9) for (face, *_), label in zip(faces, labels, strict=True)])
    vectors = rng.normal(size=(PEOPLE, 16))[truth] + 0.5 * rng.normal(size=(len(truth), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {"face_id": [face for face, *_ in faces], "embedding": vectors.astype(np.float16)}
    store.write("embeddings/bundled", "0", table_of(embeddings_schema(16), columns), {"table": "embeddings"})
    return store, truth, labels


Made = tuple[Store, "np.ndarray", "np.ndarray"]


def name_of(face: int) -> str:
    return f"person_{face // EACH}/person_{face // EACH}_{face % EACH + 1:04d}.jpg"


def write(path: Path, rows: Sequence[Sequence[object]]) -> str:
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows(rows)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


def measured(*arguments: str) -> dict[str, dict]:  # type: ignore[type-arg]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, dict] = json.loads(result.stdout)  # type: ignore[type-arg]
    return found


def photos_of(store: Store) -> str:
    return os.path.join(os.path.dirname(store.url), "photos")


def test_by_path_with_boxes_and_groups(made: Made, tmp_path: Path) -> None:
    store, truth, labels = made
    rows = [[name_of(i), f"who {p}", "", "", "", "", "fm"[p % 2]] for i, p in enumerate(truth[:-3])]
    rows += [["group.jpg", f"who {p}", *np.add(BOXES[i], [4, -5, 6, 3]), "fm"[p % 2]] for i, p in enumerate(truth[-3:])]
    table = write(tmp_path / "labels.csv", [["path", "person", *"xywh", "sex"], *rows])
    found = measured(store.url, "--truth", table, "--images", photos_of(store))
    grouping = found["grouping"]
    assert found["truth"]["used"] == found["truth"]["given"] == len(truth) and not found["truth"]["left_out"]
    for name, measure in (("pairwise", pairwise), ("bcubed", bcubed)):
        expected = measure(truth, labels)
        assert grouping[name] == pytest.approx({"precision": expected.precision, "recall": expected.recall, "f": expected.f})
    assert grouping["nmi"] == pytest.approx(nmi(truth, labels))
    assert [(g["column"], g["value"], g["people"]) for g in grouping["by_group"]] == [("sex", "f", 6), ("sex", "m", 6)]
    same = truth[:, None] == truth[None]
    assert found["verification"]["pairs"]["same"] == (same.sum() - len(truth)) // 2
    sexes = found["verification"]["by_group"]
    assert [(g["value"], g["people"], g["pairs"]["same"]) for g in sexes] == [
        (sex, 6, (same[truth % 2 == p][:, truth % 2 == p].sum() - (truth % 2 == p).sum()) // 2) for p, sex in enumerate("fm")
    ]
    out = tmp_path / "out"
    shown = run(store.url, "--truth", table, "--images", photos_of(store), "-o", str(out)).stdout
    assert "verification by sex, of pairs whose faces both have the value:\n  f: " in shown
    at = sexes[0]["at_overall_threshold"][0]
    assert f"FAR 1e-2 overall (cosine {at['threshold']:.3f}): FAR {at['far']['value']:.2g} ({at['far']['low']:.2g} to " in shown
    drawing = ET.fromstring((out / "roc.svg").read_text())
    assert [e.get("class") for e in drawing.iter() if e.tag.endswith("}path")] == ["a", "g0", "g1"]


def test_by_face_is_the_same_and_rows_may_stand_in_any_order(made: Made, tmp_path: Path) -> None:
    store, truth, labels = made
    faces = store.read_all("faces", FACES, ["face_id"])["face_id"].to_pylist()
    rows = [[face, p] for face, p in zip(faces, truth, strict=True)]
    a = measured(store.url, "--truth", write(tmp_path / "a.csv", [["face_id", "person"], *rows]))
    b = measured(store.url, "--truth", write(tmp_path / "b.csv", [["Person", "face_id"], *([p, f] for f, p in rows[::-1])]))
    a["truth"].pop("source"), b["truth"].pop("source")
    assert a == b and a["grouping"]["bcubed"]["f"] == pytest.approx(bcubed(truth, labels).f)


def test_rows_that_match_nothing_are_counted_with_their_reason(made: Made, tmp_path: Path) -> None:
    store = made[0]
    photos = photos_of(store)
    rows = [
        [name_of(0), "ann", ""], [name_of(1), "ann", "50,60,100,120"], [name_of(6), "bob", ""], [f"{photos}/{name_of(7)}", "bob", ""],
        [name_of(7), "bob", ""], [name_of(8), "bob", "[300 200 50 50]"], ["group.jpg", "cy", ""], ["none.jpg", "cy", ""],
        ["bad.jpg", "cy", ""], ["away.jpg", "cy", ""], [name_of(9), "", ""], [name_of(10), "-1", ""],
    ]  # fmt: skip
    table = write(tmp_path / "labels.csv", [["photo", "person", "box"], *rows])
    found = measured(store.url, "--truth", table, "--images", photos_of(store))
    assert (found["truth"]["given"], found["truth"]["used"]) == (12, 4)
    assert {out["reason"]: out["rows"] for out in found["truth"]["left_out"]} == {
        "no person stated": 2, "face given before": 1, "no face at the box": 1, "several faces in the photo and no box": 1,
        "no face found in the photo": 1, "photo that failed": 1, "photo not in the store": 1,
    }  # fmt: skip
    shown = run(store.url, "--truth", table, "--images", photos_of(store))
    assert shown.exit_code == 0 and "4 of 12 answers of labels.csv match a face" in shown.stdout and "'away.jpg'" in shown.stdout


def test_a_rule_says_which_of_several_faces_is_meant(made: Made, tmp_path: Path) -> None:
    store = made[0]
    # the second box is the largest; the third lies nearest to the middle (200, 150): 70 px against 95 and 88
    table = write(tmp_path / "l.csv", [["path", "person"], ["group.jpg", "x"], [name_of(0), "y"]])
    base = ("--truth", table, "--images", photos_of(store))
    for rule, face in (("largest", 1), ("centre", 2)):
        both = [["face_id", "person"], [syn.face_id(900, face), "x"], [syn.face_id(0, 0), "y"]]
        by_face = measured(store.url, "--truth", write(tmp_path / "f.csv", both))
        assert measured(store.url, *base, "--which-face", rule)["grouping"] == by_face["grouping"]
        assert measured(store.url, *base, "--which-face", rule)["verification"] == by_face["verification"]


def test_boxes_of_a_photo_are_matched_one_to_one(made: Made, tmp_path: Path) -> None:
    store = made[0]
    # both boxes overlap the first face best (IoU 1 and .36); the second must take the other (.34) for the greatest total
    wide = (50.0, 60.0, 280.0, 120.0)
    table = write(
        tmp_path / "l.csv",
        [["photo_id", "person", "box"], [syn.photo_id(900), "a", str(list(BOXES[0]))], [syn.photo_id(900), "b", str(list(wide))]],
    )
    found = measured(store.url, "--truth", table)
    assert found["truth"]["used"] == 2 and found["verification"] is None  # one pair, of two people


def lfw_list(folder: Path, parts: int, each: int) -> tuple[str, list[tuple[int, int]], list[bool]]:
    """A pairs.txt, its pairs of faces, and which are one person."""
    rng = np.random.default_rng(1)
    lines, pairs, same = [f"{parts}\t{each}"], [], []
    for n in range(2 * parts * each):
        one = n % (2 * each) < each
        p, q = (int(x) for x in rng.choice(PEOPLE, 2, replace=False))
        i, j = (int(x) + 1 for x in rng.choice(EACH, 2, replace=False))
        q = p if one else q
        lines.append(f"person_{p}\t{i}\t{j}" if one else f"person_{p}\t{i}\tperson_{q}\t{j}")
        pairs.append((p * EACH + i - 1, q * EACH + j - 1))
        same.append(one)
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return str(folder / "pairs.txt"), pairs, same


def cosine_of(store: Store, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    flat = store.read("embeddings/bundled", "0")["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(-1, 16).astype(np.float32)
    return np.array([vectors[i] @ vectors[j] for i, j in pairs])


def test_lfws_protocol(made: Made, tmp_path: Path) -> None:
    store = made[0]
    path, pairs, same = lfw_list(tmp_path, 10, 30)
    found = measured(store.url, "--pairs", path, "--images", photos_of(store))["listed_pairs"]
    expected = folds(cosine_of(store, pairs), same, np.repeat(np.arange(10), 60))
    assert found["folds"]["accuracy"] == pytest.approx(list(expected.accuracy)) and 0.8 < expected.mean <= 1
    assert (found["folds"]["mean"], found["folds"]["error"]) == pytest.approx((expected.mean, expected.error))
    assert found["list"]["used"] == 600 and found["pairs"] == {"same": 300, "different": 300}
    probability = card_of("bundled").probability(cosine_of(store, pairs))
    assert found["calibration"]["brier"] == pytest.approx(np.mean((probability - same) ** 2), abs=1e-6)
    spaces = tmp_path / "spaces.txt"
    spaces.write_text(Path(path).read_text().replace("\t", " ").replace("person_1 1 ", "person_1 1  ").replace("\n", "\r\n"))
    assert measured(store.url, "--pairs", str(spaces), "--images", photos_of(store))["listed_pairs"]["folds"] == found["folds"]


def test_pairs_that_cannot_be_judged_are_counted_as_wrong_in_the_least_accuracy(made: Made, tmp_path: Path) -> None:
    store = made[0]
    path, *_ = lfw_list(tmp_path, 2, 20)
    text = Path(path).read_text().splitlines()
    text[1], text[-1] = "nobody\t1\t2", "person_1\t1\tnobody\t2"
    Path(path).write_text("\n".join(text))
    found = measured(store.url, "--pairs", path, "--images", photos_of(store))["listed_pairs"]
    assert (found["list"]["given"], found["list"]["used"]) == (80, 78)
    assert found["list"]["left_out"][0]["reason"] == "pair with a photo not in the store" and found["list"]["left_out"][0]["rows"] == 2
    assert found["least_accuracy"] == found["folds"]["right"] / 80 < found["folds"]["mean"]
    shown = run(store.url, "--pairs", path, "--images", photos_of(store))
    assert f"{found['least_accuracy']:.4f} if those left out count as wrong" in shown.stdout


def test_pairs_by_path_and_by_face(made: Made, tmp_path: Path) -> None:
    store = made[0]
    _, pairs, same = lfw_list(tmp_path, 4, 15)
    fold = [f"part {n // 30}" for n in range(120)]
    by_path = [[name_of(i), name_of(j), "same" if s else "different", f] for (i, j), s, f in zip(pairs, same, fold, strict=True)]
    by_face = [[syn.face_id(i, 0), syn.face_id(j, 0), int(s)] for (i, j), s in zip(pairs, same, strict=True)]
    a = measured(
        store.url, "--images", photos_of(store), "--pairs", write(tmp_path / "a.csv", [["path1", "path2", "same", "fold"], *by_path])
    )
    b = measured(store.url, "--pairs", write(tmp_path / "b.csv", [["face_id1", "face_id2", "same"], *by_face]))
    expected = folds(cosine_of(store, pairs), same, np.repeat(np.arange(4), 30))
    assert a["listed_pairs"]["folds"]["accuracy"] == pytest.approx(list(expected.accuracy)) and b["listed_pairs"]["folds"] is None
    assert a["listed_pairs"]["roc"] == b["listed_pairs"]["roc"] and a["grouping"] is None


def test_report_files(made: Made, tmp_path: Path) -> None:
    store, truth, _ = made
    faces = store.read_all("faces", FACES, ["face_id"])["face_id"].to_pylist()
    table = write(tmp_path / "l.csv", [["face_id", "person"], *([f, p] for f, p in zip(faces, truth, strict=True))])
    pairs, *_ = lfw_list(tmp_path, 10, 30)
    out = tmp_path / "new" / "evaluation"
    arguments = [store.url, "--truth", table, "--pairs", pairs, "--images", photos_of(store), "-o", str(out)]
    for _ in range(2):  # an older one is replaced
        result = run(*arguments)
        assert result.exit_code == 0 and "accuracy over 10 folds" in result.stdout, result.output
    assert sorted(os.listdir(out)) == ["evaluation.json", "reliability.svg", "roc.svg"]
    found = json.loads((out / "evaluation.json").read_text())
    assert found == measured(*arguments)
    for name, curves in (("roc", 2), ("reliability", 3)):
        drawing = ET.fromstring((out / f"{name}.svg").read_text())
        parts = [e for e in drawing.iter() if e.get("class") in ("a", "b", "c")]
        assert len(parts) == curves
        assert not [e for e in drawing.iter() if e.tag.endswith("script") or "http" in " ".join(e.attrib.values())]
    tar = found["verification"]["accepts"][0]["tar"]
    assert f"{tar:.3f} at 1e-2" in (out / "roc.svg").read_text()


ODD: list[tuple[str, str, str]] = [
    ("", "--truth", "found nothing"),
    ("path,person\n", "--truth", "a header alone"),
    ("path,name\na,b\n", "--truth", "path,person"),
    ("person,age\na,b\n", "--truth", "path,person"),
    ("path,person\na\n", "--truth", "found 1 in line 2"),
    ("path,person,Person\na,b,c\n", "--truth", "'person' twice"),
    ('path,person\na,"b\n', "--truth", "expected CSV"),
    ("path,person\nx.jpg,b\n", "--truth", "found none of 1: 1 photo not in the store ('x.jpg')"),
    ("face_id,person\nnope,b\n", "--truth", "1 face not in the store ('nope')"),
    (f"face_id,person\n{syn.face_id(0, 0)},ann\n{syn.face_id(0, 0)},bob\n", "--truth", "'ann' in line 2 and 'bob' in line 3"),
    (f"face_id,person,sex\n{syn.face_id(0, 0)},a,f\n{syn.face_id(0, 0)},a,m\n", "--truth", "expected one sex"),
    (f"photo_id,person,box\n{syn.photo_id(0)},a,1 2 3\n", "--truth", "four numbers"),
    (f"photo_id,person,box\n{syn.photo_id(0)},a,1 2 3 0\n", "--truth", "width and height"),
    ("path1,path2\na,b\n", "--pairs", "path1,path2,same"),
    ("path1,path2,same\na,b,maybe\n", "--pairs", "'maybe'"),
    ("path1,path2,same\na,b,1\nc,d,0\n", "--pairs", "2 pair with a photo not in the store"),
    ("10 300\nann 1 2\n", "--pairs", "expected 6000 pairs"),
    ("1 1\nann 1 bob 2\nann 1 2\n", "--pairs", "'name i j'"),
    ("1 1\nann 1 2\nann one bob 2\n", "--pairs", "'name1 i name2 j'"),
    ("0\n", "--pairs", "expected 0 pairs"),
]


@pytest.mark.parametrize(("text", "option", "says"), ODD, ids=[f"{option} {says}" for _, option, says in ODD])
def test_odd_files_are_one_clear_line(made: Made, tmp_path: Path, text: str, option: str, says: str) -> None:
    (tmp_path / "odd.csv").write_text(text)
    result = run(made[0].url, option, str(tmp_path / "odd.csv"))
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and says in result.stderr and "odd.csv" in result.stderr


def test_what_else_can_be_wrong(made: Made, tmp_path: Path) -> None:
    store, truth, _ = made
    table = write(tmp_path / "l.csv", [["face_id", "person", "sex"], [syn.face_id(0, 0), "a", "f"]])
    (tmp_path / "file").write_text("mine")
    cases: list[tuple[list[str], str]] = [
        ([store.url], "--truth labels.csv"),
        ([str(tmp_path)], "expected a store"),
        ([str(tmp_path), "--truth", table], "expected a store"),
        ([store.url, "--truth", str(tmp_path / "gone.csv")], "gone.csv"),
        ([store.url, "--truth", str(tmp_path)], "readable text file"),
        ([store.url, "--truth", table, "--group", "age"], "'age'"),
        ([store.url, "--truth", table, "-o", str(tmp_path / "file")], "Choose another with -o"),
    ]
    for arguments, says in cases:
        result = run(*arguments)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and says in result.stderr, (arguments, result.output)


def test_without_a_grouping_or_vectors(made: Made, tmp_path: Path) -> None:
    bare = Store(str(tmp_path / "bare"))
    bare.create()
    syn.write_photos(bare, "0", [(syn.photo_id(0), "/a.jpg", None, None), (syn.photo_id(1), "/b.jpg", None, None)])
    write_faces(bare, [(syn.face_id(i, 0), syn.photo_id(i), 0) for i in range(2)])
    table = write(tmp_path / "l.csv", [["path", "person"], ["/a.jpg", "a"], ["/b.jpg", "b"]])
    result = run(bare.url, "--truth", table)
    assert result.exit_code == 1 and "facecluster cluster" in result.stderr
    syn.write_identities(bare, [(syn.face_id(0, 0), 0, 0.5)])
    found = measured(bare.url, "--truth", table)
    assert found["verification"] is None and found["truth"]["left_out"][0]["reason"] == "face not in the grouping"
    pairs = write(tmp_path / "p.csv", [["path1", "path2", "same"], ["/a.jpg", "/a.jpg", 1], ["/a.jpg", "/b.jpg", 0]])
    result = run(bare.url, "--pairs", pairs)
    assert result.exit_code == 1 and "facecluster embed" in result.stderr


def test_answers_from_anywhere(made: Made) -> None:
    store, truth, labels = made
    faces = store.read_all("faces", FACES, ["face_id"])["face_id"].to_pylist()
    some = np.random.default_rng(3).permutation(len(faces))[:30]
    answers = Answers("decisions", [faces[i] for i in some], [f"who {truth[i]}" for i in some])
    found = evaluate_store(store, "identities/bundled", "embeddings/bundled", answers=answers)
    assert found.answers is not None and (found.answers.given, found.answers.used, found.faces) == (30, 30, len(faces))
    assert found.evaluation.grouping is not None and found.evaluation.grouping.bcubed == bcubed(truth[some], labels[some])


def test_nothing_to_draw_gives_the_axes_alone() -> None:
    for drawing in (roc_svg({}), reliability_svg({})):
        kinds = [e.tag.rsplit("}", 1)[-1] for e in ET.fromstring(drawing).iter()]
        assert "line" in kinds and not {"path", "circle", "polyline"} & set(kinds)
    assert "&lt;b&gt;" in roc_svg({"<b>": roc([0.1, 0.9], [False, True])})


def test_separators_encodings_and_many_values(made: Made, tmp_path: Path) -> None:
    store, truth, _ = made
    faces = store.read_all("faces", FACES, ["face_id"])["face_id"].to_pylist()
    lines = [
        "face_id;person;town;number",
        *(f"{f};who {p};{['Köln', 'Ulm'][p % 2]};{i}" for i, (f, p) in enumerate(zip(faces, truth, strict=True))),
    ]
    for name, data in (
        ("bom", "\n".join(lines).encode("utf-8-sig")),
        ("latin", "\n".join(lines).encode("latin-1")),
        ("unicode text", "\n".join(lines).replace(";", "\t").encode("utf-16")),
    ):
        (tmp_path / name).write_bytes(data)
        result = run(store.url, "--truth", str(tmp_path / name))
        assert result.exit_code == 0 and "by town:" in result.stdout and "by number" not in result.stdout, result.output
        assert "not broken down by number" in result.stderr
    assert "Köln" in run(store.url, "--truth", str(tmp_path / "bom")).stdout
    asked = measured(store.url, "--truth", str(tmp_path / "bom"), "--group", "number")
    assert {g["column"] for g in asked["grouping"]["by_group"]} == {"number"}


def test_photos_with_names_that_are_no_utf8_and_folders_behind_links(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.create()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    syn.write_photos(
        store,
        "0",
        [(syn.photo_id(0), f"file://{tmp_path}/caf%E9.jpg", None, None), (syn.photo_id(1), f"{tmp_path}/link/b.jpg", None, None)],
    )
    write_faces(store, [(syn.face_id(i, 0), syn.photo_id(i), 0) for i in range(2)])
    syn.write_identities(store, [(syn.face_id(i, 0), i, 0.5) for i in range(2)])
    (tmp_path / "l.csv").write_bytes(b"path,person\ncaf\xe9.jpg,a\nreal/b.jpg,b\n")
    assert measured(store.url, "--truth", str(tmp_path / "l.csv"))["truth"]["used"] == 2


def test_a_group_that_fares_worse_is_warned_about(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    many(store)
    rows = [[syn.face_id(i, 0), i // 5, "young" if i < 200 else "old"] for i in range(1_000)]
    result = run(store.url, "--truth", write(tmp_path / "l.csv", [["face_id", "person", "age"], *rows]))
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "age = young" in warnings[0] and "40 and 160 people" in warnings[0]


def many(store: Store) -> None:
    """A thousand faces of 200 people; of the first 40 people half of the faces are lost."""
    store.create()
    syn.write_photos(store, "0", [(syn.photo_id(i), f"/{i}.jpg", None, None) for i in range(1_000)])
    write_faces(store, [(syn.face_id(i, 0), syn.photo_id(i), 0) for i in range(1_000)])
    identity = [-1 if i < 200 and i % 2 else i // 5 for i in range(1_000)]
    ids = [syn.face_id(i, 0) for i in range(1_000)]
    columns = {
        "face_id": ids,
        "identity": np.array(identity, np.int32),
        "probability": np.full(1_000, 0.9, np.float32),
        "outlier_score": np.zeros(1_000, np.float32),
    }
    store.write("identities/bundled", "0", table_of(IDENTITIES, columns), {"stage": "identify"})


def test_columns_of_a_list_of_pairs_break_it_down(made: Made, tmp_path: Path) -> None:
    """Each value of a column against a count by hand; a value of one kind of pairs alone, and '', are left out; --group picks."""
    store = made[0]
    _, pairs, same = lfw_list(tmp_path, 4, 15)
    kind = [("x", "y", "")[n % 3] if n < 117 else "only same" if same[n] else "" for n in range(120)]
    named = zip(pairs, same, kind, strict=True)
    rows = [[syn.face_id(i, 0), syn.face_id(j, 0), int(s), k, f"id {n}"] for n, ((i, j), s, k) in enumerate(named)]
    path = write(tmp_path / "kinds.csv", [["face_id1", "face_id2", "same", "kind", "note"], *rows])
    found = measured(store.url, "--pairs", path)["listed_pairs"]
    assert [(g["column"], g["value"]) for g in found["by_group"]] == [("kind", "x"), ("kind", "y")]
    cosine, flags, kinds = cosine_of(store, pairs), np.array(same, bool), np.array(kind)
    overall = roc(cosine, flags)
    for group in found["by_group"]:
        mine = kinds == group["value"]
        assert group["pairs"] == {"same": int((mine & flags).sum()), "different": int((mine & ~flags).sum())}
        for at in group["at_overall_threshold"]:
            threshold = overall.threshold[overall.at([at["overall_far"]])[0]]
            assert at["far"]["value"] == pytest.approx((cosine[mine & ~flags] >= threshold).mean())
            assert at["fnmr"]["value"] == pytest.approx((cosine[mine & flags] < threshold).mean())
            assert at["far"]["low"] <= at["far"]["value"] <= at["far"]["high"]
    shown = run(store.url, "--pairs", path)
    assert "verification by kind, of these pairs:" in shown.stdout and "not broken down by note" in shown.stderr
    with_note = measured(store.url, "--pairs", path, "--group", "note")["listed_pairs"]
    assert with_note["by_group"] == []  # each value stands once
    result = CliRunner().invoke(main, ["evaluate", store.url, "--pairs", path, "--group", "nothing"])
    assert result.exit_code == 1 and "expected a column 'nothing'" in result.output
