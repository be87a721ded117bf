"""Training on several data sets whose classes a common taxonomy relates."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.joined import BETWEEN, alone, joined, set_key
from perpixel.data.measured import identity
from perpixel.data.samples import Dataset
from perpixel.labels import CommonTaxonomy
from perpixel.labels.mapping import mapping_from
from perpixel.train.part import Part
from perpixel.train.ranges import Place, Positive

if TYPE_CHECKING:
    from perpixel.train.recipe import Recipe


class SetPart(Part):
    """One of the sets: where it is, which block of the taxonomy says what its classes are (None finds that by its name or its
    classes), and its weight: how much of what is drawn comes from it, beside the others' weights."""

    path: Place
    block: str | None = None
    weight: Positive = 1.0


class MixturePart(Part):
    """Several sets at once. A batch has of each as many samples as its weight says, give or take one; epochs are of all together.

    taxonomy: what its file says, itself, so that a run does not change with the file.
    """

    taxonomy: dict[str, Any]
    sets: tuple[SetPart, ...] = Field(min_length=1)

    @property
    def common(self) -> CommonTaxonomy:
        """The taxonomy as an object."""
        return mapping_from(self.taxonomy, "the taxonomy")


def mixture_of(common: CommonTaxonomy, data: Sequence[str], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """What a recipe's `mixture` is for these sets, plain.

    Raises:
        UserError: not one weight for each set.
    """
    given = weights or [1.0] * len(data)
    if len(given) != len(data):
        raise UserError(f"{len(data)} DATA need as many weights or none, got {len(given)}")
    sets = [{"path": str(Path(path).resolve()), "weight": w} for path, w in zip(data, given, strict=True)]
    return {"taxonomy": common.to_dict(), "sets": sets}


def training_data(recipe: "Recipe") -> Dataset:
    """The data of a recipe: that of `data.path`, or all sets of its mixture as one.

    Raises:
        UserError: it cannot be used, or two sets have one block.
    """
    if recipe.mixture is None:
        return open_dataset(recipe.data.path)
    common, found = recipe.mixture.common, dict[str, Dataset]()
    for part in recipe.mixture.sets:
        dataset = open_dataset(part.path)
        key = part.block or set_key(dataset, common)
        if key in found or BETWEEN in key:
            why = (
                "two sets have it; give each a block of its own"
                if key in found
                else f'its name may have no "{BETWEEN}"'
            )
            raise UserError(f'{part.path}: the block "{key}" of the taxonomy: {why}')
        dataset.split(recipe.data.train_split)
        found[key] = dataset
    return joined(found, common)


def identities(recipe: "Recipe", dataset: Dataset) -> dict[str, Any]:
    """What a bundle says of its data beside their name: what tells them from others, and of a mixture that of each set."""
    if recipe.mixture is None:
        return {"identity": identity(dataset)}
    return {"identity": identity(dataset), "sets": {key: identity(one) for key, one in alone(dataset).items()}}


def refuse_gone(recipe: "Recipe", run: str | Path) -> None:
    """Raises UserError where data of a run is not where it was."""
    several = recipe.mixture is not None
    for place in [part.path for part in recipe.mixture.sets] if recipe.mixture else [recipe.data.path]:
        if not Path(place).exists():
            new = "the place of every set, in their order" if several else "DATA"
            raise UserError(
                f"{place}: no such folder; if the run's data has moved: perpixel train --resume {run} {new}"
            )


def moved(recipe: "Recipe", data: Sequence[str]) -> "Recipe":
    """The recipe with its data in these places.

    Raises:
        UserError: not as many places as it has sets.
    """
    places = [str(Path(path).resolve()) for path in data]
    sets = recipe.mixture.sets if recipe.mixture else ()
    if len(places) != max(1, len(sets)):
        many = f"{max(1, len(sets))} data set{'s' if len(sets) > 1 else ''}"
        raise UserError(
            f"the recipe is of {many}, {len(places)} were given; say of each where it is now, in their order"
        )
    if recipe.mixture is None:
        return recipe.changed({"data.path": places[0]})
    now = [{**part.model_dump(), "path": place} for part, place in zip(sets, places, strict=True)]
    return recipe.changed({"mixture.sets": now})
