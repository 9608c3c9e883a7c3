"""Random histories of years: those of `random_history.py`, and after each ten acts what happens to an archive in the long run.

    python workflows/random_years.py --seeds 50 --acts 200

The store and the photos move to another computer, the model changes, the store is encrypted and decrypted, compacted, grouped from the
start, an earlier run is taken; shards are damaged, tables are left out of a backup; photos are deleted and restored elsewhere, a disk is
away while `prune` runs; a backup of the store is put back; names are typed into people.csv or come from another program's sidecars;
sidecars are written beside the photos; a person is forgotten and photographed again. Everything is compared after each.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from coloured_photos import Picture
from history_model import Act
from random_history import Wrong, main_of
from years_said import SaidElsewhere

import facecluster
from facecluster.models.folder import WEIGHTS

MODELS = ("bundled", "second", "third")
_REMADE = ("faces", "embeddings", "links", "identities", "dedup")  # tables that a backup may leave out


class Years(SaidElsewhere):
    """An archive over years."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.model_name = root, "bundled"
        self.moves = 0
        self.backup: tuple[list[Act], str, int, bool, set[str], int] | None = None
        os.environ.pop("FACECLUSTER_KEY_FILE", None)
        card = (WEIGHTS / "embedder.toml").read_text()
        for name in MODELS[1:]:
            (root / f"{name}.toml").write_text(card.replace('name = "bundled"', f'name = "{name}"'))
        super().__init__(root, seed)

    # -- what the base does, here with models and forgotten people ------------------------------------------------------------------

    def card(self) -> str:
        return self.model_name if self.model_name == "bundled" else str(self.root / f"{self.model_name}.toml")

    def search(self) -> None:
        facecluster.run(self.photos, self.store, report=False, model=self.card())

    def run(self) -> None:
        self.search()
        self.command("prune", self.store, "--yes")
        self.look()

    def change(self, what: str) -> str:
        """As there; pictures with forgotten faces stay: edited, they are new photos of somebody whom the store must not know."""
        held = {path: self.disk[path] for path in self.disk if self.forgotten & set(self.disk[path].keys())}
        if what not in ("save", "turn", "crop", "pack") or not held:
            return super().change(what)
        self.disk = {path: picture for path, picture in self.disk.items() if path not in held}
        try:
            return super().change(what) if self.disk else ""
        finally:
            self.disk |= held

    def step(self) -> None:
        super().step()
        if len(self.done) % 10 == 0:
            self.run()
            self.year()

    # -- years ------------------------------------------------------------------------------------------------------------------------

    def year(self) -> None:
        kinds = sorted(name for name in dir(self) if name.startswith("year_"))
        name = str(self.rng.choice(kinds))
        self.done.append(name.replace("_", " "))
        getattr(self, name)()

    def year_full(self) -> None:
        self.command("cluster", self.store, "--full", "--model", self.card())
        self.look()

    def year_compact(self) -> None:
        if self.rng.random() < 0.5:
            self.command("compact", self.store)
        else:
            self.command("compact", self.store, "--keep-runs", "1")
            self.ids = set()
        self.look()
        self.check()

    def year_upgrade(self) -> None:
        self.command("upgrade", self.store)
        self.look()
        self.check()

    def year_another_computer(self) -> None:
        self.moves += 1
        place = self.root / f"disk{self.moves}"
        place.mkdir()
        if self.rng.random() < 0.5:
            self.store = str(Path(self.store).rename(place / "store"))
        if self.rng.random() < 0.7:
            before, self.photos = self.photos, self.photos.rename(place / "photos")
            self.disk = {self.photos / path.relative_to(before): picture for path, picture in self.disk.items()}
        if self.rng.random() < 0.3:
            self.leave_out()
        self.run()

    def year_another_model(self) -> None:
        self.model_name = str(self.rng.choice([name for name in MODELS if name != self.model_name]))
        self.run()

    def year_encryption(self) -> None:
        key = self.root / "key"
        os.environ["FACECLUSTER_KEY_FILE"] = str(key)
        if self.encrypted:
            self.command("decrypt", self.store)
        else:
            self.command("encrypt", self.store, *(() if key.exists() else ("--new-key", str(key))))
        self.encrypted = not self.encrypted
        self.look()
        self.check()

    def year_earlier_run(self) -> None:
        runs = facecluster.open(self.store).runs["run"].to_pylist()
        self.command("cluster", self.store, "--return-to", str(self.rng.choice(runs)))
        self.ids = set()  # that run knows no later ones
        self.run()

    def leave_out(self) -> None:
        names = [name for name in _REMADE if (Path(self.store) / name).exists()]
        for name in self.rng.choice(names, int(self.rng.integers(1, len(names) + 1)), replace=False):
            self.done[-1] += f" {name}"
            shutil.rmtree(Path(self.store) / name)

    def year_small_backup(self) -> None:
        self.leave_out()
        self.run()
        self.check()

    def year_damage(self) -> None:
        """Up to three shards have a wrong byte; `check --repair` and `run` mend what can be made anew."""
        for _ in range(int(self.rng.integers(1, 4))):
            tables = ("files", "photos", *_REMADE)
            shards = sorted(path for table in tables for path in (Path(self.store) / table).rglob("*.parquet"))
            path = shards[self.rng.integers(len(shards))]
            data = bytearray(path.read_bytes())
            data[self.rng.integers(len(data))] ^= 255
            path.write_bytes(data)
            self.done[-1] += f" {path.relative_to(self.store)}"
        try:
            self.command("check", self.store)
        except Wrong:
            pass
        else:
            raise Wrong("check does not see the damage")
        try:
            self.command("check", self.store, "--repair")
        except Wrong as e:
            if "is missing beside its shard of photos" not in str(e):
                raise
        self.run()
        self.check()

    def search_without(self) -> None:
        """`run` and perhaps `prune` while photos are away."""
        try:
            self.search()
        except facecluster.InputError:  # no photo at all
            pass
        if self.rng.random() < 0.7:
            self.command("prune", self.store, "--yes")

    def year_deleted_and_restored(self) -> None:
        """Some photos, or all, are deleted, and put back where they were or elsewhere."""
        share, same = self.rng.choice([0.1, 0.4, 0.8, 1.0]), self.rng.random() < 0.5
        away, back = self.root / "away", self.photos / f"restored{self.rng.integers(1000)}"
        away.mkdir()
        gone: dict[Path, tuple[Path, Picture]] = {}
        for number, path in enumerate(list(self.disk)):
            if self.rng.random() < share:
                gone[path.rename(away / f"{number}{path.suffix}")] = path, self.disk.pop(path)
        for _ in range(int(self.rng.integers(1, 3))):
            self.search_without()
        for now, (path, picture) in gone.items():
            new = path if same else back / f"{now.stem}-{path.name}"
            new.parent.mkdir(parents=True, exist_ok=True)
            self.disk[now.rename(new)] = picture
        away.rmdir()
        self.run()

    def year_disk_away(self) -> None:
        hidden = self.photos.rename(self.root / "hidden")
        self.photos.mkdir()
        self.search_without()
        if self.rng.random() < 0.5 and "no longer count" in self.last:
            self.command("prune", self.store, "--undo")
        self.photos.rmdir()
        hidden.rename(self.photos)
        self.run()

    def year_backup(self) -> None:
        """A backup of the store is made, or the one of a year ago is put back."""
        place = self.root / "backup"
        if self.backup is None or self.backup[5] != len(self.forgotten) or self.rng.random() < 0.4:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self.store, place)
            self.backup = (list(self.said), self.model_name, self.at_last, self.encrypted, set(self.ids), len(self.forgotten))
            return
        said, self.model_name, self.at_last, self.encrypted, ids, _ = self.backup
        self.said, self.ids = list(said), set(ids)
        shutil.rmtree(self.store)
        shutil.copytree(place, self.store)
        self.run()
        self.check()


if __name__ == "__main__":
    main_of(Years, str(__doc__), seeds=50, acts=200)
