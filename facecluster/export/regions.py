"""Face regions of the Metadata Working Group (Guidelines for Handling Image Metadata 2.0, section 5.9) in a sidecar's tree.

A region is normalised: centre x, y and size w, h as shares of the picture's width and height. It refers to the picture *as stored*, before
EXIF's orientation turns it (so do exiftool, digiKam, Immich); AppliedToDimensions are the stored width and height in px. Some programs
refer to the upright picture instead: where the AppliedToDimensions are those of the upright picture and not of the stored one, the regions
are taken so. HEIC files are stored upright as far as anyone can see: their decoder turns them.

Odd input: a region without a rectangle, or with one that is not finite, stays in the file and is not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.dom.minidom import Document, Element

from facecluster.export import packet
from facecluster.export.library import Photo
from facecluster.export.packet import RDF

MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
AREA = "http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
OURS = "urn:facecluster:1#"
_NEAR = 0.02  # by how much shapes may differ and still be one: sizes are rounded when a picture is reduced

Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Region:
    """A region of a sidecar."""

    node: Element  # its rdf:li
    kind: str  # Face, Pet, Focus, BarCode
    name: str
    area: Box  # centre x, y and w, h, normalised
    face_id: str  # of the face that this program wrote it for, or ''
    written: str  # the name that this program gave it
    made: bool  # this program made the region, and not only its name


def turned(box: Box, orientation: int) -> Box:
    """A normalised centre box of the upright picture as it lies in the stored one (EXIF 2.32, section 4.6.4)."""
    x, y, w, h = box
    x, y = [
        (x, y), (1 - x, y), (1 - x, 1 - y), (x, 1 - y), (y, x), (y, 1 - x), (1 - y, 1 - x), (1 - y, x),
    ][orientation - 1]  # fmt: skip
    return (x, y, h, w) if orientation >= 5 else (x, y, w, h)


def upright(box: Box, orientation: int) -> Box:
    """The inverse of `turned`: 6 and 8 undo each other, the others themselves."""
    return turned(box, {6: 8, 8: 6}.get(orientation, orientation))


def to_area(box: Box, width: int, height: int) -> Box:
    """x, y, w, h in px of a picture to centre and size in shares of it."""
    x, y, w, h = box
    return (x + w / 2) / width, (y + h / 2) / height, w / width, h / height


def to_box(area: Box, width: int, height: int) -> Box:
    """The inverse of `to_area`."""
    x, y, w, h = area
    return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height


def stored_orientation(photo: Photo) -> int:
    """The orientation that lies between a photo's pixels as stored and upright."""
    return 1 if photo.format == "HEIF" or not 1 <= photo.orientation <= 8 else photo.orientation


def frame(document: Document, photo: Photo) -> int | None:
    """The orientation that the sidecar's regions are to be turned by; None if they belong to a picture of another shape."""
    orientation = stored_orientation(photo)
    applied = dimensions(document)
    if applied is None or not photo.width or not photo.height:
        return orientation
    stored = (photo.height, photo.width) if orientation >= 5 else (photo.width, photo.height)
    if _alike(applied, stored):
        return orientation
    return 1 if _alike(applied, (photo.width, photo.height)) else None


def _alike(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(math.log(a[0] * b[1] / (a[1] * b[0]))) < _NEAR


def dimensions(document: Document) -> tuple[float, float] | None:
    """AppliedToDimensions: width and height; None where there are none."""
    info = info_node(document)
    node = packet.fields(info).get((MWG, "AppliedToDimensions")) if info is not None else None
    if not isinstance(node, Element):
        return None
    found = packet.fields(node)
    w, h = (_number(found.get((DIMENSIONS, k))) for k in "wh")
    return (w, h) if w is not None and h is not None and w > 0 and h > 0 else None


def info_node(document: Document) -> Element | None:
    """The mwg-rs:Regions property."""
    for description in packet.descriptions(document):
        for child in packet.elements(description):
            if packet.is_a(child, MWG, "Regions"):
                return child
    return None


def read(document: Document) -> list[Region]:
    """The regions of a sidecar that have a rectangle."""
    info = info_node(document)
    listed = packet.fields(info).get((MWG, "RegionList")) if info is not None else None
    if not isinstance(listed, Element):
        return []
    applied = dimensions(document)
    regions = []
    for container in packet.elements(listed):
        for item in packet.elements(container):
            region = _read_one(item, applied) if packet.is_a(item, RDF, "li") else None
            if region is not None:
                regions.append(region)
    return regions


def _read_one(item: Element, applied: tuple[float, float] | None) -> Region | None:
    found = packet.fields(item)
    node = found.get((MWG, "Area"))
    if not isinstance(node, Element):
        return None
    area = packet.fields(node)
    x, y, w, h, d = (_number(area.get((AREA, k))) for k in "xywhd")
    width, height = applied or (1.0, 1.0)
    if w is None and h is None and d is not None:  # a circle: its diameter is a share of the shorter side
        w, h = (d * min(width, height) / width, d * min(width, height) / height) if applied else (d, d)
    if x is None or y is None or w is None or h is None or w <= 0 or h <= 0:
        return None
    if packet.text(area.get((AREA, "unit"))) == "pixel":
        if applied is None:
            return None
        x, y, w, h = x / width, y / height, w / width, h / height
    more = found.get((MWG, "Extensions"))
    ours = packet.fields(more) if isinstance(more, Element) else {}
    return Region(
        item, packet.text(found.get((MWG, "Type"))), packet.text(found.get((MWG, "Name"))), (x, y, w, h),
        packet.text(ours.get((OURS, "FaceId"))), packet.text(ours.get((OURS, "Name"))), packet.text(ours.get((OURS, "Made"))) == "region",
    )  # fmt: skip


def _number(value: Element | str | None) -> float | None:
    try:
        number = float(packet.text(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e9 else None


def make_list(document: Document, width: int, height: int) -> Element:
    """The container to append regions to; made, with AppliedToDimensions in px, if there is none."""
    info = info_node(document)
    if info is None:
        info = packet.add(packet.first_description(document), MWG, "mwg-rs", "Regions")
        packet.set_attribute(info, RDF, "rdf", "parseType", "Resource")
    found = packet.fields(info)
    if (MWG, "AppliedToDimensions") not in found:
        node = packet.add(packet.holder(info), MWG, "mwg-rs", "AppliedToDimensions")
        for name, value in (("w", str(width)), ("h", str(height)), ("unit", "pixel")):
            packet.set_attribute(node, DIMENSIONS, "stDim", name, value)
    listed = found.get((MWG, "RegionList"))
    if not isinstance(listed, Element):
        listed = packet.add(packet.holder(info), MWG, "mwg-rs", "RegionList")
    containers = [c for c in packet.elements(listed) if c.namespaceURI == RDF]
    return containers[0] if containers else packet.add(listed, RDF, "rdf", "Bag")


def append(container: Element, area: Box, face_id: str, name: str) -> None:
    """Add a region for a face."""
    item = packet.add(container, RDF, "rdf", "li")
    packet.set_attribute(item, RDF, "rdf", "parseType", "Resource")
    if name:
        packet.add(item, MWG, "mwg-rs", "Name", name)
    packet.add(item, MWG, "mwg-rs", "Type", "Face")
    node = packet.add(item, MWG, "mwg-rs", "Area")
    for key, value in zip("xywh", area, strict=True):
        packet.set_attribute(node, AREA, "stArea", key, f"{value:.6f}")
    packet.set_attribute(node, AREA, "stArea", "unit", "normalized")
    sign(item, face_id, name, made=True)


def sign(item: Element, face_id: str, name: str, *, made: bool) -> None:
    """Note in a region's Extensions which face it is and what this program wrote, so that a later export knows what is its own."""
    more = packet.fields(item).get((MWG, "Extensions"))
    if not isinstance(more, Element):
        more = packet.add(packet.holder(item), MWG, "mwg-rs", "Extensions")
        packet.set_attribute(more, RDF, "rdf", "parseType", "Resource")
    for key, value in (("FaceId", face_id), ("Name", name), ("Made", "region" if made else "name")):
        packet.set_field(more, OURS, "facecluster", key, value)
