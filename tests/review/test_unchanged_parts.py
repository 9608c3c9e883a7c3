"""What an act did not change is not worked out again: the shortcuts give what everything worked out from the start gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecluster.decisions import Claim, Decision, replay
from facecluster.people.assign_ids import shared_faces
from facecluster.people.claims import group_of_claim, groups_of_each
from facecluster.people.face_ids import TrackedDecisions, with_current_ids
from facecluster.review import apply_decisions as applying
from facecluster.store import FaceIds

N = 24
IDS = sorted(f"{photo:024x}-{face:04x}" for photo in range(N // 3) for face in range(3))
BOXES = np.array([[100 * (i % 3), 0, 80, 80] for i in range(N)], np.float32)
rows = st.lists(st.integers(0, N - 1), min_size=1, max_size=6, unique=True)
ACTS = st.sampled_from(["name", "merge", "split", "same", "not-same", "ignore", "not-a-face", "undo"])


@st.composite
def journals(draw: st.DrawFn, *, odd: bool = False) -> list[Decision]:
    """Decisions about faces of the run; with `odd` also about faces that are gone, or numbered otherwise."""
    made: list[Decision] = []
    for number in range(draw(st.integers(1, 12))):
        act = draw(ACTS)
        if act == "undo":
            made.append(Decision(act=act, of=f"{draw(st.integers(0, 12))}", id=f"{number}"))
            continue
        found = draw(rows)
        cut = max(1, len(found) // 2) if act in ("merge", "split") else len(found)
        names = {row: IDS[row] for row in found}
        boxes = {IDS[row]: tuple(map(float, BOXES[row])) for row in found}
        for row in found if odd else ():
            kind = draw(st.integers(0, 5))
            if kind == 0:
                names[row] = f"{99 + row % 3:024x}-0000"  # of a photo that is gone
            elif kind == 1:
                names[row] = f"{IDS[row][:24]}-{7 + row % 3:04x}"  # another detector numbered it
            if kind < 2:
                boxes[names[row]] = tuple(map(float, BOXES[row] + draw(st.sampled_from([0, 5, 60]))))
        faces = tuple(names[row] for row in found)
        name = draw(st.sampled_from(["Ann", "Bob", "Cleo"])) if act == "name" else None
        made.append(Decision(act=act, faces=faces[:cut], others=faces[cut:], name=name, id=f"{number}", boxes=boxes))  # type: ignore[arg-type]
    return made


groups_of_all = st.lists(st.integers(-1, 6), min_size=N, max_size=N).map(lambda found: np.array(found, np.int64))


@given(journals(), groups_of_all)
@settings(max_examples=150, deadline=None)
def test_sets_that_are_settled_change_no_group(journal: list[Decision], identity: np.ndarray) -> None:
    def everything(identity, rows, resolved, split_off):  # type: ignore[no-untyped-def]
        return [(rows[f], resolved.links.root(f), f in split_off) for f in sorted(resolved.links.parent) if f in rows]

    resolved, where = replay(journal), FaceIds.of(IDS).rows
    left = {face for d in journal if d.act == "split" for face in d.faces}
    quick = applying.apply_decisions(identity, where, resolved, left)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applying, "unsettled", everything)
        assert quick.tolist() == applying.apply_decisions(identity, where, resolved, left).tolist()
    sizes = np.bincount(quick[quick >= 0])
    named = {int(quick[where[face]]) for face in resolved.links.parent if resolved.links.name.get(resolved.links.root(face))}
    assert (np.diff(sizes) <= 0).all() and all(size >= 2 or group in named for group, size in enumerate(sizes))


@given(journals(odd=True), st.booleans())
@settings(max_examples=150, deadline=None)
def test_decisions_that_come_one_after_the_other_find_the_faces_that_all_at_once_find(journal: list[Decision], edited: bool) -> None:
    tracked, followed = TrackedDecisions(IDS, BOXES), {f"{99:024x}-0000": [IDS[4]]} if edited else {}
    for end in [*range(1, len(journal) + 1), len(journal) // 2, len(journal)]:  # then some go, and come again
        assert tracked.now(journal[:end], followed) == with_current_ids(journal[:end], IDS, BOXES, followed)
    assert tracked.now(journal, {}) == with_current_ids(journal, IDS, BOXES)


def test_a_decision_about_faces_that_are_there_is_the_only_one_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    old = [Decision(act="name", faces=(IDS[i], IDS[i + 1]), name=f"N{i}", id=f"{i}") for i in range(0, 20, 2)]
    tracked = TrackedDecisions(IDS, BOXES)
    before, made = tracked.now(old), []
    monkeypatch.setattr("facecluster.people.face_ids.replace", lambda d, **more: made.append(d) or dataclasses.replace(d, **more))
    now = tracked.now([*old, new := Decision(act="name", faces=(IDS[22],), name="Ann", id="new")])
    assert made == [new] and all(a is b for a, b in zip(before, now, strict=False))


said_of = st.tuples(st.lists(st.integers(0, N + 3), max_size=12), st.sets(st.integers(0, N - 1), max_size=3))


@given(groups_of_all, st.lists(said_of, max_size=6))
@settings(max_examples=200, deadline=None)
def test_claims_together_are_of_the_groups_that_each_is_of(identity: np.ndarray, said: list[tuple[list[int], set[int]]]) -> None:
    names = [*IDS, *(f"{photo:024x}-0000" for photo in range(90, 94))]  # the last are gone
    claims = [Claim(tuple(names[i] for i in faces), apart=frozenset(names[i] for i in apart)) for faces, apart in said]
    where = FaceIds.of(IDS).rows
    assert groups_of_each(claims, where, identity) == [group_of_claim(claim, where, identity) for claim in claims]


@given(groups_of_all, groups_of_all)
@settings(max_examples=200, deadline=None)
def test_pairs_of_groups_with_the_faces_that_they_share(old: np.ndarray, new: np.ndarray) -> None:
    pairs: dict[tuple[int, int], int] = {}
    for a, b in zip(old.tolist(), new.tolist(), strict=True):
        if a >= 0 and b >= 0:
            pairs[a, b] = pairs.get((a, b), 0) + 1
    wanted = sorted(((-n, a, b) for (a, b), n in pairs.items()))
    assert list(zip(*(x.tolist() for x in shared_faces(old, new)), strict=True)) == [(a, b, -n) for n, a, b in wanted]
