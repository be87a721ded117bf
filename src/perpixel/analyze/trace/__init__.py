"""Following a network's operations, to know for every unit of every map on which pixels of the image it depends."""

from perpixel.analyze.trace.boxes import Boxes
from perpixel.analyze.trace.tracer import Trace, trace

__all__ = ["Boxes", "Trace", "trace"]
