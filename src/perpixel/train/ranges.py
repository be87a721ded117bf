"""What a value in a recipe may be: finite, and within what anyone could mean, so that a slip is told before any work."""

from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0, le=1e9)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=2**14)]
"""Pixels."""
Scale = Annotated[float, Field(ge=0.01, le=100)]
Sigma = Annotated[float, Field(ge=1e-3, le=1e4)]
"""Pixels."""
Count = Annotated[int, Field(ge=1, le=2**20)]
Steps = Annotated[int, Field(ge=1, le=10**9)]
Epochs = Annotated[float, Field(ge=1e-6, le=1e6)]
Minutes = Annotated[float, Field(ge=1e-3, le=1e7)]
Rate = Annotated[float, Field(gt=0, le=1e6)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Place = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=4096)]
"""A path or a name of something on the disk."""
