"""How much memory a step of training takes, said before the first one."""

from torch import nn

from perpixel.analyze import training_memory
from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.train.recipe import OptimiserPart

STATES = {"adamw": 2, "adam": 2, "sgd": 1, "muon": 1}
"""Numbers that an optimiser keeps for each trained one; Muon two for what goes by AdamW, which is little."""


def step_memory(model: nn.Module, how: OptimiserPart, batch: int, channels: int, crop: Size) -> int | None:
    """Bytes in full precision: weights, their moving average, the optimiser's state, gradients, and all that is kept between
    the passes. Predicted without running (`perpixel.analyze.training_memory`, with cross entropy for the loss); None for a
    network that cannot run without values. It takes about half a second, two for an HRNet.
    """
    try:
        found = training_memory(model, crop, batch, channels, STATES[how.name])
    except UserError:
        return None
    return found.total + (found.weights if how.ema else 0)


def memory_words(size: int | None) -> str:
    """For the line about the model.

    >>> memory_words(831_228_716), memory_words(None)
    ('a step takes about 793 MB in fp32', 'what a step takes is not known')
    """
    return "what a step takes is not known" if size is None else f"a step takes about {size / 2**20:,.0f} MB in fp32"
