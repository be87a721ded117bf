"""What a network costs and what it sees."""

from perpixel.analyze.costs import Cost, cost
from perpixel.analyze.fields import Field, receptive_fields
from perpixel.analyze.footprint import Footprint, footprint
from perpixel.analyze.halo import Halo, halo
from perpixel.analyze.sampling import SamplingPoints, draw_sampling_points, sampling_points

__all__ = [
    "Cost",
    "Field",
    "Footprint",
    "Halo",
    "SamplingPoints",
    "cost",
    "draw_sampling_points",
    "footprint",
    "halo",
    "receptive_fields",
    "sampling_points",
]
