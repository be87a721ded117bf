"""perpixel predict: label maps, overlays and a summary for files, folders and globs."""

import glob
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from perpixel.core.errors import UserError
from perpixel.core.image import SUFFIXES


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders or globs.")],
    model: Annotated[
        str, typer.Option(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")
    ] = "street",
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("predictions"),
    flip: Annotated[bool, typer.Option(help="Average with the mirrored image's prediction.")] = False,
    probabilities: Annotated[bool, typer.Option(help="Also write (K, H, W) float16 probabilities as .npy.")] = False,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Predict. An image that cannot be read does not stop the others; the exit status is then 2."""
    files = find_images(images)
    from rich.progress import Progress

    from perpixel.core.files import write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.infer import load

    keep_freed_memory()
    predictor = load(model, device)
    stems = unique_stems(files)
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
        for file, stem in bar.track(list(zip(files, stems, strict=True)), description="predicting"):
            try:
                prediction = predictor.predict(file, flip=flip)
                done[str(file)] = {**prediction.summary(), "files": prediction.save(out, stem, probabilities)}
            except UserError as error:
                failed[str(file)] = str(error)
                print(f"perpixel: {error}", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    summary = {"model": model, "classes": list(predictor.taxonomy.names), "images": done, "failed": failed}
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    for name, entry in done.items():
        shares = ", ".join(f"{k} {v:.0%}" for k, v in list(entry["share"].items())[:4])
        print(f"{name}: {shares}")
    print(f"{len(done)} of {len(files)} images predicted; label maps, overlays and summary.json are in {out}")
    if failed:
        raise typer.Exit(2)


def find_images(arguments: list[str]) -> list[Path]:
    """Files as given, the images below folders, and what globs match, each once, in order.

    Raises:
        UserError: an argument matches nothing.
    """
    from perpixel.data.folders import list_images

    found: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            matches = list_images(path)
        elif path.exists():
            matches = [path]
        else:
            matches = [
                Path(p) for p in sorted(glob.glob(argument, recursive=True)) if Path(p).suffix.lower() in SUFFIXES
            ]
        if not matches:
            raise UserError(f"{argument}: no image there; give image files, folders of images or quoted globs")
        found.update(dict.fromkeys(matches))
    return list(found)


def unique_stems(files: list[Path]) -> list[str]:
    """The stem of each file, with its ending where two share one, then numbered where that is not enough."""
    stems = [f.stem for f in files]
    named = [f.stem if stems.count(f.stem) == 1 else f"{f.stem}_{f.suffix[1:].lower()}" for f in files]
    seen: dict[str, int] = {}
    unique = []
    for name in named:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique
