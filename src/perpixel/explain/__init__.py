"""Why a network answers as it does: what it sees and uses, where and why it errs, and beside another model."""

from perpixel.explain.fields import LayerFields, Settings, measure_fields

__all__ = ["LayerFields", "Settings", "measure_fields"]
