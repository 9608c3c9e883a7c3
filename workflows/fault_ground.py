"""The folder that faults happen to: photos, a store that was used for a while, and things of the user's beside them. For `faults.py`.

    photos/     photos of coloured squares: singles, doubles, a copy, a damaged one; two with a sidecar of the user's
    new/        photos that are not in the store yet
    pictures/   pictures of known people
    sidecars/   an export, in which another program has given a name
    out/        where exports go; a file of the user's is there already
    tiny.toml   an embedder that learns in no time, and its weights
    store/      two runs, names, an ignored person, a people.csv with a name that no run has taken over and a column of the user's
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from coloured_photos import HUES, Picture, draw
from fault_gone import needles
from fault_state import people

from facecluster.photos.places import current_photos
from facecluster.store import Store

NOTE = "call me"  # in the user's own column
MINE = "a file of the user's\n"
SIDECAR = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">the words of the user</rdf:li></rdf:Alt></dc:description></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>
"""


def make_photos(root: Path) -> None:
    """The photos and pictures, always the same."""
    rng = np.random.default_rng(0)
    number = 0

    def put(folder: str, hues: tuple[int, ...], name: str = "") -> Path:
        nonlocal number
        number += 1
        xs = (0.5,) if len(hues) == 1 else (0.28, 0.72)
        path = root / folder / f"{name or number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(Picture(number, hues, tuple((x, 0.5) for x in xs)), rng).save(path, quality=92)
        return path

    for hue in range(HUES):
        for i in range(3):
            put(f"photos/{i}", (hue,))
    for hue in (0, 2, 4):
        put("photos/3", (hue, hue + 1))
    first = root / "photos" / "0" / "1.jpg"
    shutil.copy(first, root / "photos" / "3" / "copy.jpg")
    (root / "photos" / "3" / "damaged.jpg").write_bytes(first.read_bytes()[:2000])
    for hue in (0, 1, 5):
        put("new", (hue,))
    put("new", (2, 3))
    put("pictures", (4,), "Eva")
    for name in ("1.jpg.xmp", "4.xmp"):
        (root / "photos" / "0" / name).write_text(SIDECAR, encoding="utf-8")
    (root / "out").mkdir()
    (root / "out" / "mine.txt").write_text(MINE, encoding="utf-8")


def people_rows(root: Path) -> list[dict[str, str]]:
    """The rows of the user's people.csv."""
    text = (root / "store" / "people.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def edit_people(root: Path, name: str) -> None:
    """Name the last person without a name in people.csv, and add a column, as a user does between two runs."""
    rows = people_rows(root)
    person = [row for row in rows if not row["name"]][-1]
    person["name"] = name
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, [*rows[0], "note"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(row | {"note": NOTE if row is person else ""} for row in rows)
    (root / "store" / "people.csv").write_bytes(("\ufeff" + out.getvalue()).encode())


def _to_forget(root: Path, faces: dict[str, list[str]], named: dict[str, str], unnamed: list[str]) -> dict[str, Any]:
    """A photo that can be forgotten, and what must not be found of Bob, of the first face, or of that photo, when they were."""
    store, bob = Store(str(root / "store")), named["Bob"]
    places = current_photos(store).to_pylist()
    photo = next(row["photo_id"] for row in places if row["photo_id"].startswith(faces[unnamed[0]][0][:24]))
    uris = [row["uri"] for row in places if row["photo_id"] == photo]
    shown = [face for of in faces.values() for face in of if face.startswith(photo[:24])]
    first = next(iter(faces.values()))[0]
    found = {"face": needles(store, [first], []), "photo": needles(store, shown, [photo, *uris])}
    return {"photo": uris[0], "needles": found | {"bob": needles(store, faces[bob], [bob, "Bob"])}}


def settle(root: Path) -> None:
    """Write what the cases need to know of the store, and the files that they give to commands."""
    found = people(Store(str(root / "store")))
    faces = {person: of for person, (_, _, of) in found.items()}
    unnamed = [person for person, (name, ignored, _) in found.items() if not name and not ignored]
    by_name = {name: person for person, (name, _, _) in found.items() if name}
    journal = [json.loads(line) for line in (root / "store" / "decisions.jsonl").read_text(encoding="utf-8").splitlines()]
    facts = {"faces": faces, "unnamed": unnamed, "named": by_name, "decision": journal[0]["id"]}
    facts |= _to_forget(root, faces, by_name, unnamed)
    (root / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    (root / "names.csv").write_text(f"person,name\n{unnamed[0]},Dora\n{unnamed[1]},Emil\n", encoding="utf-8")
    rows = [f"{face},{person}\n" for person, of in faces.items() for face in of]
    (root / "truth.csv").write_text("face_id,person\n" + "".join(rows), encoding="utf-8")
    for path in (root / "sidecars").rglob("*.xmp"):
        path.write_text(path.read_text(encoding="utf-8").replace(f">{unnamed[2]}<", ">Fay<"), encoding="utf-8")


def make_embedder(card: Path) -> None:
    """A network that learns in no time, for the commands that train."""
    import torch

    from facecluster.models.embedder import AttentionEmbedder
    from facecluster.models.onnx_session import sha256_of
    from facecluster.models.toml_text import to_toml
    from facecluster.training.networks import named_weights, save

    torch.manual_seed(0)
    network = {"width": 64, "depth": 1, "heads": 1, "mlp_ratio": 1, "parts": 32, "inner": [0, 0, 0]}
    weights = card.with_suffix(".safetensors")
    save(named_weights(AttentionEmbedder(dim=16, **network)), weights)  # type: ignore[arg-type]
    about = {"name": "tiny", "dim": 16, "sha256": sha256_of(weights), "licence": "test"}
    reading = {"slope": 10.0, "intercept": -5.0, "impostor_mean": 0.1, "impostor_sd": 0.2}
    card.write_text(to_toml({"model": about, "network": network, "reading": reading}), encoding="utf-8")
