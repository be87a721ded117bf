"""What every group of settings of a recipe is."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
