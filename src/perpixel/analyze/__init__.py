"""What a network costs and what it sees."""

from perpixel.analyze.costs import Cost, cost
from perpixel.analyze.fields import Field, receptive_fields
from perpixel.analyze.footprint import Footprint, footprint
from perpixel.analyze.halo import Halo, halo
from perpixel.analyze.layers import LayerCost, layer_costs
from perpixel.analyze.memory import InferenceMemory, TrainingMemory, inference_memory, training_memory
from perpixel.analyze.sampling import SamplingPoints, draw_sampling_points, sampling_points

__all__ = [
    "Cost",
    "Field",
    "Footprint",
    "Halo",
    "InferenceMemory",
    "LayerCost",
    "SamplingPoints",
    "TrainingMemory",
    "cost",
    "draw_sampling_points",
    "footprint",
    "halo",
    "inference_memory",
    "layer_costs",
    "receptive_fields",
    "sampling_points",
    "training_memory",
]
