"""What can be learned, one file an objective; `make_job` finds which a recipe asks for."""

from collections.abc import Mapping
from typing import Any

from perpixel.core.errors import UserError
from perpixel.core.networks import is_detector
from perpixel.core.reporter import Reporter
from perpixel.data.decoded import keep_decoded
from perpixel.train.objective import Job, Stage
from perpixel.train.objectives.decoupled_job import decoupled_job
from perpixel.train.objectives.segmentation import Segmentation
from perpixel.train.recipe import Recipe
from perpixel.train.setup import decoded_key, set_up


def make_job(recipe: Recipe, report: Reporter, known: Mapping[str, Any] | None = None) -> Job:
    """Looks at the data and settles everything that the recipe leaves open.

    Args:
        recipe: what to do.
        report: told how far looking is.
        known: `Job.data` of the run that goes on, which spares a second look; empty where it kept none.

    Raises:
        UserError: the data cannot be used, or the recipe does not fit it.
        Interrupted: `report` said so.
    """
    if recipe.mixture is not None and (is_detector(recipe.model.name) or recipe.decoupled is not None):
        raise UserError(
            "several data sets by a taxonomy are for segmentation alone; give a detector or decoupled one DATA"
        )
    if is_detector(recipe.model.name):
        from perpixel.train.objectives.detection import detection_job  # who segments does not wait for it

        return detection_job(recipe, report, known)
    if recipe.detection is not None:
        raise UserError(f"{recipe.model.name} is no detector; leave detection out of its recipe")
    if recipe.decoupled is not None:
        return decoupled_job(recipe, recipe.decoupled, report, known)
    setup = set_up(recipe, report, known)
    of = (setup.dataset, setup.recipe.data, setup.taxonomy, setup.preprocessing)
    kept = keep_decoded(setup.training_set, recipe.data.cache, lambda: decoded_key(*of), report)
    lines = (*setup.lines(), f"images    {kept}")
    return Job(
        setup.recipe,
        setup.model,
        (Stage(lambda: Segmentation(setup), setup.recipe, recipe.minutes),),
        lines,
        setup.known,
    )
