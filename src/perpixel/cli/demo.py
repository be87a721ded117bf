"""perpixel demo: the whole way on synthetic scenes."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Where the scenes, the run and the predictions go.")] = Path("runs/demo"),
    minutes: Annotated[float, typer.Option(min=0.05, help="How long to train.")] = 3.5,
    scenes: Annotated[int, typer.Option(min=4, help="How many training scenes.")] = 200,
) -> None:
    """Make synthetic street scenes, then check, train, evaluate, predict and report on them."""
    from perpixel.cli.check import check
    from perpixel.cli.evaluate import evaluate
    from perpixel.cli.predict import predict
    from perpixel.cli.train import train
    from perpixel.core.errors import UserError
    from perpixel.data.scenes import write_scenes

    data, run = out / "scenes", out / "run"
    if run.exists():
        raise UserError(f"{run} is there already; remove it or give another folder by --out")
    print(f"1/5  {scenes} + {max(2, scenes // 5)} synthetic scenes into {data}", flush=True)
    write_scenes(data, train=scenes, val=max(2, scenes // 5))
    print(f"\n2/5  perpixel check {data}", flush=True)
    check(str(data))
    print(f"\n3/5  perpixel train {data} --minutes {minutes:g} --out {run}", flush=True)
    train([str(data)], minutes=minutes, out=run)
    print(f"\n4/5  perpixel evaluate {run} {data}", flush=True)
    evaluate(str(run), [str(data)], out=run / "evaluation.json")
    print(f"\n5/5  perpixel predict {data / 'images' / 'val'} --model {run}", flush=True)
    predict([str(data / "images" / "val")], model=str(run), out=out / "predictions")
    print(f"\nLook at {run / 'report.html'} and the overlays in {out / 'predictions'}")
