"""The networks: one file a paper, and the catalog that names them.

A network is an `nn.Module` from `(B, C, H, W)` to a dict with `"logits"`, `(B, K, H, W)`. Its `backbone_names` are those of
its parts, as in `named_modules()`, that a classifier's weights fill, or a training of their own, before it learns to
segment; `()` where its paper trains it as a whole. The rest is the head, whose rate a recipe may multiply (`head_lr`).
"""

from perpixel.models.catalog import MODELS, build, model_options

__all__ = ["MODELS", "build", "model_options"]
