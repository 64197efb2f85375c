"""The machine-readable mark of an edited picture, as XMP.

IPTC's vocabulary has a term for a photograph into which a trained model has painted: the digital source type
`compositeWithTrainedAlgorithmicMedia`. Platforms read it to label such pictures. Beside it stand the software, what was
asked for, and the hash of the model. Here are only bytes of XMP; `mien.images` knows where each file format keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.dom import minidom
from xml.parsers import expat

from mien.version import VERSION

#: https://cv.iptc.org/newscodes/digitalsourcetype/
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_MIEN = "urn:mien:edit/1.0/"

#: Key of `parse_mark` -> (namespace, prefix, local name) of the XMP property.
_PROPERTIES = {
    "digital_source_type": (_IPTC, "Iptc4xmpExt", "DigitalSourceType"),
    "software": (_XMP, "xmp", "CreatorTool"),
    "condition": (_MIEN, "mien", "Condition"),
    "model": (_MIEN, "mien", "Model"),
}

_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'


#: How the sentence of a mark begins.
DESCRIBES = "Facial expression edited by AI: "


@dataclass(frozen=True)
class EditMark:
    """What a picture's mark says about the edit."""

    condition: str
    """What was asked for, e.g. `happy @ 0.9`; several faces are separated by `; `."""
    model: str
    """Name or hash of the weights that painted."""
    software: str = f"mien {VERSION}"
    """Name and version of the program."""

    def describe(self) -> str:
        """Say it in one ASCII sentence, for EXIF."""
        sentence = f"{DESCRIBES}{self.condition} ({self.software}, model {self.model})"
        return sentence.encode("ascii", "replace").decode()


def merge_mark(xmp: bytes | None, mark: EditMark) -> bytes:
    """Return an XMP packet with the mark; everything else that `xmp` says is kept.

    The four properties of the mark replace earlier values. A packet that is not well-formed, holds no RDF or declares
    a document type (which XMP never does) is replaced as a whole.
    """
    document = _parse(xmp) or minidom.parseString(_EMPTY)
    graph = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    about = ""
    for description in _descriptions(graph):
        about = description.getAttributeNS(_RDF, "about") or about
        for namespace, _, name in _PROPERTIES.values():
            if description.hasAttributeNS(namespace, name):
                description.removeAttributeNS(namespace, name)
            for element in _children(description, namespace, name):
                description.removeChild(element)
    added = document.createElementNS(_RDF, "rdf:Description")
    added.setAttribute("xmlns:rdf", _RDF)  # the packet may have bound another prefix, or this one elsewhere
    added.setAttributeNS(_RDF, "rdf:about", about)
    values = {"digital_source_type": DIGITAL_SOURCE_TYPE, **vars(mark)}
    for key, (namespace, prefix, name) in _PROPERTIES.items():
        added.setAttribute(f"xmlns:{prefix}", namespace)
        added.setAttributeNS(namespace, f"{prefix}:{name}", _printable(values[key]))
    graph.appendChild(added)
    root = next(node for node in document.childNodes if node.nodeType == node.ELEMENT_NODE)
    packet = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{root.toxml()}\n<?xpacket end="w"?>'
    return packet.encode("utf-8")


def parse_mark(xmp: bytes | None) -> dict[str, str] | None:
    """Read the mark out of an XMP packet; None where there is no packet, no mark, or nothing that parses."""
    document = _parse(xmp)
    if document is None:
        return None
    found: dict[str, str] = {}
    for description in _descriptions(document.getElementsByTagNameNS(_RDF, "RDF")[0]):
        for key, (namespace, _, name) in _PROPERTIES.items():
            if description.hasAttributeNS(namespace, name):
                found[key] = description.getAttributeNS(namespace, name)
            for element in _children(description, namespace, name):  # other tools turn attributes into elements
                found[key] = "".join(n.data for n in element.childNodes if isinstance(n, minidom.Text))
    # Cameras write a digital source type as well: only a condition makes it a mark of ours.
    return found if "condition" in found else None


def _parse(xmp: bytes | None) -> minidom.Document | None:
    """Parse XMP that a stranger may have written: no document type, hence no entities, neither external nor nested."""
    if not xmp:
        return None
    xmp = xmp.strip(b"\0 \t\r\n")
    guard = expat.ParserCreate(namespace_separator=" ")
    guard.StartDoctypeDeclHandler = _refuse_doctype
    try:
        guard.Parse(xmp, True)
        document = minidom.parseString(xmp)
    except (expat.ExpatError, _DoctypeError, UnicodeError, ValueError):
        return None
    return document if document.getElementsByTagNameNS(_RDF, "RDF") else None


class _DoctypeError(Exception):
    """XMP with a document type declaration."""


def _refuse_doctype(*_: object) -> None:
    raise _DoctypeError


def _descriptions(graph: minidom.Element) -> list[minidom.Element]:
    return _children(graph, _RDF, "Description")


def _children(parent: minidom.Element, namespace: str, name: str) -> list[minidom.Element]:
    return [
        node
        for node in parent.childNodes
        if isinstance(node, minidom.Element) and node.namespaceURI == namespace and node.localName == name
    ]


def _printable(text: str) -> str:
    """Leave out control characters, which XML cannot hold."""
    return "".join(character for character in text if character.isprintable())
