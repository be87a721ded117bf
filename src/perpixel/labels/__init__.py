"""Class names, colours and mask values, and the one way from a mask to labels."""

from perpixel.labels.taxonomy import Taxonomy

__all__ = ["Taxonomy"]
