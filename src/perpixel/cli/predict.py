"""perpixel predict: label maps, overlays and a summary for files, folders and globs."""

import glob
import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from perpixel.core.errors import UserError


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders or globs.")],
    model: Annotated[
        str, typer.Option(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")
    ] = "street",
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("predictions"),
    flip: Annotated[bool, typer.Option(help="Average with the mirrored image's prediction.")] = False,
    probabilities: Annotated[bool, typer.Option(help="Also write (K, H, W) float16 probabilities as .npy.")] = False,
    samples: Annotated[
        int, typer.Option(min=0, help="Ask so often with dropout on, and write how unsure it is (Bayesian SegNet: 40).")
    ] = 0,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Predict: label maps, or a detector's boxes. An unreadable image does not stop the others; the status is then 2."""
    files = find_images(images)
    stems = unique_stems(files)
    refuse_overwriting(files, stems, out)
    from rich.progress import Progress

    from perpixel.cli.boxes import predict_boxes, task_of
    from perpixel.core.files import write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.infer import load

    keep_freed_memory()
    if task_of(model) == "detection":
        return predict_boxes(list(zip(files, stems, strict=True)), model, out, device)
    predictor = load(model, device)
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
        for file, stem in bar.track(list(zip(files, stems, strict=True)), description="predicting"):
            try:
                prediction = predictor.predict(file, flip=flip, samples=samples)
                done[str(file)] = {**prediction.summary(), "files": prediction.save(out, stem, probabilities)}
            except (UserError, MemoryError, RuntimeError) as error:
                failed[str(file)] = _reason(error, file)
                print(f"perpixel: {failed[str(file)]}", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    summary = {"model": model, "classes": list(predictor.taxonomy.names), "images": done, "failed": failed}
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    for name, entry in done.items():
        shares = ", ".join(f"{k} {v:.0%}" for k, v in list(entry["share"].items())[:4])
        print(f"{name}: {shares}")
    print(f"{len(done)} of {len(files)} images predicted; label maps, overlays and summary.json are in {out}")
    if failed:
        raise typer.Exit(2)


def _reason(error: Exception, file: Path) -> str:
    """The line about one image; anything but bad input and too little memory is a fault of ours and goes on up."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return f"{file}: too large for the memory of this machine"
    raise error


def find_images(arguments: list[str]) -> list[Path]:
    """Files as given, the images below folders, and what globs match, each once, in order.

    Raises:
        UserError: an argument matches nothing.
    """
    from perpixel.core.image import SUFFIXES
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
    counts = Counter(f.stem.casefold() for f in files)
    taken = {"summary"}  # summary.json is the list of all
    unique = []
    for file in files:
        name = file.stem if counts[file.stem.casefold()] == 1 else f"{file.stem}_{file.suffix[1:].lower()}"
        numbered = (name if n == 1 else f"{name}_{n}" for n in itertools.count(1))
        unique.append(next(x for x in numbered if x.casefold() not in taken))
        taken.add(unique[-1].casefold())
    return unique


def refuse_overwriting(files: list[Path], stems: list[str], out: Path) -> None:
    """Raises UserError where a result would be written over an image that was given."""
    given = {f.resolve() for f in files}
    for stem in stems:
        for name in (f"{stem}.png", f"{stem}_overlay.jpg", f"{stem}_uncertainty.png", f"{stem}_probabilities.npy"):
            if (out / name).resolve() in given:
                raise UserError(
                    f"{out / name} is one of the images and would be overwritten; give another folder by --out"
                )
