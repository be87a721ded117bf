"""perpixel predict: label maps, overlays and a summary for files, folders and globs."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


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
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Rasters that need more go by window, such as 2GB; half of what is free."),
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answer in the common classes of this taxonomy.")
    ] = None,
    model_as: Annotated[str | None, typer.Option(metavar="SET", help="Whose classes in it the model has.")] = None,
    classes_of: Annotated[str | None, typer.Option(metavar="SET", help="Answer in this set's classes instead.")] = None,
) -> None:
    """Predict: label maps, or a detector's boxes. Results lie below --out as the images lie below what was given. An image that
    cannot be read does not stop the others; the exit status is then 2."""
    from perpixel.cli.images import find_images, notes, passed_over, refuse_overwriting, stems
    from perpixel.core.errors import UserError

    if taxonomy is None and (model_as or classes_of):
        raise UserError("--model-as and --classes-of go with --taxonomy FILE, which says what their classes are")
    from perpixel.cli.rasters import budget, on_stderr, predict_large

    limit = budget(memory)
    found = find_images(images)
    for line in passed_over(images):
        print(line)
    places = stems(found)
    refuse_overwriting(found.images, places, out)
    if found.results:
        print(f"passed over {len(found.results)} results of earlier predictions, such as {found.results[0]}")
    from perpixel.cli.boxes import predict_boxes, task_of
    from perpixel.core.files import clean_leftovers, write_text
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.infer import load
    from perpixel.infer.many import Job, predict_files

    keep_freed_memory()
    if task_of(model) == "detection":
        if taxonomy is not None:
            raise UserError("--taxonomy is for segmentation networks; this is a detector")
        return predict_boxes(list(zip(found.images, places, strict=True)), model, out, device)
    predictor = load(model, device)
    if taxonomy is not None:
        from perpixel.infer.compared import answering_as
        from perpixel.labels import read_mapping

        answer = answering_as(predictor, read_mapping(taxonomy), model_as, classes_of)
        predictor = answer.predictor
        for line in answer.lines:
            print(line)
    out.mkdir(parents=True, exist_ok=True)
    clean_leftovers(out)
    jobs = [Job(image, out / place.parent, place.name) for image, place in zip(found.images, places, strict=True)]
    left, large = (jobs, {}) if flip or samples or probabilities else predict_large(predictor, jobs, limit, on_stderr)
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with for_user("predicted", sys.stderr) as reporter:
        reporter.step(0, len(left))
        for n, (job, result) in enumerate(predict_files(predictor, left, flip, samples, probabilities), start=1):
            reporter.step(n, len(left))
            if isinstance(result, str):
                failed[str(job.image)] = result
                print(f"perpixel: {result}", file=sys.stderr)
            else:
                files = {k: (job.folder / name).relative_to(out).as_posix() for k, name in result["files"].items()}
                done[str(job.image)] = {**result, "files": files}
    for job in (job for job in jobs if str(job.image) in large):
        entry = large[str(job.image)]
        files = {k: (job.folder / name).relative_to(out).as_posix() for k, name in entry["files"].items()}
        done[str(job.image)] = {**entry, "files": files}
    summary = {"model": model, "classes": list(predictor.taxonomy.names), "images": done, "failed": failed}
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    for name, entry in done.items():
        shares = ", ".join(f"{k} {v:.0%}" for k, v in list(entry["share"].items())[:4])
        print(f"{name}: {shares}" + (f" ({entry['tiles']})" if entry.get("tiles") else ""))
    for line in notes(done):
        print(line)
    print(f"{len(done)} of {len(jobs)} images predicted; label maps, overlays and summary.json are in {out}")
    if failed:
        raise typer.Exit(2)
