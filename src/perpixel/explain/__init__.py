"""Why a model errs: on a pixel, on a set, and beside another model."""
