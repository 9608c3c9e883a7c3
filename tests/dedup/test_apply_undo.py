"""Applying and undoing a plan: every file that was set aside can be brought back, whatever happens in between; no bytes are lost."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from applied_plans import LINKS, WAYS, add_companions, applied, contents, photos, plan, resolved, row, tree
from hypothesis import given
from hypothesis import strategies as st

from facecluster.dedup import Row, UndoFile, from_csv, read_undo_file, to_csv, undo
from facecluster.dedup.files import remove_leftovers
from facecluster.dedup.undo_file import UndoEntry
from facecluster.errors import InputError

assert photos  # the fixture


@pytest.mark.parametrize("how", WAYS + LINKS, ids=str)
def test_undo_brings_everything_back(how: dict[str, Any], photos: dict[str, Path], tmp_path: Path) -> None:
    before = tree(tmp_path / "library")
    result, undo_path = applied(plan(photos), tmp_path, **resolved(how, tmp_path))
    moved = "move_to" in how
    assert [u for u, _ in result.done] == [str(photos[n]) for n in (("copy", "near") if moved else ("copy",))]
    assert result.bytes == (31 if moved else 11)
    assert tree(tmp_path / "library") != before
    if moved:
        assert (tmp_path / "aside" / "deep" / "copy.jpg").read_bytes() == b"the picture"
        assert (tmp_path / "aside" / "near.jpg").read_bytes() == b"the picture, smaller"
    if how.get("link") == "hard":
        assert os.path.samefile(photos["copy"], photos["kept"]) and not photos["copy"].is_symlink()
    elif how.get("link") == "symbolic":
        assert os.readlink(photos["copy"]) == str(photos["kept"])
    else:
        assert not photos["copy"].exists()
    for _ in range(2):  # the second time nothing is left to do
        back = undo(read_undo_file(str(undo_path)))
        assert back.passed_over == [] and tree(tmp_path / "library") == before
        assert not (tmp_path / "aside").exists()
    assert back.done == []
    assert photos["copy"].stat().st_nlink == 1


def test_near_duplicates_are_never_replaced_by_a_link_without_being_moved(photos: dict[str, Path], tmp_path: Path) -> None:
    result, _ = applied(plan(photos), tmp_path, link="hard")
    assert [(u, "lose" in why) for u, why in result.passed_over] == [(str(photos["near"]), True)]
    assert photos["near"].read_bytes() == b"the picture, smaller" and photos["near"].stat().st_nlink == 1


@pytest.mark.parametrize("how", WAYS + LINKS, ids=str)
def test_a_dry_run_touches_nothing(how: dict[str, Any], photos: dict[str, Path], tmp_path: Path) -> None:
    before = tree(tmp_path)
    result, undo_path = applied(plan(photos), tmp_path, dry_run=True, **resolved(how, tmp_path))
    assert tree(tmp_path) == before and not undo_path.exists()
    real, _ = applied(plan(photos), tmp_path, **resolved(how, tmp_path))
    assert real.done == result.done and real.passed_over == result.passed_over and real.bytes == result.bytes


def test_with_nothing_to_do_no_undo_file_is_made(tmp_path: Path, photos: dict[str, Path]) -> None:
    _, undo_path = applied([row(photos["copy"], photos["kept"], action="keep")], tmp_path, link="hard")
    assert not undo_path.exists()


# -- each file is checked when it is moved---------------------------------------------------------------------------------------------


def spoil(files: dict[str, Path], what: str) -> None:
    if what == "file gone":
        files["copy"].unlink()
    elif what == "file changed":
        files["copy"].write_bytes(b"edited since")
    elif what == "file a link":
        files["copy"].unlink()
        files["copy"].symlink_to(files["kept"])
    elif what == "file a folder":
        files["copy"].unlink()
        files["copy"].mkdir()
    elif what == "keeper gone":
        files["kept"].unlink()
    elif what == "keeper changed":
        files["kept"].write_bytes(b"edited since")
    elif what == "one file":
        files["copy"].unlink()
        os.link(files["kept"], files["copy"])
    elif what == "keeper a link to it":
        files["kept"].unlink()
        files["kept"].symlink_to(files["copy"])


@pytest.mark.parametrize("how", WAYS[:1] + LINKS, ids=str)
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("file gone", "it is no longer there"), ("file changed", "it has other bytes"), ("file a link", "it is a link now"),
        ("file a folder", "it is no longer a file"), ("keeper gone", "kept for it is no longer there"),
        ("keeper changed", "kept for it has other bytes"), ("one file", "the same file"), ("keeper a link to it", "the same file"),
    ],
)  # fmt: skip
def test_files_that_changed_since_the_plan_are_skipped(
    what: str, says: str, how: dict[str, Any], photos: dict[str, Path], tmp_path: Path
) -> None:
    rows = plan(photos)[:1]
    spoil(photos, what)
    before = tree(tmp_path / "library")
    result, _ = applied(rows, tmp_path, **resolved(how, tmp_path))
    assert result.done == [] and len(result.passed_over) == 1 and says in result.passed_over[0][1]
    assert tree(tmp_path / "library") == before


def test_protected_and_remote_files_are_skipped(photos: dict[str, Path], tmp_path: Path) -> None:
    rows = [*plan(photos), row(photos["copy"], photos["kept"], uri="s3://bucket/far.jpg")]
    result, _ = applied(rows, tmp_path, move_to=str(tmp_path / "aside"), protect=[str(tmp_path / "library" / "deep")])
    assert dict(result.passed_over)[str(photos["copy"])] == "it is protected"
    assert "not on this machine" in dict(result.passed_over)["s3://bucket/far.jpg"]
    assert [u for u, _ in result.done] == [str(photos["near"])]


def test_in_a_circle_of_keepers_no_file_is_moved(photos: dict[str, Path], tmp_path: Path) -> None:
    a, b, c = photos["kept"], photos["copy"], photos["near"]
    rows = [row(a, b), row(b, a), row(c, a)]
    before = tree(tmp_path / "library")
    result, _ = applied(rows, tmp_path, move_to=str(tmp_path / "aside"))
    assert result.done == [] and len(result.passed_over) == 3 and tree(tmp_path / "library") == before


def test_a_chain_of_keepers_is_moved_from_its_end(photos: dict[str, Path], tmp_path: Path) -> None:
    a, b, c = photos["kept"], photos["near"], photos["copy"]
    rows = [row(b, a, kind="burst"), row(c, b, kind="near")]  # a stays; b goes for a, c for b
    before = tree(tmp_path / "library")
    result, undo_path = applied(rows, tmp_path, move_to=str(tmp_path / "aside"))
    assert [u for u, _ in result.done] == [str(c), str(b)]
    undo(read_undo_file(str(undo_path)))
    assert tree(tmp_path / "library") == before


def test_taken_names_get_a_number(photos: dict[str, Path], tmp_path: Path) -> None:
    aside = tmp_path / "aside" / "deep"
    aside.mkdir(parents=True)
    (aside / "copy.jpg").write_bytes(b"another's")
    (aside / "copy-2.jpg").symlink_to("nowhere")
    result, undo_path = applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"))
    assert len(result.done) == 2 and (aside / "copy-3.jpg").read_bytes() == b"the picture"
    assert (aside / "copy.jpg").read_bytes() == b"another's"
    undo(read_undo_file(str(undo_path)))
    assert photos["copy"].exists() and (aside / "copy.jpg").read_bytes() == b"another's" and not (aside / "copy-3.jpg").exists()


def test_undo_overwrites_nothing(photos: dict[str, Path], tmp_path: Path) -> None:
    _, undo_path = applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"))
    photos["copy"].write_bytes(b"new")
    (tmp_path / "aside" / "near.jpg").write_bytes(b"edited")
    before = tree(tmp_path)
    back = undo(read_undo_file(str(undo_path)))
    assert back.done == [] and tree(tmp_path) == before
    assert "another file is in its place" in dict(back.passed_over)[str(photos["copy"])]
    assert "other bytes" in dict(back.passed_over)[str(photos["near"])]


# -- another filesystem, one without hard links, a full one, a machine that stops -----------------------------------------------------


def other_filesystem(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Make hard links and renames between `aside` and the rest fail."""
    link, rename = os.link, os.rename

    def apart(a: Any, b: Any) -> bool:
        return ("aside" in os.fspath(a)) != ("aside" in os.fspath(b))

    def failing(real: Callable[..., None]) -> Callable[..., None]:
        def call(a: Any, b: Any, **options: Any) -> None:
            if apart(a, b):
                raise OSError(code, os.strerror(code))
            real(a, b, **options)

        return call

    monkeypatch.setattr(os, "link", failing(link))
    if code == errno.EXDEV:
        monkeypatch.setattr(os, "rename", failing(rename))


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_another_filesystem(
    how: dict[str, Any], code: int, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_filesystem(monkeypatch, code)
    before = tree(tmp_path / "library")
    result, undo_path = applied(plan(photos), tmp_path, **resolved(how, tmp_path))
    assert len(result.done) == 2 and contents(tmp_path / "aside") == {b"the picture", b"the picture, smaller"}
    assert (tmp_path / "aside" / "near.jpg").stat().st_mtime_ns == before["near.jpg"][1]
    assert undo(read_undo_file(str(undo_path))).passed_over == []
    assert tree(tmp_path / "library") == before and not (tmp_path / "aside").exists()


def test_a_damaged_copy_is_not_used(photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_filesystem(monkeypatch, errno.EXDEV)
    monkeypatch.setattr("shutil.copyfile", lambda a, b, **_: Path(b).write_bytes(b"the pict"))
    before = tree(tmp_path / "library")
    result, _ = applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"))
    assert result.done == [] and all("its copy has other bytes" in why for _, why in result.passed_over)
    assert tree(tmp_path / "library") == before and contents(tmp_path / "aside") == set()


def test_a_hard_link_does_not_reach_another_filesystem(photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)
    before = tree(tmp_path / "library")
    result, _ = applied(plan(photos)[:1], tmp_path, link="hard")
    assert "symbolic one can" in result.passed_over[0][1] and tree(tmp_path / "library") == before


CALLS = ("link", "unlink", "symlink", "replace", "rename", "fsync", "write", "open", "makedirs", "rmdir")


@pytest.mark.parametrize("companions", [False, True])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("how", WAYS + LINKS, ids=str)
def test_a_stop_before_any_system_call_loses_nothing_and_can_be_undone(
    how: dict[str, Any], across: bool, companions: bool, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine stops before the first, second, ... system call, in turn; then undo brings everything back."""
    folder = tmp_path / "library"
    rows = plan(photos)
    if companions:
        add_companions(photos)
        rows = rows[:1]
    before, files = tree(folder), contents(folder)
    for stop in range(300):
        with monkeypatch.context() as patch:
            if across and "move_to" in how:
                other_filesystem(patch, errno.EXDEV)
            done = 0

            def stopping(real: Callable[..., Any], stop: int = stop) -> Callable[..., Any]:
                def call(*args: Any, **options: Any) -> Any:
                    nonlocal done
                    done += 1
                    if done > stop:  # after the stop nothing more is done, not even clean-up
                        raise KeyboardInterrupt
                    return real(*args, **options)

                return call

            for name in CALLS:
                patch.setattr(os, name, stopping(getattr(os, name)))
            try:
                applied(rows, tmp_path, **resolved(how, tmp_path))
                ended = True
            except KeyboardInterrupt:
                ended = False
        assert contents(tmp_path) >= files
        for undo_path in sorted(tmp_path.glob("undo-*")):
            if undo_path.stat().st_size and b"\n" in undo_path.read_bytes():
                assert undo(read_undo_file(str(undo_path))).passed_over == []
            undo_path.unlink()
        assert tree(folder) == before, f"stopped before call {stop}"
        assert contents(tmp_path / "aside") == set()
        if ended:
            break
    assert ended and stop > 10


def test_the_undo_file_is_on_the_disk_before_the_file_is_touched(
    photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda f: (order.append("sync"), fsync(f))[1])
    monkeypatch.setattr(os, "link", lambda a, b, **k: (order.append("act"), link(a, b, **k))[1])
    applied(plan(photos)[:1], tmp_path, move_to=str(tmp_path / "aside"))
    assert order.index("act") > order.index("sync") and order[order.index("act") - 1] == "sync"


def test_an_undo_file_that_can_not_be_written_stops_before_the_file_is_touched(
    photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, calls = tree(tmp_path / "library"), os.write, [0]

    def full(handle: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > 2:  # the first line and the first entry fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match="No space left"):
        applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"))
    monkeypatch.undo()
    assert photos["near"].exists()
    undo(read_undo_file(str(tmp_path / "undo-0.jsonl")))
    assert tree(tmp_path / "library") == before


@pytest.mark.parametrize("data", [b"", b"{}\n", b"nonsense\n", b'{"kind": "facecluster undo", "format": 99}\n', b"\xff\xfe\n", b"[]\n"])
def test_other_files_are_refused_as_undo_files_in_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "u").write_bytes(data)
    with pytest.raises(InputError, match="expected an undo file") as raised:
        read_undo_file(str(tmp_path / "u"))
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="expected an undo file"):
        read_undo_file(str(tmp_path / "missing"))


def test_an_undo_file_whose_last_line_was_cut_off(photos: dict[str, Path], tmp_path: Path) -> None:
    before = tree(tmp_path / "library")
    _, undo_path = applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"))
    with open(undo_path, "ab") as f:
        f.write(b'{"uri": "/half')
    undo(read_undo_file(str(undo_path)))
    assert tree(tmp_path / "library") == before


# -- the plan as a table --------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


@given(st.lists(st.builds(
    Row, group=st.integers(1, 10**6), kind=st.sampled_from(["", "copy", "near"]), action=st.sampled_from(["keep", "move"]), uri=TEXT,
    keeper=TEXT,
    sha256=st.just("a" * 64), keeper_sha256=st.just("b" * 64), size=st.integers(0, 10**12), width=st.integers(0, 10**5),
    height=st.integers(0, 10**5), format=TEXT, taken_at=TEXT, why=TEXT, reason=TEXT,
)), st.sampled_from([",", ";", "\t"]))  # fmt: skip
def test_rows_survive_csv(rows: list[Row], separator: str) -> None:
    assert from_csv(to_csv(rows), "plan.csv") == rows
    if rows:
        table = list(csv.reader(io.StringIO(to_csv(rows), newline="")))
        out = io.StringIO()
        csv.writer(out, delimiter=separator).writerows(line[::-1] for line in table)  # other columns first, another separator
        assert from_csv("\ufeff" + out.getvalue(), "plan.csv") == rows


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: "a,b\n1,2\n", "column 'action'"), (lambda t: t.replace("move", "delete"), "found 'delete' in line 2"),
        (lambda t: t.replace("a" * 64, "a" * 63), "line 2"), (lambda t: "", "column 'action'"),
        (lambda t: t + '"open', "plan.csv"),
    ],
)  # fmt: skip
def test_an_invalid_plan_is_refused(change: Callable[[str], str], says: str) -> None:
    text = to_csv([row("/a.jpg", "/b.jpg", sha256="a" * 64, keeper_sha256="b" * 64)])
    with pytest.raises(InputError) as raised:
        from_csv(change(text), "plan.csv")
    assert says in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["hard", "symbolic"])
@pytest.mark.parametrize("call", ["link", "symlink", "lstat", "unlink"])
def test_a_photo_that_is_saved_at_this_moment_is_never_lost(
    kind: str, call: str, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor saves the photo between any two steps of the replacement."""
    from facecluster.dedup import files

    path, saved = photos["copy"], []
    real = getattr(os, call)

    def step(*args: Any, **more: Any) -> Any:
        if not saved and checked:
            saved.append(1)
            (path.parent / "editor.tmp").write_bytes(b"the picture, edited")
            os.replace(path.parent / "editor.tmp", path)
        return real(*args, **more)

    checked: list[int] = []
    unpatched = files.link
    monkeypatch.setattr("facecluster.dedup.apply.link", lambda *a: (checked.append(1), unpatched(*a)))
    monkeypatch.setattr(os, call, step)
    applied(plan(photos), tmp_path, link=kind)
    monkeypatch.undo()
    assert not saved or path.read_bytes() == b"the picture, edited" and not path.is_symlink()
    assert {p.name for p in path.parent.iterdir()} == {"copy.jpg"}


def test_a_plan_or_an_undo_file_of_another_store_does_nothing(photos: dict[str, Path], tmp_path: Path) -> None:
    result, undo_path = applied(plan(photos), tmp_path, move_to=str(tmp_path / "aside"), known=[str(photos["kept"])])
    assert result.done == [] and all("no photo of this store" in why for _, why in result.passed_over) and not undo_path.exists()
    key = b"k" * 32
    written = UndoFile(str(tmp_path / "undo.jsonl"), key)
    entry = UndoEntry(
        uri=str(photos["kept"]), to=str(photos["copy"]), link="", sha256=hashlib.sha256(b"the picture").hexdigest(), keeper="",
        mtime_ns=0, mode=0o644,
    )  # fmt: skip
    written.add(entry)
    written.add(entry)
    written.close()
    assert read_undo_file(written.path, key) == [entry, entry]
    with pytest.raises(InputError, match="another store"):
        read_undo_file(written.path, b"x" * 32)
    lines = Path(written.path).read_text().splitlines(keepends=True)
    for forged in (lines[:1] + lines[2:], [*lines[:2], lines[2].replace("644", "600").replace("420", "384")], [*lines, lines[2]]):
        (tmp_path / "forged.jsonl").write_text("".join(forged))
        with pytest.raises(InputError, match="another store"):
            read_undo_file(str(tmp_path / "forged.jsonl"), key)
    bare = UndoFile(str(tmp_path / "bare.jsonl"))  # as older versions wrote it, or anybody
    bare.add(entry)
    bare.close()
    back = undo(read_undo_file(bare.path, key))
    assert back.done == [] and "does not prove" in back.passed_over[0][1] and photos["copy"].exists()


def test_of_leftovers_one_that_may_be_a_photo_stays(tmp_path: Path) -> None:
    """The machine stops after a photo and the link that replaces it changed names, and before the photo was compared."""
    begin = ".facecluster-" + "0123456789abcdef" * 2
    (tmp_path / f"{begin}.link.tmp").write_bytes(b"saved at this moment")
    (tmp_path / "kept.jpg").write_bytes(b"kept")
    os.link(tmp_path / "kept.jpg", tmp_path / f"{begin[:-1]}0.link.tmp")
    (tmp_path / f"{begin[:-1]}1.link.tmp").symlink_to(tmp_path / "kept.jpg")
    (tmp_path / f"{begin[:-1]}2.tmp").write_bytes(b"half of a copy")
    remove_leftovers(str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {f"{begin}.link.tmp", "kept.jpg"}


def test_two_undo_files_of_one_second(tmp_path: Path) -> None:
    """The same command again within the second, as after an error of the disk: it said that the file exists, and moved nothing."""
    entry = UndoEntry(uri="/a", to="/b", link="", sha256="0" * 64, keeper="", mtime_ns=0, mode=0o644)
    files = [UndoFile(str(tmp_path / "undo-20261127-043749.jsonl")) for _ in range(3)]
    for file in files:
        file.add(entry)
        file.close()
    assert [Path(file.path).name for file in files] == [f"undo-20261127-043749{more}.jsonl" for more in ("", "-2", "-3")]
    assert all(len(Path(file.path).read_text().splitlines()) == 2 for file in files)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected to create the undo file"):
        UndoFile(str(tmp_path / "file" / "undo.jsonl")).add(entry)
