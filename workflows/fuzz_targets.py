"""What is fuzzed: each reader of foreign input, with small inputs that this file makes itself. For `fuzz.py`.

A reader gets bytes and a folder of its own. It may give a result, or raise a FaceclusterError of one line; anything else is a finding.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, parse_headers
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_media import media
from fuzz_planted import SEED, read_planted
from PIL import Image

from facecluster.calibrate.store_calibration import read_calibration
from facecluster.check.records import check_records, check_store_file
from facecluster.check.shards import check_shards
from facecluster.decisions import Decision, active, read
from facecluster.dedup.plan import from_csv
from facecluster.dedup.undo_file import read_undo_file
from facecluster.errors import InputError
from facecluster.evaluation.csv_file import decoded, sheet_of
from facecluster.export.output_folder import OutputFolder
from facecluster.export.photo_library import Photo
from facecluster.export.photo_packets import packets_in
from facecluster.export.picasa import read_contacts, read_ini
from facecluster.export.takeout import read_people
from facecluster.export.xmp import merge_sidecar
from facecluster.known.vcard import contacts
from facecluster.models.card import read_card
from facecluster.models.registry import card_of
from facecluster.people import all_runs, current_run
from facecluster.photos.archives.opened import list_members, read_member
from facecluster.photos.gone import gone_folders
from facecluster.photos.images import decode_crop, is_photo, open_here
from facecluster.photos.lists import read_list
from facecluster.photos.origin import origin_of
from facecluster.photos.sidecar import sidecar_orientation
from facecluster.privacy.forget_plan import read_plan
from facecluster.review.access import refusal_reason
from facecluster.store import FACES, Store
from facecluster.store.copies import read_copies

Read = Callable[[bytes, Path], object]
FACE = "0123456789abcdef01234567-0000"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader, and inputs that it reads."""

    read: Read
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()  # that the format has
    forks: bool = False  # it reads in forks, whose coverage nobody sees: so nothing leads it


# -- pictures -------------------------------------------------------------------------------------------------------------------------


def _picture(format: str, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, format, **options)
    return out.getvalue()


def _exif() -> Image.Exif:
    found = Image.Exif()
    found[0x0112], found[0x010F], found[0x0131], found[0x0132] = 6, "maker", "an editor", "2024:01:02 03:04:05"
    found.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    return found


def _pictures() -> list[bytes]:
    jpeg = [_picture("JPEG"), _picture("JPEG", exif=_exif()), _picture("JPEG", progressive=True), _picture("JPEG", "CMYK")]
    others = [_picture("PNG", "RGBA"), _picture("PNG", "P"), _picture("WEBP", exif=_exif()), _picture("TIFF", compression="tiff_lzw")]
    return [*jpeg, *others, _picture("GIF", "P"), _picture("BMP"), _picture("JPEG2000"), _picture("AVIF", exif=_exif())]


def _read_picture(data: bytes, folder: Path) -> None:
    is_photo(data[:64])
    open_here(data, max_side=64, min_short=0, exact=True, orientation=None)


def _read_metadata(data: bytes, folder: Path) -> None:
    origin_of(data)
    (folder / "photo.jpg").write_bytes(data)
    packets_in(folder / "photo.jpg")


# -- sidecars and texts ---------------------------------------------------------------------------------------------------------------

_XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 tiff:Orientation="6" xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
 xmlns:a="http://ns.adobe.com/xmp/sType/Area#"><R:Regions rdf:parseType="Resource">
<R:AppliedToDimensions d:w="120" d:h="90" d:unit="pixel"/>
<R:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource"><R:Name>Ann</R:Name><R:Type>Face</R:Type><R:Area a:x=".5" a:y=".5" a:w=".2" a:h=".3"
 a:unit="normalized"/></rdf:li></rdf:Bag></R:RegionList></R:Regions></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def _photo() -> Photo:
    found = {"photo_id": "0" * 64, "uris": ("/a.jpg",), "format": "JPEG", "width": 120, "height": 90, "orientation": 1, "turn": 0}
    names = Photo.__dataclass_fields__
    blank: dict[str, Any] = {"taken_at": "", "contents": {}, "faces": 0}
    return Photo(**{key: value for key, value in (blank | found).items() if key in names})


def _read_sidecar(data: bytes, folder: Path) -> None:
    (folder / "a.jpg.xmp").write_bytes(data)
    sidecar_orientation(str(folder / "a.jpg"))
    merge_sidecar(data, _photo(), [])


def _read_list(data: bytes, folder: Path) -> None:
    (folder / "list.txt").write_bytes(data)
    list(read_list(str(folder / "list.txt")))


def _read_table(data: bytes, folder: Path) -> None:
    sheet_of(decoded(data), "a.csv")


def _read_card(data: bytes, folder: Path) -> None:
    (folder / "model.toml").write_bytes(data)
    read_card(folder / "model.toml")


def _bundled_card() -> list[bytes]:
    import facecluster.models

    return [(Path(facecluster.models.__file__).parent / "weights" / "embedder.toml").read_bytes()[:6000]]


def _read_plan_file(data: bytes, folder: Path) -> None:
    from_csv(decoded(data), "plan.csv")


def _plan() -> list[bytes]:
    head = "group,action,uri,keeper,reason,sha256,keeper_sha256,kind,size\n"
    return [f"{head}1,move,/a.jpg,/b.jpg,same bytes,{'a' * 64},{'a' * 64},exact,12\n".encode()]


def _read_undo(data: bytes, folder: Path) -> None:
    (folder / "undo.jsonl").write_bytes(data)
    read_undo_file(str(folder / "undo.jsonl"))
    read_undo_file(str(folder / "undo.jsonl"), b"k" * 32)


def _undo() -> list[bytes]:
    row = {"uri": "/a.jpg", "to": "/b.jpg", "link": "hard", "sha256": "a" * 64, "keeper": "/c.jpg", "mtime_ns": 5, "mode": 420}
    return [b'{"kind": "facecluster undo", "format": 1}\n' + json.dumps(row).encode() + b"\n"]


def _read_library(data: bytes, folder: Path) -> None:
    errors: list[Exception] = []
    for step in (read_people, read_ini, read_contacts):
        try:
            step(data)
        except Exception as e:
            expected(e)
            errors.append(e)
    if len(errors) == 3:
        raise errors[0]


# -- archives -------------------------------------------------------------------------------------------------------------------------


def _read_archive(kind: str) -> Read:
    def read_it(data: bytes, folder: Path) -> None:
        path = folder / f"archive.{kind}"
        path.write_bytes(data)
        for member in list(list_members(kind, str(path), len(data), is_photo, Counter()))[:20]:
            if not member.error:
                read_member(kind, str(path), member.key)

    return read_it


def _tar() -> list[bytes]:
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as file:
            for name in ("a.jpg", "ü" * 40 + "/" + "n" * 30 + ".png"):
                info = tarfile.TarInfo(name)
                info.size = len(data := _picture("PNG"))
                file.addfile(info, io.BytesIO(data))
        found.append(out.getvalue()[:4096])
    return found


def _zip() -> list[bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/b.jpg", _picture("JPEG"))
        file.writestr("c.json", b'{"label": "x"}')
    return [out.getvalue()]


def _rec() -> list[bytes]:
    body = struct.pack("<IfQQ", 0, 1.0, 1, 0) + _picture("JPEG")
    record = struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)
    return [record * 2]


def _parquet() -> list[bytes]:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array([_picture("PNG")] * 2, pa.binary()), "label": ["a", "b"]}), out)
    return [out.getvalue()]


# -- stores ---------------------------------------------------------------------------------------------------------------------------

_FILES = (
    "runs/current.json", "runs/00001/run.json", "calibration/bundled.json", "files/sources.json", "exports.json", "forgetting.json",
    "index/bundled/index.json", "recognisability/bundled.json", "reading/bundled.json", "runs/unchanged.json", "store.json",
    "out/.facecluster-export.json",
)  # fmt: skip


def _store(folder: Path) -> Store:
    store = Store(str(folder / "store"))
    store.create()
    return store


def _read_json(data: bytes, folder: Path) -> None:
    """The first byte says which file it is."""
    store = _store(folder)
    path = folder / "store" / _FILES[(data[:1] or b"\0")[0] % len(_FILES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data[1:])
    steps: tuple[Callable[[], object], ...] = (
        store.check, lambda: current_run(store), lambda: all_runs(store), lambda: read_calibration(store, card_of("bundled")),
        lambda: gone_folders(store), lambda: read_copies(store), lambda: read_plan(store), lambda: [*check_store_file(store)],
        lambda: [*check_records(store, set())], lambda: OutputFolder(str(folder / "store" / "out"), "csv", dry_run=True),
    )  # fmt: skip
    errors = []
    for step in steps:
        try:
            step()
        except Exception as e:
            errors.append(e)
    path.unlink() if before is None else path.write_bytes(before)
    for error in errors:
        expected(error)


def _json_files() -> list[bytes]:
    run = {"format": 1, "number": 1, "at": "2024-01-02T03:04:05Z", "model": "bundled", "settings": {"margin": 0.7}, "counts": {"faces": 3}}
    run |= {"decisions": 0, "churn": {"before": None, "faces": 0}}
    line = {"slope": 9.5, "intercept": -3.1}
    fitted = {"format": 1, "model": "bundled", "weights": "x", "method": 5, "pairs": line, "place": line, "at": "", "rests_on": {}}
    made = [
        {"format": 1, "run": 1}, run, fitted, ["/photos"], {"exports": [{"kind": "csv", "where": "/x", "at": "2024-01-02T03:04:05Z"}]},
        {"format": 1, "id": "0a", "faces": [FACE]}, {"digest": "x", "faces": 2, "sources": 1, "bytes": 9, "files": 1, "sha256": {"a": "b"}},
        {"faces": 3, "recognisability": {"intercept": 1.0, "weights": [0.1]}}, {"faces": 3, "reading": {"impostor_mean": 0.1}},
        {"state": "x", "notes": ["a"]}, {"kind": "facecluster store", "format": 1},
        {"kind": "facecluster export", "files": {"a.csv": {"to": "csv", "is": "0" * 64, "size": "3"}}},
    ]  # fmt: skip
    return [bytes([i]) + json.dumps(value).encode() for i, value in enumerate(made)]


def _read_journal(data: bytes, folder: Path) -> None:
    store = _store(folder)
    (folder / "store" / "decisions.jsonl").write_bytes(data)
    for decision in active(read(store).decisions):
        decision.to_line().encode()


def _journal() -> list[bytes]:
    made = [
        Decision(act="name", id="a1", at="2024-01-02T03:04:05Z", faces=(FACE,), name="Zoë", boxes={FACE: (1.0, 2.0, 30.0, 40.0)}),
        Decision(act="same", id="a2", at="2024-01-02T03:04:05Z", faces=(FACE, FACE[:-1] + "1")),
        Decision(act="undo", id="a3", at="2024-01-02T03:04:05Z", of="a2"),
    ]
    return [(d.to_line() + "\n").encode() for d in made]


def _read_shard(data: bytes, folder: Path) -> None:
    """As commands read it, whole and in part, and as `check` does."""
    store = _store(folder)
    path = Path(store.shard_path("faces", "00000"))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    errors = []
    for step in (
        lambda: store.read("faces", "00000"), lambda: store.read_all("faces", FACES, ["face_id", "box"]),
        lambda: store.stamp("faces", "00000"), lambda: [*check_shards(store, {"faces": ["00000"]}, lambda done, total: None)],
    ):  # fmt: skip
        try:
            step()
        except Exception as e:
            errors.append(e)
    for error in errors:
        expected(error)


def _shards() -> list[bytes]:
    """Without digests, as earlier versions wrote them: else a reader sees no more of a changed one than that."""
    rows = {f.name: pa.nulls(1, f.type) for f in FACES} | {"face_id": pa.array([FACE]), "box": pa.array([[1.0, 2.0, 3.0, 4.0]])}
    table = pa.table({f.name: rows[f.name].cast(f.type) for f in FACES}).replace_schema_metadata({"facecluster": '{"format": 1}'})
    out = io.BytesIO()
    pq.write_table(table, out, compression="none")
    return [out.getvalue()]


# -- the review page ------------------------------------------------------------------------------------------------------------------

_session: list[Any] = []  # one for all inputs


def _page(folder: Path) -> Any:
    if not _session:
        from coloured_photos import HUES, Picture, draw
        from fault_process import pretend

        import facecluster
        from facecluster.review.session import Session

        pretend()
        rng, photos = np.random.default_rng(0), folder / "photos"
        photos.mkdir()
        for number in range(2 * HUES):
            draw(Picture(number, (number % HUES,), ((0.5, 0.5),)), rng).save(photos / f"{number}.jpg")
        facecluster.run(photos, str(folder / "reviewed"), report=False)
        _session.append(Session(Store(str(folder / "reviewed"))))
    return _session[0]


def _read_request(data: bytes, folder: Path) -> None:
    """The first byte says what it is: headers, the query of a page, or an action."""
    from facecluster.review import api

    kind, rest = (data[:1] or b"\0")[0] % 4, data[1:]
    if kind == 0:
        try:
            headers: Message = parse_headers(io.BytesIO(rest))
        except HTTPException:  # http.server answers that by itself
            return
        path = rest.split(b"\n")[0].decode("latin-1")
        refusal_reason("POST", path, headers, hosts={"127.0.0.1:1"}, cookie="c", token="t", once="o")
    elif kind == 1:
        name, _, query = rest.decode("latin-1").partition("?")
        route = [*api.GET_ROUTES.values()][sum(name.encode("latin-1")) % len(api.GET_ROUTES)]
        route(_page(folder), dict(parse_qsl(query)))
    else:
        try:
            wanted = json.loads(rest)
        except (ValueError, RecursionError) as e:
            raise InputError("expected JSON, found something else") from e
        if isinstance(wanted, dict) and wanted.get("act") not in ("regroup", "forget", "draw"):  # start programs, or load models
            api.act(_page(folder), wanted)


def _requests() -> list[bytes]:
    acts = [{"act": "name", "person": "p-00000000", "name": "Ann"}, {"act": "same", "faces": [FACE, FACE]}, {"act": "undo", "of": "a1"}]
    acts += [{"act": "split", "person": "p-00000000", "faces": [FACE]}, {"act": "merge", "person": "p-0", "others": ["p-1"]}]
    queries = [b"\x01a?id=p-00000000&from=0&count=5", b"\x01b?q=ann&offset=3", b"\x01c?photo=" + b"0" * 64]
    heads = [b"\x00Host: 127.0.0.1:1\r\nCookie: c=t\r\nX-Token: t\r\nOrigin: http://127.0.0.1:1\r\n\r\n"]
    return [*heads, *queries, *(b"\x02" + json.dumps(act).encode() for act in acts)]


def expected(error: BaseException) -> None:
    """Raise an error unless it is one line for the user."""
    from facecluster.errors import FaceclusterError

    if not isinstance(error, FaceclusterError):
        raise error
    if "\n" in str(error) or not str(error).strip():
        raise AssertionError(f"an error of several lines: {str(error)[:200]!r}") from error


_JSON = (b'{"', b'": ', b"[", b"]", b"}", b"null", b"true", b"1e999", b"-1", b"99999999999999999999", b'"\\ud800"', b"NaN")
TARGETS = {
    "pictures": Target(read=_read_picture, seeds=_pictures),
    "metadata of pictures": Target(read=_read_metadata, seeds=_pictures, words=(b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")),
    "crops": Target(read=lambda data, folder: decode_crop(data), seeds=lambda: [_picture("WEBP")]),
    "sidecars": Target(read=_read_sidecar, seeds=lambda: [_XMP], words=(b"<rdf:li>", b"<!DOCTYPE", b"&amp;", b"xmlns:", b"<![CDATA[")),
    "lists": Target(read=_read_list, seeds=lambda: [b"/a.jpg\n\xff\xfe/b.jpg\r\nhttps://x/y.png\n"]),
    "tables": Target(read=_read_table, seeds=lambda: [b"\xef\xbb\xbfperson_id,name\np-00000000,Ann\n", b'a;b\n"c\nd";e\n']),
    "cards": Target(read=_read_card, seeds=_bundled_card, words=(b"[input]", b"= inf", b"= nan", b'"""', b"[[")),
    "contacts": Target(
        read=lambda data, folder: list(contacts(data)), words=(b"BEGIN:VCARD", b"PHOTO;", b"ENCODING=b:", b"CHARSET=", b"=\r\n"),
        seeds=lambda: [b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN;CHARSET=utf-8:Ann\r\nPHOTO;ENCODING=b;TYPE=JPEG:/9j/\r\n 4AAQ\r\nEND:VCARD\r\n"],
    ),
    "plans": Target(read=_read_plan_file, seeds=_plan),
    "undo files": Target(read=_read_undo, seeds=_undo, words=_JSON),
    "other programs' names": Target(
        read=_read_library, words=(*_JSON, b"faces=rect64("),
        seeds=lambda: [b'{"title": "a.jpg", "people": [{"name": "Ann"}]}', b"[a.jpg]\nfaces=rect64(3f845bcb59418507),8e62398ebda8c1a5\n"],
    ),
    "tar": Target(read=_read_archive("tar"), seeds=_tar),
    "zip": Target(read=_read_archive("zip"), seeds=_zip, words=(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")),
    "rec": Target(read=_read_archive("rec"), seeds=_rec, words=(b"\x0a\x23\xd7\xce",)),
    "parquet": Target(read=_read_archive("parquet"), seeds=_parquet),
    "JSON files of a store": Target(read=_read_json, seeds=_json_files, words=_JSON),
    "journal": Target(read=_read_journal, seeds=_journal, words=_JSON),
    "shards": Target(read=_read_shard, seeds=_shards),
    "requests to review": Target(read=_read_request, seeds=_requests, words=_JSON),
    "planted": Target(read=read_planted, seeds=lambda: [SEED]),  # no reader of facecluster's: it is asked for by name only
    **{name: Target(read=read, seeds=seeds, words=words, forks=name == "LMDB") for name, read, seeds, words in media()},
}  # fmt: skip
