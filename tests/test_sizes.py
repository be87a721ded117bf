"""The measures of the house: files of at most 300 lines, classes of at most 200, and one module of a name."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOOSE = ("tests", "benchmarks", "docs/figures")
"""Folders that are no packages: their modules import each other by bare name."""
FILES = sorted(file for folder in ("src", *LOOSE) for file in (ROOT / folder).rglob("*.py"))


def lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_every_folder_was_looked_at() -> None:
    for folder, least in (("src", 250), ("tests", 150), ("benchmarks", 15), ("docs/figures", 5)):
        assert sum(file.is_relative_to(ROOT / folder) for file in FILES) >= least, folder


def test_no_file_has_over_300_lines() -> None:
    assert [f"{file.relative_to(ROOT)}: {lines(file)}" for file in FILES if lines(file) > 300] == []


def test_no_class_has_over_200_lines() -> None:
    long, classes = [], 0
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes += 1
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if (length := node.end_lineno - first + 1) > 200:
                    long.append(f"{file.relative_to(ROOT)}: {node.name}, {length}")
    assert long == []
    assert classes > 300


def test_a_bare_name_means_one_module() -> None:
    """Else which of two is imported hangs on which test ran first. Tests are never imported."""
    named = defaultdict(list)
    for file in (file for folder in LOOSE for file in (ROOT / folder).rglob("*.py")):
        if file.name != "conftest.py" and not file.name.startswith("test_"):
            named[file.stem].append(str(file.relative_to(ROOT)))
    assert [files for files in named.values() if len(files) > 1] == []
    assert named.keys() & sys.stdlib_module_names == set()
    assert len(named) > 30
