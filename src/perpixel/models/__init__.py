"""The networks: one file a paper, and the catalog that names them."""

from perpixel.models.catalog import MODELS, build, model_options

__all__ = ["MODELS", "build", "model_options"]
