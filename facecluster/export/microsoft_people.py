"""Microsoft's people tags in XMP, as Windows Photo Gallery writes them: https://learn.microsoft.com/windows/win32/wic/-wic-people-tagging

MP:RegionInfo holds a bag of regions: MPReg:Rectangle is "x, y, w, h", the left and top edge and the size as shares of the stored picture,
MPReg:PersonDisplayName a name. Either may be missing. The name ffffffffffffffff stands for a face that the user ignores.
"""

from __future__ import annotations

import re
from xml.dom.minidom import Document, Element

from facecluster.export import xmp_packet
from facecluster.export.face_regions import Box
from facecluster.export.people_tag import PeopleTag, finite_box

MP = "http://ns.microsoft.com/photo/1.2/"
MPRI = "http://ns.microsoft.com/photo/1.2/t/RegionInfo#"
MPREG = "http://ns.microsoft.com/photo/1.2/t/Region#"
IGNORED = "f" * 16


def read_tags(document: Document) -> list[PeopleTag]:
    """The people tags of a packet."""
    tags = []
    for info in xmp_packet.properties(document, MP, "RegionInfo"):
        regions = xmp_packet.fields(info).get((MPRI, "Regions"))
        for item in xmp_packet.items(regions) if isinstance(regions, Element) else []:
            found = xmp_packet.fields(item)
            name = xmp_packet.text(found.get((MPREG, "PersonDisplayName")))
            tags.append(PeopleTag("" if name == IGNORED else name, _area(xmp_packet.text(found.get((MPREG, "Rectangle"))))))
    return tags


def _area(text: str) -> Box | None:
    """A rectangle as centre and size; decimal commas, as some programs write, are understood where they are unmistakable."""
    numbers = re.findall(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?", text if "." in text else re.sub(r"(?<=\d),(?=\d)", ".", text))
    if len(numbers) != 4:
        return None
    x, y, w, h = map(float, numbers)
    return finite_box((x + w / 2, y + h / 2, w, h))
