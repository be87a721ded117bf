"""No module of the package needs one that needs it: no circle of imports, at the top of a file or in a function."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "perpixel"


def modules(package: Path) -> dict[str, Path]:
    """Name -> file: a folder's `__init__.py` has the folder's name."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = [package.name, *file.relative_to(package).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(name: str, file: Path, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it; those for a type checker alone are never run."""
    home = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in executed(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = home.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield from (found for found in [inner if inner in known else base] if found in known)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from executed(node)


def needs(package: Path) -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    files = modules(package)
    return {name: set(imported(name, file, set(files))) - {name} for name, file in files.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, the first again at the end; nothing where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_goes_in_a_circle() -> None:
    graph = needs(PACKAGE)
    assert circle(graph) == []
    assert len(graph) > 140
    assert sum(map(len, graph.values())) > 400


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("from house import b", "import house.a", True),
        ("from .b import x", "def f():\n    from house.a import y", True),
        ("from . import b", "class C:\n    if True:\n        from . import a", True),
        ("from house import b", "import torch", False),
        ("from house import b", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a", False),
    ],
)
def test_circles_are_found_wherever_they_are(first: str, second: str, found: bool, tmp_path: Path) -> None:
    house = tmp_path / "house"
    (house / "room").mkdir(parents=True)
    for name, text in {"__init__": "", "a": first, "b": second, "room/__init__": "from ..a import x"}.items():
        (house / f"{name}.py").write_text(text + "\n")
    graph = needs(house)
    assert graph["house.a"] == {"house.b"} and graph["house.room"] == {"house.a"}
    assert (set(circle(graph)) == {"house.a", "house.b"}) is found
