"""Recipes and the loop that follows them."""

from perpixel.core.errors import Interrupted
from perpixel.train.recipe import Recipe, default_recipe, load_recipe
from perpixel.train.run import Trained, resume, train

__all__ = ["Interrupted", "Recipe", "Trained", "default_recipe", "load_recipe", "resume", "train"]
