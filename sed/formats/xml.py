"""Reading and writing XML for the formats based on it; document types are refused, so no external entity is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sed.errors import FormatError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Control characters, surrogates and non-characters, which XML cannot represent.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def dump(root: Element) -> str:
    """The indented document. Raises `FormatError` on characters that XML cannot represent."""
    from xml.etree import ElementTree

    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, "unicode")
    if found := _IMPOSSIBLE.search(text):
        raise FormatError(
            f"found the character {found[0]!r} in a name, which XML cannot represent: rename it first"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def parse(text: str, path: Path, tag: str) -> Element:
    """The root element, which must be a `tag` of any namespace. Raises `FormatError`."""
    from xml.etree import ElementTree

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FormatError(f"{path}: found a document type, expected plain XML")
    try:
        # The declared encoding is that of the file, which is decoded already.
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    except (ElementTree.ParseError, UnicodeError) as error:
        raise FormatError(f"{path}: not XML ({error})") from None
    if local(root) != tag:
        raise FormatError(f"{path}: found XML of kind {local(root)}, expected {tag}")
    return root


def has_root(text: str, tag: str) -> bool:
    """Whether the first element of a text is a `tag` of any namespace; comments may precede it."""
    head = re.sub(r"<!--.*?-->|<\?.*?\?>", "", text[:10_000], flags=re.DOTALL).lstrip()
    return re.match(rf"<(?:[\w.-]+:)?{tag}[\s>/]", head) is not None


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
