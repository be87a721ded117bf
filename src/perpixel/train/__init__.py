"""Recipes and the loop that follows them."""

from perpixel.core.errors import Interrupted
from perpixel.train.loop import Trained, resume, train
from perpixel.train.recipe import Recipe, default_recipe, load_recipe

__all__ = ["Interrupted", "Recipe", "Trained", "default_recipe", "load_recipe", "resume", "train"]
