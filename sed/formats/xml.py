"""XML in and out for the formats that are XML: no document types, so no file or entity of elsewhere is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sed.errors import FormatError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Control characters, half characters and the two at the end of the plane: XML has no way to write them.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def dump(root: Element) -> str:
    """The document, indented. Raises `FormatError` on characters that XML cannot hold."""
    from xml.etree import ElementTree

    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, "unicode")
    if found := _IMPOSSIBLE.search(text):
        raise FormatError(f"a name holds the character {found[0]!r}: XML cannot write it, rename it first")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def parse(text: str, path: Path, tag: str) -> Element:
    """The root, which has to be a `tag` of whatever namespace. Raises `FormatError`."""
    from xml.etree import ElementTree

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FormatError(f"{path}: found a document type, expected plain XML")
    try:
        # The declared encoding is that of the file; here is text already.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    except (ElementTree.ParseError, UnicodeError) as error:
        raise FormatError(f"{path}: not XML ({error})") from None
    if local(root) != tag:
        raise FormatError(f"{path}: found XML of kind {local(root)}, expected {tag}")
    return root


def begins(text: str, tag: str) -> bool:
    """Whether the first element of a text is a `tag`, of whatever namespace; comments may stand before it."""
    head = re.sub(r"<!--.*?-->|<\?.*?\?>", "", text[:10_000], flags=re.DOTALL).lstrip()
    return re.match(rf"<(?:[\w.-]+:)?{tag}[\s>/]", head) is not None


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
