"""Why a network answers as it does, on a user's own images."""

from perpixel.explain.fields import LayerFields, Settings, measure_fields

__all__ = ["LayerFields", "Settings", "measure_fields"]
