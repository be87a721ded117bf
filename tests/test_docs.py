"""The pages say what is true: links lead somewhere, commands exist, settings are accepted."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command

import perpixel
from perpixel.cli import app
from perpixel.cli.train import assignments
from perpixel.core.networks import is_detector
from perpixel.detection import detector_options
from perpixel.losses import build_loss, class_weights
from perpixel.models.catalog import model_options
from perpixel.train.recipe import default_recipe, load_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OPEN = "TODO-" + "MEASURE"


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[str]:
    """Every command line of a page, from its blocks and from code inside sentences."""
    for block in blocks(text, "sh"):
        yield from (line for line in block.splitlines() if line.strip())
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (code for code in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(perpixel|make) ", code))


def fault(command: str) -> str:
    """What is wrong with a command line, or nothing."""
    words = [w for w in shlex.split(command, comments=True) if w != "--debug"]
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE)
        return "" if set(words[1:]) <= set(targets) else f"no such target: {command}"
    if words[0] != "perpixel" or words[1] in ("--help", "--version"):
        return ""
    verbs: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    if words[1] not in verbs:
        return f"no such verb: {command}"
    if words[2:] == ["--help"]:
        return ""
    try:
        verbs[words[1]].make_context(words[1], words[2:])
    except Exception as error:
        return f"{command}: {error}"
    return ""


def slugs(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


def broken_link(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return not there.exists() or bool(anchor and anchor not in slugs(there))


def links(text: str) -> list[str]:
    return [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("http:", "https:", "mailto:"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    targets = [t for t in links(page.read_text(encoding="utf-8")) if not t.endswith((".jpg", ".png"))]
    assert [t for t in targets if broken_link(page, t)] == []


def test_pages_and_links_were_found() -> None:
    assert len(PAGES) >= 20
    assert sum(len(links(p.read_text(encoding="utf-8"))) for p in PAGES) >= 40
    assert broken_link(ROOT / "README.md", "docs/nowhere.md")
    assert broken_link(ROOT / "README.md", "docs/miou.md#no-such-heading")


def test_the_index_names_every_page() -> None:
    index = text_of("docs/README.md")
    pages = [str(p.relative_to(ROOT / "docs")) for p in ROOT.glob("docs/**/*.md") if p.name != "README.md"]
    assert len(pages) >= 15
    assert [p for p in pages if f"({p})" not in index] == []


def test_nothing_is_left_open() -> None:
    """Pictures are there, and every figure is measured or called "not measured"."""
    pictures = [(p, t) for p in PAGES for t in links(p.read_text(encoding="utf-8")) if t.endswith((".jpg", ".png"))]
    missing = [t for page, t in pictures if broken_link(page, t)]
    unmeasured = [str(p.relative_to(ROOT)) for p in PAGES if OPEN in p.read_text(encoding="utf-8")]
    assert pictures
    assert (missing, unmeasured) == ([], [])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    assert [f for c in commands(page.read_text(encoding="utf-8")) if (f := fault(c))] == []


def settings_of_the_pages() -> list[tuple[str, list[str]]]:
    """(network, KEY=VALUE pairs) of every piece of a page that has --set."""
    texts = [p.read_text(encoding="utf-8") for p in PAGES]
    codes = [c for t in texts for c in re.findall(r"`([^`\n]+)`", t) if "--set " in c and "KEY=" not in c]
    words = [shlex.split(c) for c in codes]
    networks = [w[w.index("--model") + 1] if "--model" in w else "" for w in words]
    pairs = [[w[i + 1] for i, x in enumerate(w) if x == "--set"] for w in words]
    guessed = ["fpn" if any("model.options.encoder" in x for x in p) else "fast_scnn" for p in pairs]
    return [(n or g, p) for n, g, p in zip(networks, guessed, pairs, strict=True)]


def test_every_setting_is_accepted() -> None:
    found = settings_of_the_pages()
    assert len(found) >= 8
    for network, pairs in found:
        recipe = default_recipe(network).changed(assignments(pairs))
        assert set(recipe.model.options) <= set(model_options(network))
        build_loss(recipe.loss.terms)
        class_weights(recipe.loss.class_weights, [1, 2], [3, 3])  # type: ignore[arg-type]


def test_commands_were_found_and_wrong_ones_are_seen() -> None:
    assert sum(1 for page in PAGES for _ in commands(page.read_text(encoding="utf-8"))) >= 30
    for wrong in ("perpixel trian DATA", "perpixel train DATA --epoch 3", "perpixel evaluate RUN", "make dmeo"):
        assert fault(wrong), wrong


def test_the_readme_lists_every_verb() -> None:
    table = re.findall(r"^\| `perpixel (\w+)", text_of("README.md"), re.MULTILINE)
    assert sorted(table) == sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_python_in_the_readme_uses_names_that_exist() -> None:
    code = blocks(text_of("README.md"), "python")
    assert len(code) == 1
    compile(code[0], "README.md", "exec")
    used = set(re.findall(r"perpixel\.(\w+)", code[0]))
    assert len(used) >= 4
    assert used <= set(perpixel.__all__)
    from perpixel.infer import Evaluated, Prediction, Predictor

    for name, kind in (("predict", Predictor), ("overlay", Prediction), ("results", Evaluated)):
        assert hasattr(kind, name)


def test_parameters_in_the_readme_are_those_of_the_networks() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+\| ([\d,]+)", text_of("README.md"), re.MULTILINE)
    assert {name for name, _ in rows} >= {"fast_scnn", "unet", "fpn"}
    for name, count in rows:
        with torch.device("meta"):
            network = perpixel.build(name, num_classes=19)
        assert sum(p.numel() for p in network.parameters()) == int(count.replace(",", "")), name


def test_the_tree_in_the_readme_is_there() -> None:
    tree = next(b for b in blocks(text_of("README.md"), "text") if b.startswith("src/perpixel/"))
    inner = re.findall(r"^  (\w+)/", tree, re.MULTILINE)
    outer = re.findall(r"^(\w+)/ ", tree, re.MULTILINE)
    assert len(inner) >= 11
    assert len(outer) == 4
    assert [n for n in inner if not (ROOT / "src/perpixel" / n).is_dir()] == []
    assert [n for n in outer if not (ROOT / n).is_dir()] == []


def test_recipes_are_accepted() -> None:
    recipes = sorted(ROOT.glob("recipes/**/*.yaml"))
    assert recipes
    for file in recipes:
        recipe = load_recipe(file)
        options = detector_options if is_detector(recipe.model.name) else model_options
        assert set(recipe.model.options) <= set(options(recipe.model.name)), file
