"""The one reader of a stranger's JSON: every number finite, nothing deeper than Python can follow, one line for a fault."""

import json
from pathlib import Path
from typing import Any

from perpixel.core.errors import UserError
from perpixel.core.text import read_text

MAX_BYTES = 2**31
"""A JSON file of more bytes is refused before it is read; COCO's largest has 450 million."""


def read_json(path: str | Path) -> Any:
    """The contents of a JSON file.

    Raises:
        UserError: as `read_text`; no JSON, with line and column; a key twice in one object; NaN or infinity.
    """
    text = read_text(path, MAX_BYTES)
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path}, {place}: no valid JSON ({error.msg[:80]}); was the file cut short?") from error
    except (ValueError, RecursionError) as error:
        why = "lists lie too deep in each other" if isinstance(error, RecursionError) else str(error)[:160]
        raise UserError(f"{path}: no JSON that is read here ({why})") from error


def _refuse(word: str) -> Any:
    raise ValueError(f"the number {word}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(k for i, (k, _) in enumerate(pairs) if k in {n for n, _ in pairs[:i]})
        raise ValueError(f'the key "{twice[:60]}" is given twice in one object')
    return found
