"""model.json: what a bundle's weights are, what an image must become for them, and what was measured on what."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

import perpixel
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core.errors import UserError
from perpixel.labels import Taxonomy

INFO = "model.json"
FORMAT = "perpixel bundle 1"
PREPROCESSING = tuple(f.name for f in fields(Preprocessing))
"""Keys that stand in model.json beside the others, and are one object in memory."""
MAX_BYTES = 2**24
"""A description of 254 classes with all of its figures takes less than a tenth of this."""
MAX_NAME, MAX_LICENCE = 200, 2**16  # characters


def own_options(options: dict[str, Any]) -> dict[str, Any]:
    """A network's options, none of which says what the data and the taxonomy say."""
    repeated = [k for k in ("name", "num_classes", "in_channels") if k in options]
    if repeated:
        raise ValueError(f"{repeated[0]} is no option of a network: it follows from the classes and the channels")
    return options


Options = Annotated[dict[str, Any], AfterValidator(own_options)]
LogitBias = Annotated[float, Field(ge=-1e6, le=1e6)]


class Detector(BaseModel):
    """What a detector's bundle says beside the others: which classes are objects by which rule, and which boxes it gives.

    Args:
        classes: names of the taxonomy; `classes[k]` is class k of the network.
        instances, least_pixels, least_side: see `perpixel.detection.truth.ObjectRule`.
        least_score, iou, most: see `perpixel.detection.choose`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    instances: str | None = None
    least_pixels: int
    least_side: int
    least_score: float
    iou: float
    most: int


class BundleInfo(BaseModel):
    """The description of a bundle. `network` has a name of the catalog; `training` and `metrics` say where the weights come from.

    A detector has the task "detection" and its part; the file of a segmentation network speaks of neither.
    A network that takes all bands of an image has no key `bands`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    perpixel: str = perpixel.__version__
    network: str
    options: Options = {}
    taxonomy: dict[str, Any]
    preprocessing: Preprocessing
    logit_bias: tuple[LogitBias, ...] = ()
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    data: dict[str, Any] = {}
    task: Literal["segmentation", "detection"] = "segmentation"
    detection: Detector | None = None
    sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "preprocessing" in data:
            return data
        own = {k: v for k, v in data.items() if k not in PREPROCESSING}
        return {**own, "preprocessing": {k: data[k] for k in PREPROCESSING if k in data}}

    @model_validator(mode="after")
    def _with_its_part(self) -> "BundleInfo":
        if (self.task == "detection") != (self.detection is not None):
            raise ValueError('"detection" goes with the task detection, and with no other')
        return self

    @model_serializer(mode="wrap")
    def _flat(self, as_dict: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        data = as_dict(self)
        preprocessing = data.pop("preprocessing")
        if self.task == "segmentation":
            del data["task"], data["detection"]
        if preprocessing["bands"] is None:
            del preprocessing["bands"]
        return {**data, **preprocessing}

    @property
    def classes(self) -> Taxonomy:
        """The taxonomy as an object."""
        return Taxonomy.from_dict(self.taxonomy)


def read_info(folder: Path) -> BundleInfo:
    """model.json of a bundle, checked.

    Raises:
        UserError: it is not a bundle's, or of a newer format.
    """
    file = folder / INFO
    try:
        data = json.loads(_read(file))
        if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
            raise UserError(f'{file}: written as "{data["format"]}", this perpixel reads "{FORMAT}"; update perpixel')
        info = BundleInfo.model_validate(data)
        _refuse_absurd(info)
    except UserError as error:
        raise error if str(file) in str(error) else UserError(f"{file}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "preprocessing")
        raise UserError(
            f"{file}: not a bundle's description ({where + ': ' if where else ''}{first['msg']})"
        ) from error
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{file}: not a bundle's description ({one_line(error)})") from error
    return info


def _read(file: Path) -> str:
    with open(file, encoding="utf-8") as stream:
        text = stream.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise UserError(f"{file}: over {MAX_BYTES:,} characters; no bundle's description is so long")
    return text


def _refuse_absurd(info: BundleInfo) -> None:
    """Raises UserError for what is right key by key and cannot be meant."""
    classes = info.classes
    long = [name for name in classes.names if len(name) > MAX_NAME]
    if long:
        raise UserError(f"a class name of {len(long[0]):,} characters; at most {MAX_NAME}")
    if len(info.logit_bias) not in (0, classes.num_classes):
        raise UserError(f"{classes.num_classes} classes need as many logit biases or none, got {len(info.logit_bias)}")
    if len(str(info.data.get("licence", ""))) > MAX_LICENCE:
        raise UserError(f"data.licence: over {MAX_LICENCE:,} characters; give its name or its address")


def one_line(error: BaseException) -> str:
    """An error's message, on one line of 160 characters at most."""
    return " ".join(str(error).split())[:160]
