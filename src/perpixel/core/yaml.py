"""The one reader of a stranger's YAML: plain lists, mappings, texts and numbers, within bounds of size and depth.

Words stay words: `no`, `on`, `010`, `1_000` and `2020-13-45` are texts, as in YAML 1.2; only `true`, `false`, `null`, `~`
and what looks like a number in Python's own way (`1e-3` too) is anything else. Keys are always texts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from perpixel.core.errors import UserError
from perpixel.core.text import MAX_BYTES, read_text

MAX_NODES = 200_000
"""More entries than this are refused; what an alias repeats counts again."""

MAX_DEPTH = 50
MAX_DIGITS = 300

_CONSTANTS = {"": None, "~": None} | dict.fromkeys(("null", "Null", "NULL"))
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TEXT_TAG = "tag:yaml.org,2002:str"


def read_yaml(path: str | Path, as_written: bool = False) -> Any:
    """The contents of a YAML file; None where it holds nothing.

    Args:
        path: of the file.
        as_written: every value stays the text that stands there, so that a name such as 1.10 or null keeps its form.

    Raises:
        UserError: as `read_text` and `parse_yaml`; the message begins with the path.
    """
    return parse_yaml(read_text(path), str(path), as_written)


def parse_yaml(text: str, where: str, as_written: bool = False) -> Any:
    """The one document in a YAML text; `where` begins the message of an error.

    >>> parse_yaml("{a: 001, b: no, c: 1e-3, d: [1, true, ~]}", "example")
    {'a': '001', 'b': 'no', 'c': 0.001, 'd': [1, True, None]}

    Raises:
        UserError: not YAML, a key given twice, a tag, an alias to what holds it, too many or too deep entries.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{where}: {len(text):,} characters are more than the {MAX_BYTES:,} that YAML may have")
    try:
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _Reading(where, as_written, events).document()
    except (yaml.YAMLError, UnicodeError) as error:
        raise UserError(f"{where}: not valid YAML ({_reason(error)})") from error


def scalar(text: str) -> Any:
    """What a plain (unquoted) word of YAML means: None, a bool, an int, a float, or the text itself.

    >>> scalar("12"), scalar("012"), scalar("-.5e3"), scalar(".inf"), scalar("off")
    (12, '012', -500.0, inf, 'off')

    Raises:
        UserError: a number of more than `MAX_DIGITS` digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if found := _NOT_FINITE.fullmatch(text):
        return float(f"{found[1]}inf" if found[2] else "nan")
    whole, broken = _INTEGER.fullmatch(text), _FLOAT.fullmatch(text)
    if not whole and not broken:
        return text
    if len(text) > MAX_DIGITS:
        raise UserError(f"a number of {len(text):,} digits; {MAX_DIGITS} are the most")
    return int(text) if whole else float(text)


@dataclass
class _Reading:
    """One document on its way from events to values; `anchors` holds each anchor's value and number of entries."""

    where: str
    as_written: bool
    events: Iterator[Any]
    nodes: int = 0
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)

    def document(self) -> Any:
        """The value of the one document."""
        value = None
        for number, event in enumerate(e for e in self.events if not isinstance(e, _FRAME)):
            if number:
                raise self._fault(event, "a second document begins here; keep one")
            value = self._value(event, 0)
        return value

    def _value(self, event: Any, depth: int) -> Any:
        self._count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._refuse_deep(event, depth)
        before = self.nodes
        if event.anchor:
            self.opened.add(event.anchor)
        value = self._plain(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event, depth)
        if event.anchor:
            self.opened.discard(event.anchor)
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def _alias(self, event: Any, depth: int) -> Any:
        if event.anchor in self.opened:
            raise self._fault(event, f"*{event.anchor} refers to what it is a part of")
        if event.anchor not in self.anchors:
            raise self._fault(event, f"there is no &{event.anchor} before *{event.anchor}")
        value, nodes = self.anchors[event.anchor]
        self._count(event, nodes)
        self._refuse_deep(event, depth + _height(value))
        return value

    def _plain(self, event: Any) -> Any:
        if event.tag not in (None, _TEXT_TAG, "!"):
            raise self._fault(event, f"the tag {event.tag} is not read; write the value plainly")
        event.value.encode()  # half a character, "\\ud800", is none: the C library knows, the other does not
        if self.as_written or event.tag or event.style not in (None, ""):
            return event.value
        try:
            return scalar(event.value)
        except UserError as error:
            raise self._fault(event, str(error)) from error

    def _collection(self, event: Any, depth: int) -> Any:
        if event.tag not in (None, "!"):
            raise self._fault(event, f"the tag {event.tag} is not read; write lists and mappings plainly")
        return self._list(depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(depth)

    def _list(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._fault(event, "a key must be one word or a text, such as name: value")
            if event.value in found:
                raise self._fault(event, f'the key "{event.value[:60]}" is given twice')
            found[event.value] = self._value(next(self.events), depth + 1)
        return found

    def _count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self._fault(event, f"more than {MAX_NODES:,} entries, counting what aliases repeat")

    def _refuse_deep(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._fault(event, f"entries lie more than {MAX_DEPTH} deep in each other")

    def _fault(self, event: Any, text: str) -> UserError:
        return UserError(f"{self.where}, line {event.start_mark.line + 1}: {text}")


_FRAME = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)


def _height(value: Any) -> int:
    """How deep entries lie in a value; what it costs was counted as entries."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_height, inside), default=-1)


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())[:200]
    return problem + (f" in line {mark.line + 1}" if mark is not None else "")
