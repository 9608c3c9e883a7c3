"""The folder of an export after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecluster.export.output_folder import MANIFEST, OutputFolder
from facecluster.store import replace_file
from facecluster.store.replace_file import aside_name


def exported(folder: Path, *names: str, dry_run: bool = False) -> int:
    output = OutputFolder(str(folder), "folders", dry_run=dry_run)
    for name in names:
        output.write(name, b"a face")
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
