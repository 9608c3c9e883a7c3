"""What is said of people elsewhere than by commands that name them, and what is forgotten: for `random_years.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from coloured_photos import HUES
from history_model import Act, Person
from random_history import NAMES, History, Wrong

from facecluster.decisions import read
from facecluster.store import Store

_SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:a="http://ns.adobe.com/xmp/sType/Area#"><r:Regions
 rdf:parseType="Resource"><r:RegionList><rdf:Bag><rdf:li><rdf:Description r:Name="{name}" r:Type="Face"><r:Area a:x="{x}" a:y="{y}"
 a:w=".15" a:h=".2" a:unit="normalized"/></rdf:Description></rdf:li></rdf:Bag></r:RegionList></r:Regions></rdf:Description></rdf:RDF>
</x:xmpmeta>"""


class SaidElsewhere(History):
    """A history in which people.csv is edited, other programs write sidecars, and people are forgotten and photographed again."""

    def __init__(self, root: Path, seed: int) -> None:
        self.at_last = 0  # acts that are undone no more
        self.generation = list(range(HUES))  # who looks so now: somebody else, after the person was forgotten
        self.encrypted = False
        super().__init__(root, seed)

    def new_photo(self, hues: tuple[int, ...]) -> None:
        super().new_photo(tuple(self.generation[hue] for hue in hues))

    def _undo(self) -> str:
        return super()._undo() if len(self.said) > self.at_last else ""

    def check(self) -> None:
        """Nothing is damaged; faces of photos that are deleted may be lost."""
        try:
            self.command("check", self.store)
        except Wrong as e:
            if "is missing beside its shard of photos" not in str(e):
                raise

    def year_table_of_people(self) -> None:
        """Up to three names are typed into people.csv, and perhaps undone."""
        if self.encrypted:
            return
        path, model = Path(self.store) / "people.csv", self.model()
        with path.open(encoding="utf-8-sig", newline="") as f:
            rows = list(csv.DictReader(f))
        typed: list[Act] = []
        for row in (rows[i] for i in self.rng.permutation(len(rows)).tolist()):
            faces = [k for k, seen in sorted(self.seen.items()) if seen.person == row["person_id"] and model.settled(k)]
            name = NAMES[self.rng.integers(len(NAMES))] if self.rng.random() < 0.8 else ""
            if len(faces) < 2 or len(typed) == 3 or model.called(name, model.of(faces[0])) or name == (model.of(faces[0]).name or ""):
                continue
            if name.casefold() not in {act.name.casefold() for act in typed}:
                row["name"] = name
                typed.append(Act("name", faces[0], name=name, known=frozenset(self.seen)))
        with path.open("w", encoding="utf-8-sig", newline="") as f:
            table = csv.DictWriter(f, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        self.said += typed
        self.run()
        if self.rng.random() < 0.4:
            for _ in typed:
                self.said.pop()
                self.command("undo", self.store)
            self.run()
        self.at_last = len(self.said)  # the journal has them in the order of the table

    def year_sidecars(self) -> None:
        """Sidecars beside the photos, which then say nothing new."""
        self.command("export", self.store, "--format", "xmp", "--beside")
        lines = len(read(Store(self.store)).decisions)
        self.command("import-names", self.store, str(self.photos))
        if len(read(Store(self.store)).decisions) != lines:
            raise Wrong("names of its own sidecars were taken over")
        for sidecar in self.photos.rglob("*.xmp"):
            sidecar.unlink()
        self.run()

    def _whole(self) -> Iterable[Person]:
        """People who were not split, none of whose faces is beside itself or forgotten, and who are more than one face."""
        model = self.model()
        for person in model.people:
            odd = any(model.is_double(face) or model.is_cut(face) for face in person.faces)
            if not odd and not person.faces & self.forgotten and len(self._known(model, person)) > 1:
                yield person

    def year_another_program(self) -> None:
        """Another program names a few faces of somebody without a name in sidecars."""
        people = [person for person in self._whole() if not person.name]
        if not people:
            return
        person, name = people[self.rng.integers(len(people))], f"Imported {len(self.done)}"
        faces = self._known(self.model(), person)
        chosen = {faces[i] for i in self.rng.choice(len(faces), min(len(faces), 3), replace=False).tolist()}
        for path, picture in self.disk.items():
            for key, (x, y) in zip(picture.keys(), picture.places, strict=True):
                if key in chosen:
                    path.with_name(path.name + ".xmp").write_text(_SIDECAR.format(name=name, x=x, y=y))
        self.said.append(Act("name", faces[0], name=name, known=frozenset(self.seen)))
        for once in (True, False):
            lines = len(read(Store(self.store)).decisions)
            self.command("import-names", self.store, str(self.photos), "--no-draw")
            if (len(read(Store(self.store)).decisions) > lines) != once:
                raise Wrong(f"{name} was {'not taken over' if once else 'taken over twice'}: {self.last}")
        for sidecar in self.photos.rglob("*.xmp"):
            sidecar.unlink()
        self.at_last = len(self.said)
        self.run()

    def year_forgotten(self) -> None:
        people = list(self._whole())
        if len(people) < 5:
            return
        person = people[self.rng.integers(len(people))]
        self.command("forget", self.store, self.seen[self._known(self.model(), person)[0]].person, "--yes")
        self.forgotten |= person.faces
        looks = {self.hues[face] for face in person.faces}
        self.generation = [hue + HUES if hue in looks else hue for hue in self.generation]
        self.said = [act for act in self.said if act.face not in person.faces]
        self.at_last, self.ids = len(self.said), set()
        self.look()
        self.check()
