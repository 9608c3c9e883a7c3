"""The folder of an export after a stop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from facecluster.export import begun_files
from facecluster.export.folders import copy_photos
from facecluster.export.output_folder import MANIFEST, OutputFolder
from facecluster.export.photo_library import Photo
from facecluster.store import replace_file
from facecluster.store.replace_file import aside_name


def exported(folder: Path, *names: str, dry_run: bool = False, data: Callable[[str], bytes] = lambda name: b"a face") -> int:
    output = OutputFolder(str(folder), "folders", dry_run=dry_run)
    for name in names:
        output.write(name, data(name))
    return output.finish()


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("edited", [False, True])
def test_a_stop_while_a_stale_picture_is_removed_leaves_none(edited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next export puts it back, and removes it unless the user has changed it."""
    exported(tmp_path, "Ann/a.jpg", "Bob/b.jpg")

    def stop(*_: object) -> bool:
        monkeypatch.setattr(replace_file, "recover", lambda path: None)  # after the stop nothing more is done
        raise KeyboardInterrupt

    monkeypatch.setattr(replace_file, "_remove_if", stop)
    with pytest.raises(KeyboardInterrupt):
        exported(tmp_path, "Bob/b.jpg")
    monkeypatch.undo()
    aside = Path(aside_name(str(tmp_path / "Ann" / "a.jpg")))
    assert files(tmp_path) == {f"Ann/{aside.name}", "Bob/b.jpg", MANIFEST}
    if edited:
        aside.write_bytes(b"edited")
    exported(tmp_path, "Bob/b.jpg", dry_run=True)
    assert aside.exists()
    assert exported(tmp_path, "Bob/b.jpg") == (not edited)
    assert files(tmp_path) == {"Bob/b.jpg", MANIFEST, *(["Ann/a.jpg"] if edited else [])}
    assert (tmp_path / "Ann").exists() == edited


def test_a_file_of_the_users_that_holds_what_is_exported_stays(tmp_path: Path) -> None:
    """A photo that is copied to the folder where it is."""
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "a.jpg").write_bytes(b"a face")
    exported(tmp_path, "Ann/a.jpg", "Bob/b.jpg")
    assert exported(tmp_path, "Eve/a.jpg") == 1
    assert files(tmp_path) == {"Ann/a.jpg", "Eve/a.jpg", MANIFEST}


def test_what_a_stopped_export_wrote_is_its_own(tmp_path: Path) -> None:
    exported(tmp_path, "Ann/old.jpg")
    stopped = OutputFolder(str(tmp_path), "folders")
    stopped.write("Ann/a.jpg", b"half of a table")
    stopped.write("Ann/old.jpg", b"another face")
    (tmp_path / "Ann" / "mine.jpg").write_bytes(b"a face")
    output = OutputFolder(str(tmp_path), "folders")
    output.write("Ann/a.jpg", b"a whole table")
    output.write("Ann/mine.jpg", b"a face")
    assert output.finish() == 1 and files(tmp_path) == {"Ann/a.jpg", "Ann/mine.jpg", MANIFEST}
    assert exported(tmp_path, "Ann/new.jpg") == 1 and files(tmp_path) == {"Ann/new.jpg", "Ann/mine.jpg", MANIFEST}


def test_two_exports_at_once_know_each_others_files(tmp_path: Path) -> None:
    one, two = (OutputFolder(str(tmp_path), "folders") for _ in range(2))
    one.write("Ann/a.jpg", b"a face")
    two.write("Ann/a.jpg", b"a face")
    two.write("Bob/b.jpg", b"a face")
    one.finish()
    two.finish()
    assert exported(tmp_path, "Eve/a.jpg") == 2 and files(tmp_path) == {"Eve/a.jpg", MANIFEST}


def test_what_an_export_wrote_it_does_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFolder(str(tmp_path), "folders")
    for name in ("Ann/a.jpg", "Bob/b.jpg"):
        output.write(name, b"a face")
    read: list[str] = []
    monkeypatch.setattr(begun_files, "digest_of", lambda path: read.append(str(path)))
    output.finish()
    assert read == [] and files(tmp_path) == {"Ann/a.jpg", "Bob/b.jpg", MANIFEST}


def test_copies_of_gone_photos_are_looked_up_and_not_searched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of an earlier export is gone through as often for many photos as for one, and no photo is made without need."""
    exported(tmp_path, *(f"Ann/{i}.jpg{end}" for i in range(9) for end in ("", ".xmp")), data=str.encode)
    contents = [hashlib.sha256(f"Ann/{i}.jpg".encode()).hexdigest() for i in range(9)]
    gone = [Photo(c, [f"/gone/{i}.jpg"], "JPEG", 8, 8, 1, "", True, {f"/gone/{i}.jpg": c}) for i, c in enumerate(contents)]
    times: list[int] = []
    earlier = OutputFolder.earlier
    monkeypatch.setattr(OutputFolder, "earlier", lambda self: times.append(1) or earlier(self))
    for photos in (gone[:1], gone):
        times.clear()
        output = OutputFolder(str(tmp_path), "folders", dry_run=photos != gone)
        assert list(copy_photos([], output, gone=photos)) == []
        assert len(times) == 2 and len(output.claimed) == 2 * len(photos)
    assert output.finish() == 0 and len(files(tmp_path)) == 19
    never = (pytest.fail("a photo was made") for _ in range(1))
    assert list(copy_photos([], OutputFolder(str(tmp_path), "another"), gone=never)) == []
