"""People in the IPTC Photo Metadata Standard's XMP (version 2022.1): persons shown, and image regions.

PersonInImage lists names without a place: exports of Apple's Photos have it (osxphotos), and many others. An ImageRegion has a boundary
(rectangle, circle or polygon; shares of the picture as stored, or px) and either its own name or the persons shown in it. A region of a
role or a type that is no person is not read. https://iptc.org/std/photometadata/specification/IPTC-PhotoMetadata
"""

from __future__ import annotations

from xml.dom.minidom import Document, Element

from facecluster.export import xmp_packet
from facecluster.export.face_regions import Box
from facecluster.export.people_tag import PeopleTag, finite_box

EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"


def read_tags(document: Document, size: tuple[float, float] | None) -> list[PeopleTag]:
    """The people of a packet, those with a place first.

    Args:
        document: the packet.
        size: width and height of the stored picture in px, for regions in px; None if unknown.
    """
    tags = []
    for regions in xmp_packet.properties(document, EXT, "ImageRegion"):
        for item in xmp_packet.items(regions):
            found = xmp_packet.fields(item)
            people = _texts(found.get((EXT, "PersonInImage"))) or _details(found.get((EXT, "PersonInImageWDetails")))
            boundary = found.get((EXT, "RegionBoundary"))
            area = _area(boundary, size) if isinstance(boundary, Element) else None
            names = people or (_texts(found.get((EXT, "Name"))) if _is_person(found) else [])
            tags += [PeopleTag(name, area) for name in names[:1]] if area else [PeopleTag(name, None) for name in people]
    placed = {tag.name for tag in tags}
    names = [n for e in xmp_packet.properties(document, EXT, "PersonInImage") for n in _texts(e)]
    names += [n for e in xmp_packet.properties(document, EXT, "PersonInImageWDetails") for n in _details(e)]
    return tags + [PeopleTag(name, None) for name in dict.fromkeys(names) if name not in placed]


def _texts(value: Element | str | None) -> list[str]:
    """The texts of a list, or of a simple value; of a text in several languages the first."""
    if not isinstance(value, Element):
        return [value] if value else []
    several = [xmp_packet.text(item) for item in xmp_packet.items(value)]
    if any(c.localName == "Alt" for c in xmp_packet.child_elements(value)):
        several = several[:1]
    return [text for text in several or [xmp_packet.text(value)] if text]


def _details(value: Element | str | None) -> list[str]:
    found = [xmp_packet.fields(item) for item in xmp_packet.items(value)] if isinstance(value, Element) else []
    return [name for person in found for name in _texts(person.get((EXT, "PersonName")))[:1]]


def _is_person(found: xmp_packet.Fields) -> bool:
    """Whether the types of a region, if it has any, say that it shows a person."""
    said = found.get((EXT, "rCtype"))
    words = " ".join(xmp_packet.all_text(said)).lower() if isinstance(said, Element) else said or ""
    return not words or any(word in words for word in ("human", "person", "people", "face"))


def _area(boundary: Element, size: tuple[float, float] | None) -> Box | None:
    found = xmp_packet.fields(boundary)
    shape, unit = (xmp_packet.text(found.get((EXT, key))).lower() for key in ("rbShape", "rbUnit"))
    x, y, w, h, r = (xmp_packet.number(found.get((EXT, key))) for key in ("rbX", "rbY", "rbW", "rbH", "rbRx"))
    if unit == "pixel" and size is None:
        return None
    width, height = size if unit == "pixel" and size else (1.0, 1.0)
    if shape == "polygon":
        corners = found.get((EXT, "rbVertices"))
        points = [xmp_packet.fields(item) for item in xmp_packet.items(corners)] if isinstance(corners, Element) else []
        xs, ys = ([n for p in points if (n := xmp_packet.number(p.get((EXT, key)))) is not None] for key in ("rbX", "rbY"))
        if len(xs) < 3 or len(ys) < 3:
            return None
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    elif shape == "circle" and None not in (x, y, r):
        assert x is not None and y is not None and r is not None
        across = 2 * r * (1.0 if unit == "pixel" or size is None else size[0] / size[1])  # the radius is a share of the width
        x, y, w, h = x - r, y - across / 2, 2 * r, across
    if x is None or y is None or w is None or h is None:
        return None
    return finite_box(((x + w / 2) / width, (y + h / 2) / height, w / width, h / height))
