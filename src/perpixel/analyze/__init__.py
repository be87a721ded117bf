"""What a network costs and what it sees."""

from perpixel.analyze.cost import Cost, count

__all__ = ["Cost", "count"]
