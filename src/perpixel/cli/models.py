"""perpixel models: every network by name, and the bundled models."""


def models() -> None:
    """List the networks that can be trained and the models that come with perpixel."""
    import inspect

    import torch
    from rich.console import Console
    from rich.table import Table

    from perpixel.infer.bundle import BUNDLED, INFO, read_info
    from perpixel.models import MODELS, build

    table = Table("network", "parameters at 19 classes", "what it is")
    for name, kind in MODELS.items():
        with torch.device("meta"):
            parameters = sum(p.numel() for p in build(name, num_classes=19).parameters())
        module = inspect.getmodule(kind)
        about = (module.__doc__ if module and module.__doc__ else "").strip().splitlines()[0]
        table.add_row(name, f"{parameters:,}", about)
    console = Console()
    console.print(table)
    for folder in sorted(p for p in BUNDLED.iterdir() if (p / INFO).is_file()) if BUNDLED.is_dir() else []:
        info = read_info(folder)
        figure = info.metrics.get("mean_iou")
        measured = f", mIoU {figure:.3f} on {info.data.get('name')} {info.metrics.get('split')}" if figure else ""
        console.print(
            f"bundled: {folder.name} ({info.network}, {info.classes.num_classes} classes{measured})", highlight=False
        )
