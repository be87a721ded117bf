"""Which images belong together (frames of a sequence, slices of a patient, tiles of a scene, views of a city), by their names."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from perpixel.core.errors import UserError
from perpixel.data.samples import Dataset, Sample

GroupOf = Callable[[str], str | None]
"""The group of a sample's name, or None."""

_KINDS = "patient|subject|case|sequence|seq|video|clip|scene|slide|drive|tile|volume|session"
_RULES = tuple(
    re.compile(rule, re.IGNORECASE)
    for rule in (
        rf"((?:{_KINDS})[_-]?\w{{0,12}}?\d{{1,12}})[_-].{{1,80}}",  # patient_12_slice_003, seq03-0007
        r"(?!(?:img|image|photo|pic|dsc|frame|sample|mask|vid|pxl|screenshot)[_-])([a-z]{2,40})[_-]x?\d{1,8}[_-]y?\d{1,8}",
        r"((?=[a-z0-9]*[a-z])(?=[a-z0-9]*\d)[a-z0-9]{2,20})[_-]f?\d{2,12}",  # 0001TP_006690
    )
)
LONGEST_RULE = 200
MOST_REPEATS = 4
LONGEST_NAME = 255


def group_of_name(name: str) -> str | None:
    """The group that a name tells, by the first rule that fits all of its last part; else a folder that is called like a group.

    >>> [group_of_name(n) for n in ("0001TP_006690", "aachen_000000_000019", "farm_x3_y12", "patient07/slice_3")]
    ['0001TP', 'aachen', 'farm', 'patient07']
    >>> [group_of_name(n) for n in ("IMG_0798", "2007_000032", "000000000139", "street_gre181")]
    [None, None, None, None]
    """
    *folders, last = name[-LONGEST_NAME:].split("/")
    for rule in _RULES:
        if found := rule.fullmatch(last):
            return found[1]
    named = re.compile(rf"(?:{_KINDS})[_-]?\w{{0,12}}?\d{{1,12}}", re.IGNORECASE)
    return next((folder for folder in folders if named.fullmatch(folder)), None)


def group_rule(pattern: str | None) -> GroupOf:
    """The rule of the user, a regular expression from the name's beginning (its first bracket, else all of it, is the group).

    Raises:
        UserError: it is none, or it may take for ever on some name.
    """
    if pattern is None:
        return group_of_name
    if len(pattern) > LONGEST_RULE:
        raise UserError(f"--group: the pattern has {len(pattern)} characters, at most {LONGEST_RULE} are taken")
    try:
        rule = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"--group {pattern}: no regular expression ({error}); such as '([^_]+)_'") from error
    repeats = len(re.findall(r"(?<![\\(])(?:[*+?]|\{\d*,)[?+]?", pattern))
    if re.search(r"\)[*+?{]", pattern) or repeats > MOST_REPEATS:
        raise UserError(
            f"--group {pattern}: it may take for ever; repeat no bracket, and use at most {MOST_REPEATS} of * + ?"
        )

    def group(name: str) -> str | None:
        found = rule.match(name[:LONGEST_NAME])
        return (found[1] if rule.groups else found[0]) or None if found else None

    return group


def groups_of(samples: Iterable[Sample], group: GroupOf = group_of_name) -> dict[str, list[Sample]]:
    """The samples of each group; one that is in none is not there."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if name := group(sample.name):
            found[name].append(sample)
    return dict(found)


def shared_groups(
    splits: Mapping[str, Sequence[Sample]], group: GroupOf = group_of_name
) -> dict[str, dict[str, list[Sample]]]:
    """Groups that stand in two splits or more, as group -> split -> samples.

    None where fewer than half of all names tell a group or all are in one: then the rule does not fit the names.
    """
    by_split = {split: groups_of(samples, group) for split, samples in splits.items()}
    found: dict[str, dict[str, list[Sample]]] = defaultdict(dict)
    for split, groups in by_split.items():
        for name, members in groups.items():
            found[name][split] = members
    named = sum(len(m) for groups in found.values() for m in groups.values())
    if len(found) < 2 or 2 * named < sum(map(len, splits.values())):
        return {}
    return {name: places for name, places in found.items() if len(places) > 1}


def check_rule(dataset: Dataset, pattern: str | None, group: GroupOf) -> None:
    """Raises UserError where the user's rule fits no name."""
    samples = [s for found in dataset.splits.values() for s in found]
    if pattern is not None and samples and not groups_of(samples, group):
        raise UserError(f"--group {pattern}: it fits no name, for example {samples[0].name}")
