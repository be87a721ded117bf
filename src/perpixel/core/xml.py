"""The one reader of a stranger's XML: no document type, so no entities that grow; one line for a fault."""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from perpixel.core.errors import UserError
from perpixel.core.text import read_text

MAX_BYTES = 2**30
"""An XML file of more bytes is refused before it is read."""

MAX_DEPTH = 100

Element = ElementTree.Element


def read_xml(path: str | Path) -> Element:
    """The root element of an XML file.

    Raises:
        UserError: as `read_text`; no XML, with line and column; a document type declaration, in which entities that fill
            the memory or read other files are written; elements more than `MAX_DEPTH` deep.
    """
    text = read_text(path, MAX_BYTES)
    try:
        return _parsed(text)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        place = f"line {error.lineno}, column {error.offset}" if isinstance(error, expat.ExpatError) else ""
        raise UserError(f"{path}, {place}: no valid XML ({str(error)[:80]}); was the file cut short?") from error
    except ValueError as error:
        raise UserError(f"{path}: no XML that is read here ({error})") from error


def _parsed(text: str) -> Element:
    builder, depth = ElementTree.TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"elements lie more than {MAX_DEPTH} deep in each other")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type; delete the <!DOCTYPE ...> part")

    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.Parse(text.encode(), True)
    return builder.close()
