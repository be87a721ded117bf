"""Annotations of other tools, one small file a format: read as they are, drawn into masks when a sample is read."""

from perpixel.data.formats.drawn import OVERLAPS
from perpixel.data.formats.opening import KINDS, is_annotations, open_annotations

__all__ = ["KINDS", "OVERLAPS", "is_annotations", "open_annotations"]
