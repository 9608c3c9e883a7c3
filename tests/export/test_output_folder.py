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
