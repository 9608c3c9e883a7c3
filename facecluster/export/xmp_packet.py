"""XMP packets as XML trees, without loss: prefixes, comments, processing instructions and unknown properties are preserved.

Python's minidom reads all of that, but its writer loses some (a newline in an attribute), so this module has its own writer. Packets are
read in UTF-8, UTF-16 and UTF-32, with or without a byte order mark, and written in UTF-8.

Packets are other people's input: their size, their depth and the number of their nodes are bounded. XMP never has a document type: one is
refused before anything in it is read, so no entity is ever expanded. Odd input: anything but XMP raises InputError in one line.
"""

from __future__ import annotations

import math
import re
from typing import NoReturn
from xml.dom import minidom
from xml.dom.minidom import Document, Element, Node, ProcessingInstruction, Text
from xml.parsers.expat import ExpatError, ParserCreate

from facecluster.errors import InputError
from facecluster.photos.sidecar import encoding_of

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMLNS = "http://www.w3.org/2000/xmlns/"
XML = "http://www.w3.org/XML/1998/namespace"
MAX_BYTES = 64 << 20  # of a packet
MAX_NODES = 2_000_000  # elements, attributes and texts of a packet, about
MAX_DEPTH = 200  # of elements
_EMPTY = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
_IN_ATTRIBUTES = "".join(_ESCAPES)
_ENCODING = re.compile(r"""\s+(encoding|bytes)\s*=\s*("[^"]*"|'[^']*')""")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Fields = dict[tuple[str, str], Element | str]  # of a structure: (namespace, name) -> the element, or the text if it is an attribute


def parse(data: bytes | None) -> Document:
    """The tree of a packet; a new, empty one for None. Raises InputError for anything but XMP."""
    if data is None:
        return minidom.parseString(_EMPTY.encode())
    try:
        document = parse_xml(data)
        descriptions(document)
    except ValueError as e:
        raise InputError(f"expected XMP, found {' '.join(str(e).split()) or 'something else'}: repair the file or move it away") from e
    return document


def parse_xml(data: bytes) -> Document:
    """The tree of any XML file of bounded size. Raises ValueError if it is none, has a document type, or is too large."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data) >> 20} MiB")
    packet = data.decode(encoding_of(data)).strip("\ufeff\0 \t\r\n")
    try:
        _check_bounds(packet)
        return minidom.parseString(packet)
    except ExpatError as e:
        raise ValueError(str(e)) from e


def _check_bounds(packet: str) -> None:
    """Raise ValueError for a document type, and for a packet whose tree would be huge."""
    if 2 * packet.count("<") + packet.count("=") > MAX_NODES:
        raise ValueError("more nodes than a packet can have")
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"elements nested more than {MAX_DEPTH} deep")

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def document_type(*_: object) -> NoReturn:
        raise ValueError("a document type, which XMP can't have")

    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = start, end, document_type
    parser.Parse(packet, True)


def descriptions(document: Document) -> list[Element]:
    """The rdf:Description elements that hold the properties. Raises ValueError if there is no rdf:RDF."""
    roots = document.getElementsByTagNameNS(RDF, "RDF")
    if not roots:
        raise ValueError("XML without rdf:RDF")
    return [e for e in child_elements(roots[0]) if is_element(e, RDF, "Description")]


def first_description(document: Document) -> Element:
    """The first rdf:Description; created if there is none."""
    found = descriptions(document)
    if found:
        return found[0]
    root = document.getElementsByTagNameNS(RDF, "RDF")[0]
    new = add_element(root, RDF, "rdf", "Description")
    set_attribute(new, RDF, "rdf", "about", "")
    return new


def is_element(node: Node, space: str, name: str) -> bool:
    """Whether a node is an element with that namespace and name."""
    return isinstance(node, Element) and node.namespaceURI == space and node.localName == name


def child_elements(node: Node) -> list[Element]:
    """The elements directly under a node."""
    return [c for c in node.childNodes if isinstance(c, Element)]


def text(value: Element | str | None) -> str:
    """The text of a simple value, also of one with qualifiers (rdf:value); of a list the default language's, or the first."""
    if value is None or isinstance(value, str):
        return value or ""
    own = "".join(c.data for c in value.childNodes if c.nodeType in (Node.TEXT_NODE, Node.CDATA_SECTION_NODE)).strip()
    if own or not (children := child_elements(value)):
        return own or value.getAttributeNS(RDF, "value").strip()
    listed = sorted(items(value), key=lambda item: item.getAttributeNS(XML, "lang") != "x-default")
    inner = [c for c in children if is_element(c, RDF, "value") or is_element(c, RDF, "Description")]
    return text(next(iter(listed or inner), None))


def number(value: Element | str | None) -> float | None:
    """The number that a simple value states, with a decimal point or comma; None if it is none, or not finite."""
    try:
        found = float(text(value).replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e9 else None


def all_text(node: Element) -> list[str]:
    """The texts of an element and of everything in it, attributes of resources included."""
    inside = [value for a in node.attributes.values() if (value := a.value) and a.localName == "resource"]
    return [*inside, text(node), *(t for child in child_elements(node) for t in all_text(child))]


def properties(document: Document, space: str, name: str) -> list[Element]:
    """The elements of a top-level property; several if a packet states it several times."""
    return [c for d in descriptions(document) for c in child_elements(d) if is_element(c, space, name)]


def items(node: Element) -> list[Element]:
    """The items of a list (rdf:Bag, rdf:Seq or rdf:Alt)."""
    return [item for container in child_elements(node) for item in child_elements(container) if is_element(item, RDF, "li")]


def fields(node: Element) -> Fields:
    """The fields of a structure in any of RDF's forms: attributes, rdf:parseType="Resource", or a nested node."""
    found: Fields = {}
    for attribute in node.attributes.values():
        if attribute.namespaceURI not in (None, RDF, XMLNS, XML):
            found[(attribute.namespaceURI, attribute.localName)] = attribute.value
    for child in child_elements(node):
        if is_element(child, RDF, "Description"):
            found |= fields(child)
        elif child.namespaceURI is not None:
            found[(child.namespaceURI, child.localName)] = child
    return found


def field_parent(node: Element) -> Element:
    """The element to which fields of a structure are added: itself, or the rdf:Description in it. Attributes may become elements."""
    inner = [c for c in child_elements(node) if is_element(c, RDF, "Description")]
    if inner:
        return inner[0]
    if not node.hasAttributeNS(RDF, "parseType") and not is_element(node, RDF, "Description"):
        # a property element can't have both attributes and children: the attributes become children
        for attribute in list(node.attributes.values()):
            if attribute.namespaceURI not in (None, RDF, XMLNS, XML):
                add_element(node, attribute.namespaceURI, attribute.prefix or "p", attribute.localName, attribute.value)
                node.removeAttributeNode(attribute)
        set_attribute(node, RDF, "rdf", "parseType", "Resource")
    return node


def prefix_for(node: Element, space: str, wanted: str) -> str:
    """A prefix of the namespace `space` at a node. If there is none, it is declared there, as `wanted` if that is free."""
    taken: dict[str, str] = {"xml": XML, "xmlns": XMLNS}
    at: Node | None = node
    while isinstance(at, Element):
        for attribute in at.attributes.values():
            if attribute.namespaceURI == XMLNS and attribute.prefix:
                taken.setdefault(attribute.localName, attribute.value)
        at = at.parentNode
    for name, means in taken.items():
        if means == space:
            return name
    name = wanted
    while name in taken:
        name += "x"
    node.setAttributeNS(XMLNS, f"xmlns:{name}", space)
    return name


def add_element(parent: Element, space: str, wanted: str, name: str, value: str | None = None) -> Element:
    """Append an element, with a text if `value` is given. `wanted` is the preferred prefix, here and below."""
    document = parent.ownerDocument
    assert document is not None
    new = document.createElementNS(space, f"{prefix_for(parent, space, wanted)}:{name}")
    if value is not None:
        new.appendChild(document.createTextNode(replace_invalid(value)))
    parent.appendChild(new)
    return new


def set_attribute(node: Element, space: str, wanted: str, name: str, value: str) -> None:
    """Set an attribute."""
    node.setAttributeNS(space, f"{prefix_for(node, space, wanted)}:{name}", replace_invalid(value))


def set_field(node: Element, space: str, wanted: str, name: str, value: str | None) -> None:
    """Set a simple field of a structure, or remove it (None)."""
    for holder in (node, *(c for c in child_elements(node) if is_element(c, RDF, "Description"))):
        if holder.hasAttributeNS(space, name):
            holder.removeAttributeNS(space, name)
        for child in child_elements(holder):
            if is_element(child, space, name):
                holder.removeChild(child)
    if value is not None:
        add_element(field_parent(node), space, wanted, name, value)


def replace_invalid(value: str) -> str:
    """Text with U+FFFD in place of characters that XML 1.0 does not allow."""
    return _NOT_XML.sub("\ufffd", value)


def serialise(document: Document) -> bytes:
    """A tree as XML in UTF-8."""
    out: list[str] = []
    for node in document.childNodes:
        if isinstance(node, ProcessingInstruction) and node.target == "xpacket":
            node.data = _ENCODING.sub("", node.data)  # it was that of the packet that was read
        _write(node, out)
        out.append("\n")
    return "".join(out).encode()


def _write(node: Node, out: list[str]) -> None:
    if isinstance(node, Element):
        out.append(f"<{node.tagName}")
        out += [f' {a.name}="{_escape(a.value, _IN_ATTRIBUTES)}"' for a in node.attributes.values()]
        out.append(">" if node.childNodes else "/>")
        for child in node.childNodes:
            _write(child, out)
        if node.childNodes:
            out.append(f"</{node.tagName}>")
    elif isinstance(node, Text) and node.nodeType == Node.TEXT_NODE:
        out.append(_escape(node.data, "&<>\r"))
    else:  # comments, processing instructions, CDATA
        out.append(node.toxml())


def _escape(value: str, which: str) -> str:
    return "".join(_ESCAPES[c] if c in which else c for c in value)
