"""What can be learned, one file an objective; `make_job` finds which a recipe asks for."""

from perpixel.core.reporter import Reporter
from perpixel.train.objective import Job, Stage
from perpixel.train.objectives.decoupled_job import decoupled_job
from perpixel.train.objectives.segmentation import Segmentation
from perpixel.train.recipe import Recipe
from perpixel.train.setup import set_up


def make_job(recipe: Recipe, report: Reporter) -> Job:
    """Looks at the data and settles everything that the recipe leaves open.

    Raises:
        UserError: the data cannot be used, or the recipe does not fit it.
        Interrupted: `report` said so.
    """
    if recipe.decoupled is not None:
        return decoupled_job(recipe, recipe.decoupled, report)
    setup = set_up(recipe, report)
    kept = setup.training_set.keep_in_memory()
    lines = (*setup.lines(), f"images    {'in memory' if kept else 'read from disk each time'}")
    return Job(setup.recipe, setup.model, (Stage(lambda: Segmentation(setup), setup.recipe, recipe.minutes),), lines)
