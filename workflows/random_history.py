"""Random histories of what people do with their photos, compared with a simple model of what they mean.

    python workflows/random_history.py --seeds 200 --acts 300

An act names a person, takes a name away, merges, splits, ignores, or undoes the last of these, by the commands; or it changes a photo:
metadata written into the file, saved again, turned, cropped a little, packed as PNG, moved, copied, deleted, added. After each ten acts
`run` looks at the folder again, `prune` drops what is gone, and everything is compared: who is with whom, names, ignoring, totals, and that
no lasting id is forgotten.

Faces are coloured squares, which a detector and an embedder of a few lines find and tell apart: nothing but the history can go wrong. The
rest of the program is as users have it.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from coloured_photos import HUES, Detector, Embedder, Key, Picture, draw, edit
from history_model import Act, Model, Person

import facecluster
from facecluster.cli import main

NAMES = ("Ann", "Anna", "Bob", "bob", "Cy", "Dee", "Eve", "Zoë")


@dataclass
class Seen:
    """What the program said about a face after the last `run`."""

    face_id: str
    person: str  # lasting id; '' = nobody
    name: str | None
    ignored: bool


class Wrong(Exception):
    """The program and the model differ."""


class History:
    """A folder, its store, and what is meant."""

    def __init__(self, root: Path, seed: int) -> None:
        self.photos, self.store, self.rng = root / "photos", str(root / "store"), np.random.default_rng(seed)
        self.disk: dict[Path, Picture] = {}
        self.drawn = 0  # pictures
        self.hues: dict[Key, int] = {}
        self.said: list[Act] = []
        self.done: list[str] = []  # in words
        self.seen: dict[Key, Seen] = {}
        self.ids: set[str] = set()  # lasting ids of the people of any run
        self.busy: set[Key] = set()  # faces of people whom an act since the last `run` joined, took apart or joined again
        self.changed, self.forgotten = set[int](), set[Key]()  # pictures that were changed since; faces of `facecluster forget`
        for hues in [(h,) for h in range(HUES) for _ in range(4)] + [(h, (h + 1) % HUES) for h in range(HUES)]:
            self.new_photo(hues)
        self.run()

    def model(self) -> Model:
        return Model(self.hues, self.said)

    def command(self, *words: str) -> None:
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                main.main(list(words), standalone_mode=False)
        except SystemExit as e:
            if e.code:
                raise Wrong(f"facecluster {' '.join(words)}: {said.getvalue()}") from e
        self.last = said.getvalue()

    # -- photos ---------------------------------------------------------------------------------------------------------------------

    def new_photo(self, hues: tuple[int, ...]) -> None:
        rng = self.rng
        self.drawn += 1
        xs = (rng.uniform(0.35, 0.65),) if len(hues) == 1 else (rng.uniform(0.25, 0.32), rng.uniform(0.68, 0.75))
        picture = Picture(self.drawn, hues, tuple((float(x), float(rng.uniform(0.35, 0.65))) for x in xs))
        path = self.photos / str(rng.integers(3)) / f"{self.drawn}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(picture, rng).save(path, quality=92)
        self.disk[path] = picture
        self.hues |= dict(zip(picture.keys(), hues, strict=True))

    def change(self, what: str) -> str:
        """Change a photo in this way; gives what was done, '' if it would have no one meaning."""
        if what == "add":
            first = int(self.rng.integers(HUES))
            self.new_photo((first,) if self.rng.random() < 0.6 else (first, (first + 1) % HUES))
            return f"add {list(self.disk)[-1].name}"
        path = list(self.disk)[self.rng.integers(len(self.disk))]
        picture = self.disk[path]
        alone = list(self.disk.values()).count(picture) == 1
        target = self.photos / str(self.rng.integers(5)) / f"{path.stem}{self.rng.integers(1000)}{path.suffix}"
        target.parent.mkdir(exist_ok=True)
        if what == "move":
            path.rename(target)
            self.disk[target] = self.disk.pop(path)
        elif what == "copy":
            shutil.copy(path, target)
            self.disk[target] = picture
        elif what == "delete":
            if alone and not self._can_go(picture):
                return ""
            path.unlink()
            del self.disk[path]
        elif picture.number in self.changed or not (alone or what == "write"):
            return ""  # a copy that was changed is another photo
        else:
            new, shows = edit(path, self.disk.pop(path), what, self.rng)
            self.disk[new] = shows
            self.changed.add(picture.number)
        return f"{what} {path.name}"

    def _can_go(self, picture: Picture) -> bool:
        """Whether all people are still somebody without a picture, and of a person joined from several there are three of each look.

        Fewer are no dense group: one of two that a decision ties to faces of another look does not take the other along.
        """
        model = self.model()
        for person in map(model.of, picture.keys()):
            looks = self._looks(model, person, picture)
            if min(looks.values(), default=0) < (2 if len(looks) == 1 else 3):
                return False
        return True

    def _looks(self, model: Model, person: Person, without: Picture | None = None) -> Counter[int]:
        """How many faces of each look a person has, those whose place is open left out."""
        there = {key for picture in self.disk.values() if picture is not without for key in picture.keys()}
        looks = Counter({self.hues[face]: 0 for face in person.faces & there})
        looks.update(self.hues[face] for face in person.faces & there if model.settled(face))
        return looks

    # -- what is said ---------------------------------------------------------------------------------------------------------------

    def say(self, what: str) -> str:
        """Say something about a person; gives what was said, '' if it would have no one meaning."""
        model, rng = self.model(), self.rng
        people = [p for p in model.people if not p.faces & self.busy and len(self._known(model, p)) > 1]
        if what == "undo":
            return self._undo()
        if len(people) < 3:
            return ""
        person, other = (people[i] for i in rng.choice(len(people), 2, replace=False))
        faces = self._known(model, person)
        face = faces[rng.integers(len(faces))]
        text = [self.seen[face].face_id, self.seen[face].person, person.name or self.seen[face].face_id][rng.integers(3)]
        if what == "name":
            name = NAMES[rng.integers(len(NAMES))] if rng.random() < 0.8 else ""
            twins = model.called(name, person)
            if any(model.are_apart(person, twin) or not model.may_join(person, twin) or twin.faces & self.busy for twin in twins):
                return ""
            self.command("name", self.store, text, name)
            self.busy |= set().union(*(p.faces for p in (person, *twins))) if twins else set()
            self.said.append(Act("name", face, name=name, known=frozenset(self.seen)))
        elif what == "merge" and model.may_join(person, other):
            theirs = self._known(model, other)[0]
            self.command("merge", self.store, text, self.seen[theirs].face_id)
            self.busy |= person.faces | other.faces
            self.said.append(Act("merge", face, theirs, known=frozenset(self.seen)))
        elif what == "ignore" and not person.ignored:
            self.command("ignore", self.store, text)
            self.said.append(Act("ignore", face))
        elif what == "split":
            if len(faces) < 5 or len({self.hues[f] for f in person.faces}) > 1:
                return ""
            leave = frozenset(faces[i] for i in rng.choice(len(faces), 2, replace=False).tolist())
            self.command("split", self.store, text, *(self.seen[f].face_id for f in sorted(leave)))
            self.busy |= person.faces
            self.said.append(Act("split", face, leave=leave, stay=frozenset(set(faces) - leave)))
        else:
            return ""
        return f"{self.said[-1]} of {text}"

    def _undo(self) -> str:
        if not self.said:
            return ""
        before, after = self.model(), Model(self.hues, self.said[:-1])
        if any(self._looks(after, person).total() < 2 for person in after.people):
            return ""  # one face alone is nobody to the program
        act = self.said.pop()
        self.command("undo", self.store)
        for face in (act.face, act.other, *act.leave):
            if face is not None and before.of(face).faces != after.of(face).faces:
                self.busy |= before.of(face).faces | after.of(face).faces
        return f"undo {act}"

    def _known(self, model: Model, person: Person) -> list[Key]:
        """The faces of a person that the program has shown there, and whose place is plain."""
        there = {key for picture in self.disk.values() for key in picture.keys()}
        return sorted(face for face in person.faces & there if face in self.seen and model.settled(face))

    # -- run, and compare -------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.search()
        self.command("prune", self.store)
        self.look()

    def search(self) -> None:
        facecluster.run(self.photos, self.store, report=False)

    def look(self) -> None:
        """Take in what the program says, and compare it with the model. Right after a grouping."""
        self.busy, self.changed = set(), set()
        opened = facecluster.open(self.store)
        there = {key for picture in self.disk.values() for key in picture.keys()} - self.forgotten
        self.seen = {}
        for path, picture in self.disk.items():
            shown = [(key, place) for key, place in zip(picture.keys(), picture.places, strict=True) if key in there]
            photo = opened.photo(path) if shown else None
            faces = photo.faces if photo else []
            if len(faces) != len(shown):
                raise Wrong(f"{path.name} has {len(faces)} faces, not {len(shown)}")
            for key, (x, y) in shown if photo else ():
                far = [abs(f.box[0] + f.box[2] / 2 - x * photo.width) + abs(f.box[1] + f.box[3] / 2 - y * photo.height) for f in faces]
                face = faces[far.index(min(far))]
                who = face.person
                self.seen[key] = Seen(face.id, who.id if who else "", who.name if who else None, bool(who and who.ignored))
        if opened.faces.num_rows != len(there):
            raise Wrong(f"{opened.faces.num_rows} faces in all, not {len(there)}")
        self.ids |= self._compare(there)
        for person in self.ids:
            opened.person(person)

    def _compare(self, there: set[Key]) -> set[str]:
        """Compare all faces that are there; gives the lasting ids of the people."""
        model = self.model()
        shown: dict[str, Person] = {}
        for person in model.people:
            faces = [face for face in person.faces & there if model.settled(face)]
            seen = [self.seen[face] for face in faces]
            for face, s in zip(faces, seen, strict=True):
                if len(seen) > 1 and (s.person, s.name, s.ignored) != (seen[0].person, person.name, person.ignored) or not s.person < "q":
                    raise Wrong(f"face {face} is of {s}, not of {person}, {seen[0]}")
                if s.person and shown.setdefault(s.person, person) is not person:
                    raise Wrong(f"{s} is two people: {person}, {shown[s.person]}")
        for face in there:
            alike = {id(model.of(f)) for f in there if f == face or model.settled(f) and self.hues[f] == self.hues[face]}
            found = self.seen[face].person
            if not model.settled(face) and id(shown.get(found)) not in alike and (found in shown or not model.is_double(face)):
                raise Wrong(f"face {face} is of {self.seen[face]}, of none of those who have its look")
        return set(shown)

    def step(self) -> None:
        """Say something, or change a photo."""
        words = ""
        while not words:
            if self.rng.random() < 0.5:
                words = self.say(str(self.rng.choice(["name", "name", "name", "merge", "split", "ignore", "undo", "undo"])))
            else:
                kinds = ["write", "write", "save", "turn", "crop", "pack", "move", "move", "copy", "delete", "add"]
                words = self.change(str(self.rng.choice(kinds)))
        self.done.append(words)


def history(seed: int, acts: int, every: int = 10, kind: type[History] = History) -> str:
    """Go through one history; gives '' if everything is as it is meant, or else what is wrong, after which acts."""
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        stack.enter_context(patch("facecluster.faces.detect._detector", lambda *_: Detector()))
        stack.enter_context(patch("facecluster.faces.embed.load_embedder", lambda model, *_: Embedder(model)))
        so_far: History | None = None
        try:
            so_far = kind(Path(root), seed)
            for number in range(1, acts + 1):
                so_far.step()
                if number % every == 0:
                    so_far.run()
        except (Wrong, facecluster.FaceclusterError) as e:
            last = so_far.done[-2 * every :] if so_far else []
            return "\n  ".join([f"seed {seed}, after {len(so_far.done) if so_far else 0} acts: {type(e).__name__}: {e}", *last])
    return ""


def main_of(kind: type[History], about: str, *, seeds: int, acts: int) -> None:
    """The command line of a workflow that goes through histories of this kind."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    for name, default in (("--seeds", seeds), ("--first", 0), ("--acts", acts)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    wrong = []
    for seed in range(options.first, options.first + options.seeds):
        if found := history(seed, options.acts, kind=kind):
            wrong.append(seed)
            print(found, flush=True)
    print(json.dumps({"seeds": options.seeds, "acts": options.acts, "wrong": wrong}))


if __name__ == "__main__":
    main_of(History, str(__doc__), seeds=200, acts=300)
