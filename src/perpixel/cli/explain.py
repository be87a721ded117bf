"""perpixel explain: why one pixel was given its class."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perpixel.core.errors import UserError

if TYPE_CHECKING:
    from perpixel.explain.pixel import Explanation


def explain(
    model: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|NAME", help="A run, a bundle or a bundled model.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    at: Annotated[
        str, typer.Option(metavar="Y,X", help="The pixel: row and column, counted from 0 at the upper left.")
    ],
    class_: Annotated[
        str | None, typer.Option("--class", metavar="C", help="Explain this class's score, not the predicted class's.")
    ] = None,
    side: Annotated[int | None, typer.Option(min=1, help="Of the patch of noise that hides, in pixels.")] = None,
    step: Annotated[
        int | None, typer.Option(min=1, help="Between two places of it; about 400 places unless given.")
    ] = None,
    fill: Annotated[str, typer.Option(help="What replaces the context: mean or blur.")] = "mean",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The folder for STEM_Y_X.png and STEM_Y_X.json.")] = None,
    device: Annotated[str, typer.Option()] = "auto",
) -> None:
    """Scores, occlusion and gradient map, fields, and how much context the pixel's segment needs."""
    from perpixel.core.memory import keep_freed_memory
    from perpixel.core.reporter import for_user
    from perpixel.explain.context import check_fill
    from perpixel.explain.pixel import class_named, explain_pixel
    from perpixel.infer import load

    keep_freed_memory()
    place, predictor = point(at), load(model, device)
    pixels = predictor.preprocessing.read(image)
    label = None if class_ is None else class_named(predictor.taxonomy, class_)
    with for_user("pass") as report:
        found = explain_pixel(predictor, pixels, place, label, side, step, check_fill(fill), seed, report)
    print("\n".join(lines(found)))
    if out is not None:
        _write(out, f"{image.stem}_{place[0]}_{place[1]}", found, {"model": model, "image": str(image), "at": place})


def point(text: str) -> tuple[int, int]:
    """ "120,200" as (120, 200).

    Raises:
        UserError: anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise UserError(f'--at takes a row and a column, such as --at 120,200; got "{text}"')
    return int(parts[0]), int(parts[1])


def lines(found: "Explanation") -> list[str]:
    """What the explanation says, for a terminal."""
    from perpixel.explain.fields_table import number, sides

    names = found.taxonomy.names
    best = found.scores.argsort()[::-1][:3]
    row, column = found.strongest()
    curve = found.context
    first, last = curve.points[0], curve.points[-1]
    return [
        "scores        " + ", ".join(f"{names[k]} {found.scores[k]:.3f}" for k in best),
        f"occlusion     a patch of {found.grid.side} pixels at {row:.0f},{column:.0f} moves {names[found.label]} most: "
        f"{found.occlusion.flat[abs(found.occlusion).argmax()]:+.3f}",
        f"fields        theoretical {sides(found.theoretical)}, effective {number(found.effective.side())} "
        "(90 % of the gradient's energy)",
        f"context       the segment ({names[found.predicted]}, {curve.pixels:,} pixels) alone scores {first.score:.3f}, with "
        f"all around it {last.score:.3f}",
        f"              it uses {radius(curve.used)} (the rest replaced by: {curve.fill})",
        f"              in pixels of the network's input, {found.picture.shape[0]} x {found.picture.shape[1]}, where the "
        f"pixel is {found.at[0]},{found.at[1]}",
    ]


def radius(pixels: float) -> str:
    """How much context is used, in words."""
    return (
        "the whole image" if math.isinf(pixels) else f"{pixels:.0f} pixels around it" if pixels else "nothing around it"
    )


def _write(out: Path, stem: str, found: "Explanation", about: dict[str, Any]) -> None:
    from perpixel.core.files import write_text
    from perpixel.explain.explanation_plot import draw_explanation
    from perpixel.explain.plots import save

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / f"{stem}.json", json.dumps({**about, **found.as_json()}, indent=2) + "\n")
    save(draw_explanation(found), out / f"{stem}.png")
    print(f"{stem}.png and {stem}.json are in {out}")
