"""Imports go one way down the house, and `import perpixel` is quick."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import perpixel

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "perpixel"
FLOORS = (
    ("cli", "serve"),
    ("report",),
    ("train", "explain", "export"),
    ("infer",),
    ("analyze", "bundle"),
    ("models", "detection"),
    ("data", "layers", "losses", "metrics"),
    ("labels",),
    ("core",),
)
"""From the roof to the ground: a folder may import from those on lower floors, never from its own floor."""
FLOOR_OF = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
ONLY = {"models": {"layers", "core"}}
"""Folders that may use less than what is below them."""
ALSO = {("detection", "models")}
"""Pairs on one floor of which the first may use the second: detectors stand on the backbones."""


def folder_of(file: Path) -> str:
    """The folder of the package that a file lies in; a file beside the folders is one by itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, folder of the package) for every import of perpixel, at the top or in a function.

    One that only a type checker follows counts too: it is knowledge of another folder all the same.
    """
    module = [*("perpixel", *file.relative_to(PACKAGE).with_suffix("").parts)]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module[: -node.level]) + "." * bool(node.module) if node.level else ""
            names = [f"{base}{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "perpixel" and len(parts) > 1:
                yield node.lineno, parts[1]


def forbidden(importer: str, imported: str) -> bool:
    if importer == imported or imported.startswith("__"):  # the package's own __version__
        return False
    if imported not in FLOOR_OF:
        return True
    if (importer, imported) in ALSO:
        return False
    return FLOOR_OF[imported] <= FLOOR_OF[importer] or imported not in ONLY.get(importer, FLOOR_OF)


FILES = sorted(f for f in PACKAGE.rglob("*.py") if f.parent != PACKAGE)


def test_imports_go_one_way() -> None:
    found = [(file, line, imported) for file in FILES for line, imported in imports(file)]
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line} imports perpixel.{imported}"
        for file, line, imported in found
        if forbidden(folder_of(file), imported)
    ]
    assert wrong == []
    assert len(FILES) > 40
    assert len(found) > 100


def test_every_folder_has_its_floor() -> None:
    assert {folder_of(f) for f in FILES} <= set(FLOOR_OF)
    assert {f.name for f in PACKAGE.glob("*.py")} <= {"__init__.py", "__main__.py"}, "beside the folders lies the door"


@pytest.mark.parametrize(
    ("importer", "imported", "wrong"),
    [
        ("data", "labels", False),
        ("data", "losses", True),
        ("metrics", "labels", False),
        ("models", "layers", False),
        ("models", "core", False),
        ("models", "labels", True),
        ("models", "losses", True),
        ("models", "detection", True),
        ("detection", "models", False),
        ("detection", "data", False),
        ("detection", "infer", True),
        ("core", "labels", True),
        ("infer", "data", False),
        ("infer", "bundle", False),
        ("infer", "analyze", False),
        ("analyze", "infer", True),
        ("analyze", "bundle", True),
        ("bundle", "models", False),
        ("train", "explain", True),
        ("train", "analyze", False),
        ("infer", "train", True),
        ("train", "export", True),
        ("report", "train", False),
        ("cli", "serve", True),
        ("cli", "core", False),
        ("train", "utils", True),
    ],
)
def test_the_rule_itself(importer: str, imported: str, wrong: bool) -> None:
    assert forbidden(importer, imported) is wrong


def test_imports_are_found_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "models" / "a.py"
    file.parent.mkdir()
    file.write_text(
        "import perpixel.core.errors\nfrom perpixel import labels\nfrom perpixel.data import loader\nimport torch\n"
        "from ..train import loop\nfrom . import unet\n\ndef f():\n    from perpixel.cli import main\n"
    )
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert list(imports(file)) == [(1, "core"), (2, "labels"), (3, "data"), (5, "train"), (6, "models"), (9, "cli")]


@pytest.mark.parametrize("module", ["perpixel", "perpixel.cli", "perpixel.labels"])
def test_torch_is_imported_only_when_it_is_needed(module: str) -> None:
    heavy = ("torch", "torchvision", "timm", "accelerate", "scipy", "matplotlib")
    program = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_notebook_completes_is_what_there_is_for_users() -> None:
    names = dir(perpixel)
    assert {"load", "build", "evaluate", "open_dataset", "Predictor", "__version__"} <= set(names)
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []
    assert {"importlib", "Any", "TYPE_CHECKING"} & set(names) == set()
