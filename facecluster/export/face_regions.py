"""Face regions of the Metadata Working Group (Guidelines for Handling Image Metadata 2.0, section 5.9) in a sidecar's tree.

A region is normalised: centre x, y and size w, h as shares of the picture's width and height. It refers to the picture *as stored*, before
EXIF's orientation or, in HEIC and AVIF, the container's `irot` and `imir` turn it (exiftool, digiKam and Immich do the same).
AppliedToDimensions are the stored width and height in px. Some programs refer to the upright picture instead: see `region_frames`.

Odd input: a region without a finite rectangle stays in the file and is not read. A region in px without AppliedToDimensions is read by the
photo's own size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.dom.minidom import Document, Element

from facecluster.decisions.decision import is_person_id
from facecluster.export import xmp_packet
from facecluster.export.photo_library import Photo
from facecluster.export.xmp_packet import RDF

MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
AREA = "http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
OURS = "urn:facecluster:1#"

Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Region:
    """A region of a sidecar."""

    node: Element  # its rdf:li
    kind: str  # Face, Pet, Focus, BarCode
    name: str
    area: Box  # centre x, y and w, h, normalised
    face_id: str  # of the face that this program wrote it for, or ''
    written_name: str  # the name that this program wrote
    created: bool  # this program created the region, not only its name

    @property
    def is_face(self) -> bool:
        """Whether it shows a person, as far as it says."""
        return self.kind in ("Face", "")


def is_key(name: str) -> bool:
    """Whether a name is what `--ids` calls a person without one: a lasting id, or the number in a grouping without ids."""
    return is_person_id(name) or re.fullmatch(r"person \d{4,}", name) is not None


def to_stored(box: Box, orientation: int) -> Box:
    """A normalised centre box of the upright picture, in coordinates of the stored one (EXIF 2.32, section 4.6.4)."""
    x, y, w, h = box
    x, y = [
        (x, y), (1 - x, y), (1 - x, 1 - y), (x, 1 - y), (y, x), (y, 1 - x), (1 - y, 1 - x), (1 - y, x),
    ][orientation - 1]  # fmt: skip
    return (x, y, h, w) if orientation >= 5 else (x, y, w, h)


def to_upright(box: Box, orientation: int) -> Box:
    """The inverse of `to_stored`: orientations 6 and 8 are inverse to each other, the others to themselves."""
    return to_stored(box, {6: 8, 8: 6}.get(orientation, orientation))


def to_area(box: Box, width: int, height: int) -> Box:
    """From x, y, w, h in px of a picture to centre and size as shares of it."""
    x, y, w, h = box
    return (x + w / 2) / width, (y + h / 2) / height, w / width, h / height


def to_box(area: Box, width: int, height: int) -> Box:
    """The inverse of `to_area`."""
    x, y, w, h = area
    return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height


def stored_orientation(photo: Photo) -> int:
    """The orientation that turns a photo's stored pixels upright, as EXIF numbers them."""
    return photo.orientation if 1 <= photo.orientation <= 8 else 1


def stored_size(photo: Photo) -> tuple[int, int]:
    """Width and height of a photo's stored picture, px."""
    return (photo.height, photo.width) if stored_orientation(photo) >= 5 else (photo.width, photo.height)


def dimensions(document: Document) -> tuple[float, float] | None:
    """AppliedToDimensions: width and height; None if there are none."""
    info = regions_node(document)
    node = xmp_packet.fields(info).get((MWG, "AppliedToDimensions")) if info is not None else None
    if not isinstance(node, Element):
        return None
    found = xmp_packet.fields(node)
    w, h = (xmp_packet.number(found.get((DIMENSIONS, k))) for k in "wh")
    return (w, h) if w is not None and h is not None and w > 0 and h > 0 else None


def regions_node(document: Document) -> Element | None:
    """The mwg-rs:Regions property; of several the first that has regions."""
    nodes = xmp_packet.properties(document, MWG, "Regions")
    return next((node for node in nodes if _listed(node)), nodes[0] if nodes else None)


def _listed(info: Element) -> list[Element]:
    """The regions of a mwg-rs:Regions property."""
    listed = xmp_packet.fields(info).get((MWG, "RegionList"))
    return xmp_packet.items(listed) if isinstance(listed, Element) else []


def read_regions(document: Document, size: tuple[float, float] | None = None) -> list[Region]:
    """The regions of a sidecar that have a rectangle. `size`: of the stored picture in px, where the sidecar states none."""
    applied = dimensions(document) or (size if size and all(size) else None)
    items = [item for info in xmp_packet.properties(document, MWG, "Regions") for item in _listed(info)]
    return [region for item in items if (region := _read_one(item, applied)) is not None]


def count_regions(document: Document) -> int:
    """The number of regions of a sidecar, with those that have no rectangle."""
    return sum(len(_listed(info)) for info in xmp_packet.properties(document, MWG, "Regions"))


def _read_one(item: Element, applied: tuple[float, float] | None) -> Region | None:
    found = xmp_packet.fields(item)
    node = found.get((MWG, "Area"))
    if not isinstance(node, Element):
        return None
    area = xmp_packet.fields(node)
    x, y, w, h, d = (xmp_packet.number(area.get((AREA, k))) for k in "xywhd")
    width, height = applied or (1.0, 1.0)
    if w is None and h is None and d is not None:  # a circle; its diameter is a share of the shorter side
        w, h = (d * min(width, height) / width, d * min(width, height) / height) if applied else (d, d)
    if x is None or y is None or w is None or h is None or w <= 0 or h <= 0:
        return None
    if xmp_packet.text(area.get((AREA, "unit"))) == "pixel":
        if applied is None:
            return None
        x, y, w, h = x / width, y / height, w / width, h / height
    more = found.get((MWG, "Extensions"))
    ours = xmp_packet.fields(more) if isinstance(more, Element) else {}
    kind, name = (xmp_packet.text(found.get((MWG, key))) for key in ("Type", "Name"))
    face_id, written_name, made = (xmp_packet.text(ours.get((OURS, key))) for key in ("FaceId", "Name", "Made"))
    kind = "Face" if kind.lower() == "face" else kind
    return Region(item, kind, name, (x, y, w, h), face_id, written_name, made == "region")


def region_container(document: Document, width: int, height: int) -> Element:
    """The container to append regions to. If there is none, it is created with AppliedToDimensions in px."""
    info = regions_node(document)
    if info is None:
        info = xmp_packet.add_element(xmp_packet.first_description(document), MWG, "mwg-rs", "Regions")
        xmp_packet.set_attribute(info, RDF, "rdf", "parseType", "Resource")
    found = xmp_packet.fields(info)
    if (MWG, "AppliedToDimensions") not in found:
        node = xmp_packet.add_element(xmp_packet.field_parent(info), MWG, "mwg-rs", "AppliedToDimensions")
        for name, value in (("w", str(width)), ("h", str(height)), ("unit", "pixel")):
            xmp_packet.set_attribute(node, DIMENSIONS, "stDim", name, value)
    listed = found.get((MWG, "RegionList"))
    if not isinstance(listed, Element):
        listed = xmp_packet.add_element(xmp_packet.field_parent(info), MWG, "mwg-rs", "RegionList")
    containers = [c for c in xmp_packet.child_elements(listed) if c.namespaceURI == RDF]
    return containers[0] if containers else xmp_packet.add_element(listed, RDF, "rdf", "Bag")


def append_region(container: Element, area: Box, face_id: str, name: str) -> None:
    """Add a region for a face."""
    item = xmp_packet.add_element(container, RDF, "rdf", "li")
    xmp_packet.set_attribute(item, RDF, "rdf", "parseType", "Resource")
    if name:
        xmp_packet.add_element(item, MWG, "mwg-rs", "Name", name)
    xmp_packet.add_element(item, MWG, "mwg-rs", "Type", "Face")
    node = xmp_packet.add_element(item, MWG, "mwg-rs", "Area")
    for key, value in zip("xywh", area, strict=True):
        xmp_packet.set_attribute(node, AREA, "stArea", key, f"{value:.6f}")
    xmp_packet.set_attribute(node, AREA, "stArea", "unit", "normalized")
    write_provenance(item, face_id, name, created=True)


def write_area(item: Element, area: Box) -> None:
    """Move a region."""
    node = xmp_packet.fields(item).get((MWG, "Area"))
    if isinstance(node, Element):
        for key, value in (*zip("xywh", (f"{v:.6f}" for v in area), strict=True), ("unit", "normalized")):
            xmp_packet.set_field(node, AREA, "stArea", key, value)


def write_dimensions(document: Document, photo: Photo) -> None:
    """Set AppliedToDimensions to the stored size of a photo, if there are any."""
    info = regions_node(document)
    node = xmp_packet.fields(info).get((MWG, "AppliedToDimensions")) if info is not None else None
    if isinstance(node, Element):
        for key, value in (*zip("wh", map(str, stored_size(photo)), strict=True), ("unit", "pixel")):
            xmp_packet.set_field(node, DIMENSIONS, "stDim", key, value)


def write_provenance(item: Element, face_id: str, name: str, *, created: bool) -> None:
    """Write in a region's Extensions which face it shows and what this program wrote, so that a later export knows its own regions."""
    more = xmp_packet.fields(item).get((MWG, "Extensions"))
    if not isinstance(more, Element):
        more = xmp_packet.add_element(xmp_packet.field_parent(item), MWG, "mwg-rs", "Extensions")
        xmp_packet.set_attribute(more, RDF, "rdf", "parseType", "Resource")
    for key, value in (("FaceId", face_id), ("Name", name), ("Made", "region" if created else "name")):
        xmp_packet.set_field(more, OURS, "facecluster", key, value)
