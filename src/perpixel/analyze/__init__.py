"""What a network costs and what it sees."""

from perpixel.analyze.cost import Cost, count
from perpixel.analyze.sampling import SamplingPoints, draw_sampling_points, sampling_points

__all__ = ["Cost", "SamplingPoints", "count", "draw_sampling_points", "sampling_points"]
