"""From a template of this folder to one self-contained page."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import perpixel
from perpixel.core.files import write_text
from perpixel.report.figures import percent


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Renders a template with `version` and `written` beside the context, and writes it whole or not at all."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"percent": percent, "number": number}
    said = {"version": perpixel.__version__, "written": f"{datetime.now():%Y-%m-%d %H:%M}"}
    page = environment.get_template(template).render({**said, **context})
    # a file's name may hold bytes that are no text; they must not cost the page
    write_text(path, page.encode("utf-8", "backslashreplace").decode())
    return path


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
