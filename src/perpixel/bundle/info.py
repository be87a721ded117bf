"""model.json: what a bundle's weights are, what an image must become for them, and what was measured on what."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer, model_validator

import perpixel
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core.errors import UserError
from perpixel.labels import Taxonomy

INFO = "model.json"
FORMAT = "perpixel bundle 1"
PREPROCESSING = tuple(f.name for f in fields(Preprocessing))
"""Keys that stand in model.json beside the others, and are one object in memory."""


class BundleInfo(BaseModel):
    """The description of a bundle. `network` has a name of the catalog; `training` and `metrics` say where the weights come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    perpixel: str = perpixel.__version__
    network: str
    options: dict[str, Any] = {}
    taxonomy: dict[str, Any]
    preprocessing: Preprocessing
    logit_bias: tuple[float, ...] = ()
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    data: dict[str, Any] = {}
    sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "preprocessing" in data:
            return data
        own = {k: v for k, v in data.items() if k not in PREPROCESSING}
        return {**own, "preprocessing": {k: data[k] for k in PREPROCESSING if k in data}}

    @model_serializer(mode="wrap")
    def _flat(self, as_dict: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        data = as_dict(self)
        preprocessing = data.pop("preprocessing")
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
        data = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
            raise UserError(f'{file}: written as "{data["format"]}", this perpixel reads "{FORMAT}"; update perpixel')
        info = BundleInfo.model_validate(data)
        _ = info.classes
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


def one_line(error: BaseException) -> str:
    """An error's message, on one line of 160 characters at most."""
    return " ".join(str(error).split())[:160]
