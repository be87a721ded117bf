"""perpixel gives every pixel of an image a class: it trains, measures, explains and ships segmentation models.

    import perpixel
    model = perpixel.build("fast_scnn", num_classes=11)   # a torch.nn.Module: image -> {"logits": (B, K, H, W)}
    predictor = perpixel.load("street")                   # a bundle: a folder, a run, or a bundled name
    prediction = predictor.predict("photo.jpg")           # .labels, .probabilities, .overlay(), .save()

Names are imported when they are first used, so that `import perpixel` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "IGNORE": "perpixel.core",
    "UserError": "perpixel.core.errors",
    "Taxonomy": "perpixel.labels",
    "open_dataset": "perpixel.data.folders",
    "MODELS": "perpixel.models",
    "build": "perpixel.models",
    "LOSSES": "perpixel.losses",
    "ConfusionMatrix": "perpixel.metrics",
    "load": "perpixel.infer",
    "Predictor": "perpixel.infer",
    "Prediction": "perpixel.infer",
    "evaluate": "perpixel.infer",
    "Recipe": "perpixel.train",
    "port": "perpixel.models.ports",
}

__all__ = [*_WHERE, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'perpixel' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from perpixel.core import IGNORE
    from perpixel.core.errors import UserError
    from perpixel.data.folders import open_dataset
    from perpixel.infer import Prediction, Predictor, evaluate, load  # type: ignore[no-redef]
    from perpixel.labels import Taxonomy
    from perpixel.losses import LOSSES
    from perpixel.metrics import ConfusionMatrix
    from perpixel.models import MODELS, build
    from perpixel.models.ports import port
    from perpixel.train import Recipe
