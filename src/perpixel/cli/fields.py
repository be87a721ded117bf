"""perpixel fields: how much of an image the layers of a model can see, and how much they really use."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perpixel.infer import Predictor


def fields(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of images, or a dataset.yaml.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    layers: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Names of layers, as in named_modules(); the stages unless given."),
    ] = None,
    units: Annotated[int, typer.Option(min=1, help="Channels of each layer, drawn at random.")] = 10,
    images: Annotated[int, typer.Option(min=1, help="Images for each, those that activate it most.")] = 10,
    search: Annotated[
        int, typer.Option(min=0, help="Look for them among so many images only, evenly spread; 0: all.")
    ] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Take as many units and images as fit into so many minutes.")
    ] = None,
    side: Annotated[int, typer.Option(min=1, help="Of the patch of noise that hides, in pixels.")] = 11,
    step: Annotated[
        int, typer.Option(min=1, help="Between two places of it, in pixels; 6 is four times as quick as 3.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of units and noise.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="A folder for fields.json, fields.png, and what is done so far.")
    ] = None,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Theoretical, effective and empirical receptive fields (Zhou et al., ICLR 2015). With --out it can be interrupted."""
    from perpixel.core.errors import Interrupted
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.data.folders import open_dataset
    from perpixel.explain import Settings, measure_fields
    from perpixel.explain.fields_table import as_json, lines
    from perpixel.explain.search import Inputs
    from perpixel.infer import load

    keep_freed_memory()
    predictor, dataset = load(model, device), open_dataset(data)
    samples = dataset.split(split)
    count = min(search, len(samples)) if search else len(samples)
    inputs = Inputs(predictor, [samples[n * len(samples) // count] for n in range(count)])
    chosen = [name.strip() for name in layers.split(",")] if layers else None
    journal = None if out is None else out / "fields.jsonl"
    about = {"model": _weights(predictor), "images": [sample.name for sample in inputs.samples]}
    settings = Settings(units, images, side, step, seed)
    with for_user("pass") as report:
        try:
            found = measure_fields(predictor.model, inputs, chosen, settings, minutes, journal, about, report)
        except KeyboardInterrupt:
            if journal is None:
                raise
            report.line(f"interrupted; the images that are done are in {journal}: the same command goes on")
            raise Interrupted from None
    print("\n".join(lines(found)))
    if out is not None:
        _write(out, as_json(found), found, inputs[0].shape[-2:], {"model": model, "data": dataset.name, "split": split})


def _weights(predictor: "Predictor") -> str:
    """What tells one model from another."""
    return predictor.info.sha256 if predictor.info else ""


def _write(out: Path, rows: list[dict[str, Any]], found: Any, size: Any, about: dict[str, Any]) -> None:
    from perpixel.core.files import write_text
    from perpixel.explain.plots import draw_fields, save

    write_text(out / "fields.json", json.dumps({**about, "input": list(size), "layers": rows}, indent=2) + "\n")
    save(draw_fields(found, (size[0], size[1])), out / "fields.png")
    print(f"fields.json, fields.png and fields.jsonl are in {out}")
