"""What a forgetting takes out of a store, worked out from the user's words before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from facecluster.decisions import Decision, new_id, read
from facecluster.language.english import plural
from facecluster.people import CurrentPeople, all_runs, current_run, read_people
from facecluster.people.previous_grouping import digest_without
from facecluster.people.stand_ins import most_alike, read_stand_ins, read_vectors
from facecluster.photos.forgotten import Forgotten, read_forgotten
from facecluster.photos.places import every_look
from facecluster.privacy.decisions import change, decisions_for_names, names_of, removed_decisions
from facecluster.privacy.forget_plan import ForgetPlan, fold, isin
from facecluster.privacy.places import free_all
from facecluster.privacy.runs import groups_left
from facecluster.privacy.tables import thumbnail_keys
from facecluster.privacy.targets import Targets, find_targets
from facecluster.store import FACES, FaceIds, Store, in_schema

_FACE = pa.schema([FACES.field(name) for name in ("face_id", "photo_id", "box", "at_ms")])


def make_plan(store: Store, who: Sequence[str]) -> tuple[ForgetPlan, list[str]]:
    """What goes, and a line for each of the user's words. Raises InputError if a word means nothing, or several things."""
    return plan_for(store, *find_targets(store, who), who)


def plan_for(store: Store, targets: Targets, known: CurrentPeople | None, who: Sequence[str]) -> tuple[ForgetPlan, list[str]]:
    """What goes of these targets, and lines for the user; `who`: the words by which it is known that the same is asked again."""
    forgotten = read_forgotten(store)
    looks = every_look(store, ["uri", "photo_id", "content", "picture", "size", "mtime_ns", "width", "height"])
    contents = looks["content"].filter(pa.array(isin(looks["photo_id"], targets.photos)))
    plan = ForgetPlan(
        id=new_id(), at=_now(), asked=mark_of_words(forgotten, who), salt=forgotten.salt.hex(),
        faces=sorted(targets.faces), photos=sorted(targets.photos), uris=sorted(targets.uris),
        contents=sorted({*targets.photos, *contents.to_pylist()}), people=sorted(_ids(known, targets)),
    )  # fmt: skip
    decisions = read(store).decisions
    plan = replace(plan, names=sorted(_names(store, known, targets, decisions, plan) | targets.names))
    faces = _faces(store, plan)
    plan = replace(plan, marks=sorted(_marks(store, forgotten, plan, looks, faces)), covers=_covers(plan, looks, faces))
    plan = replace(plan, thumbs=sorted(thumbnail_keys(store, plan)))
    plan = replace(plan, **_journal(store, known, decisions, plan), digests=_digests(store, plan))
    if targets.ungrouped:
        new = f"{plural(targets.ungrouped, 'face')} came in since the last grouping, and some may be of whom you want forgotten"
        targets.lines.append(f"note: {new}: run 'facecluster cluster {store.url}' first")
    counts = {"people": len(targets.people), "faces": len({face["face_id"] for face in faces}), "photos": len(targets.photos)}
    return replace(plan, forgotten=counts, counts=free_all(store, plan, write=False)), targets.lines


def mark_of_words(forgotten: Forgotten, who: Sequence[str]) -> str:
    """By which it is known that the same is asked again."""
    return forgotten.of_text("\0".join(sorted(who))).hex()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _ids(known: CurrentPeople | None, targets: Targets) -> set[str]:
    """The lasting ids, present and former, of the people who go."""
    if known is None:
        return set()
    ids = {known.people.person_ids[i] for i in targets.people}
    return ids | {old for old, now in known.people.former.items() if now in ids}


def _names(
    store: Store, known: CurrentPeople | None, targets: Targets, decisions: Sequence[Decision], plan: ForgetPlan
) -> set[str]:  # fmt: skip
    """All names that those who go ever had, and that none of those who stay has now."""
    if known is None or not targets.people:
        return set()
    found = {known.people.names[i] for i in targets.people} | names_of(plan.people, decisions, plan)
    for run in all_runs(store):
        people = read_people(store, run)
        found |= {name for person, name in zip(people.person_ids, people.names, strict=True) if person in plan.people}
        found |= {r.name for r in people.retired if r.person_id in plan.people or r.now in plan.people}
    stay = {fold(name) for i, name in enumerate(known.people.names) if name and i not in targets.people}
    return {name for name in found if name and fold(name) not in stay}


def _faces(store: Store, plan: ForgetPlan) -> list[dict[str, Any]]:
    """The rows of the faces that go: face_id, photo_id, box, at_ms."""
    found = []
    for shard in store.shards("faces"):
        rows = in_schema(_FACE, store.read("faces", shard, _FACE.names))
        found += rows.filter(pa.array(plan.of_faces(rows["face_id"]))).to_pylist()
    return found


def _marks(store: Store, forgotten: Forgotten, plan: ForgetPlan, looks: pa.Table, faces: Sequence[Mapping[str, Any]]) -> set[str]:
    """The marks by which later runs know the photos and faces again."""
    photos, found = set(plan.photos), set[bytes]()
    pictures: dict[str, set[str]] = {}
    columns = [looks[name].to_pylist() for name in ("uri", "photo_id", "picture", "size", "mtime_ns")]
    for uri, photo, picture, size, mtime_ns in zip(*columns, strict=True):
        pictures.setdefault(photo, set()).update([picture] if picture else [])
        if uri in plan.uris and photo in photos | {""}:
            found.add(forgotten.of_place(uri, size, mtime_ns))
    for photo in photos:
        found |= {forgotten.of_photo(key) for key in (photo, *pictures.get(photo, ()))}
    found |= {forgotten.of_photo(content) for content in plan.contents}
    for shard in store.shards("files") if plan.uris else ():  # as the search sees them
        rows = store.read("files", shard, ["uri", "size", "mtime_ns"])
        rows = rows.filter(pa.array(isin(rows["uri"], plan.uris)))
        found |= {forgotten.of_place(row["uri"], row["size"], row["mtime_ns"]) for row in rows.to_pylist()}
    for face in faces:
        if face["photo_id"] not in photos:
            for key in (face["photo_id"], *pictures.get(face["photo_id"], ())):
                found |= set(forgotten.of_face(key, face["box"], face["at_ms"]))
    return {mark.hex() for mark in found}


def _covers(plan: ForgetPlan, looks: pa.Table, faces: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """The boxes of faces that go, by the photo that stays, each with the photo's width and height."""
    sizes = dict(zip(looks["photo_id"].to_pylist(), zip(looks["width"].to_pylist(), looks["height"].to_pylist(), strict=True), strict=True))
    found: dict[str, list[list[float]]] = {}
    for face in faces:
        width, height = sizes.get(face["photo_id"], (None, None))
        if face["photo_id"] not in plan.photos and width and height:
            found.setdefault(face["photo_id"], []).append([*face["box"], width, height])
    return found


def _journal(store: Store, known: CurrentPeople | None, decisions: Sequence[Decision], plan: ForgetPlan) -> dict[str, Any]:
    """The fields of the plan about decisions."""
    instead = {} if known is None else _instead(store, known, decisions, plan)
    plan = replace(plan, instead=instead)
    removed, said = removed_decisions(decisions, plan)
    plan = replace(plan, removed=removed)
    made: list[Decision] = []
    if known is not None:
        changed = [now for d in decisions if (now := change(d, plan)) is not None]
        stay = groups_left(known.faces.identity, plan.of_faces(FaceIds.of(known.faces.ids).arrow()))
        made = decisions_for_names(changed, known, plan, read_stand_ins(store), stay)
    lines = [replace(d, id=new_id(), at=plan.at).to_line() for d in made]
    return {"instead": instead, "removed": removed, "said": said, "lines": lines}


def _instead(store: Store, known: CurrentPeople, decisions: Sequence[Decision], plan: ForgetPlan) -> dict[str, str]:
    """For each face that goes and that decisions name, the most similar one of its group that stays; none for people who go."""
    run, faces = current_run(store), known.faces
    assert run is not None
    named = {face for d in decisions for face in (*d.faces, *d.others) if plan.has_face(face) and face in faces.rows}
    groups = {int(faces.identity[faces.rows[face]]) for face in named} - {-1}
    near = [faces.ids[row] for row in np.flatnonzero(np.isin(faces.identity, sorted(groups))).tolist()]
    vectors = read_vectors(store, f"embeddings/{run.model}", near)
    gone = {face: vectors[face] for face in sorted(named) if face in vectors}
    return most_alike(gone, faces, decisions, {face: v for face, v in vectors.items() if not plan.has_face(face)}, -1.0)


def _digests(store: Store, plan: ForgetPlan) -> dict[str, str]:
    """The digests of the vectors of groupings that later ones go on from, and what they are without the faces that go."""
    found: dict[str, str] = {}
    folder = store.path("identities")
    models = [str(path).rstrip("/").rsplit("/", 1)[-1] for path in store.fs.ls(folder, detail=False)] if store.fs.isdir(folder) else []
    for model in models:
        table = f"identities/{model}"
        grown = (store.stamp(table, "00000") or {}).get("grown") if store.shards(table) == ["00000"] else None
        if not isinstance(grown, dict) or not store.shards(f"embeddings/{model}"):
            continue
        earlier = FaceIds.of(store.read(table, "00000", ["face_id"])["face_id"])
        gone = plan.of_faces(earlier.arrow())
        before = str(grown.get("vectors"))
        if gone.any() and (now := digest_without(store, f"embeddings/{model}", earlier, before, gone)) is not None:
            found[before] = now
    return found
