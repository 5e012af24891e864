"""Parse XML of unknown origin."""

from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser


class UnsafeXml(Exception):
    """A document declares a type, and so might declare entities that expand without end."""


class MalformedXml(Exception):
    """A document cannot be parsed."""


class _WithoutDeclarations(TreeBuilder):
    """Builds a tree, and stops at a declaration of the document's type.

    Entities are declared only inside one, so none are ever expanded or fetched.
    """

    def doctype(self, name: str, public: str | None, system: str | None) -> NoReturn:
        raise UnsafeXml(name)


def parse_xml(data: bytes) -> Element:
    """Return the root of a document.

    Raises:
        UnsafeXml: It declares a document type.
        MalformedXml: It is not XML.
    """
    parser = XMLParser(target=_WithoutDeclarations())
    try:
        parser.feed(data)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise MalformedXml(str(error)) from None
    return root
