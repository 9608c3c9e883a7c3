"""The photos of an archive, as a search finds them: by the names of the members, or where these have none by their bytes."""

from __future__ import annotations

from collections.abc import Container, Iterator

from facecluster.errors import PhotoError
from facecluster.photos.archives.labels import label_beside
from facecluster.photos.archives.opened import list_members, state_of
from facecluster.photos.archives.uris import Member, NotAnArchiveError, archive_kind, member_parts, member_uri
from facecluster.photos.extras import LMDB, is_installed
from facecluster.photos.found_file import FoundFile, SeenArchives
from facecluster.photos.images import is_photo
from facecluster.photos.names import is_hidden, is_taken
from facecluster.photos.passed_over import PassedOver, extension_of, is_live_part

_NAMED = ("tar", "zip")  # kinds whose members have names of files


def photos_in_archive(uri: str, passed_over: PassedOver, archives: SeenArchives, *, named: bool) -> Iterator[FoundFile]:
    """The photos in an archive; what is wrong with it is one file with an error, the archive itself.

    Args:
        uri: of the archive.
        passed_over: counts what is not taken.
        archives: an archive that is known and unchanged is not opened.
        named: the user named the archive, so it is an error if it is none.
    """
    try:
        if "!/" in uri:
            raise PhotoError("expected an address of an archive without '!/', found one with it: rename it")
        size, mtime_ns = state_of(uri)
    except PhotoError as e:
        yield FoundFile(uri, error=str(e))
        return
    if archives.known.get(uri) == (size, mtime_ns):
        archives.unchanged.add(uri)
        return
    kind = str(archive_kind(uri))
    if kind == "lmdb" and not named and not is_installed(LMDB):
        passed_over.missing[LMDB.name] += 1
        return
    missing = passed_over.missing.total()
    members: dict[str, Member] = {}
    problems: list[str] = []
    try:
        for member in list_members(kind, uri, size, is_photo, passed_over.inside):
            if not member.key:
                problems.append(member.error or "")
                continue
            if member.key in members:
                passed_over.inside["earlier members of the same name"] += 1
            members[member.key] = member
    except NotAnArchiveError as e:
        if named:
            yield FoundFile(uri, size, mtime_ns, str(e))
        else:
            passed_over.others[extension_of(uri.rpartition("/")[2])] += 1
        return
    for key, member in members.items():
        if kind not in _NAMED or _is_taken(kind, key, member.size, members, passed_over):
            label = label_beside(uri, mtime_ns, key, members) if kind == "tar" else member.label
            yield FoundFile(member_uri(kind, uri, key), member.size, mtime_ns, member.error, offset=member.offset, label=label)
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        first = problems[0] if problems[0].startswith("expected") else f"expected a whole {kind} archive, found that {problems[0]}"
        yield FoundFile(uri, size, mtime_ns, first + more)
    archives.listed[uri] = size, mtime_ns
    if passed_over.missing.total() > missing:
        archives.again.add(uri)


def _is_taken(kind: str, key: str, size: int, members: Container[str], passed_over: PassedOver) -> bool:
    """Whether a member has the name of a photo."""
    parts = member_parts(kind, key)
    if not parts or any(map(is_hidden, parts)):
        return False
    if archive_kind(key):
        passed_over.inside["nested archives"] += 1
        return False
    return is_taken(key, passed_over, lambda: is_live_part(key, size, members.__contains__, None))
