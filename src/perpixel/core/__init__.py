"""What every other folder may use: constants, sizes, errors, files and image reading."""

IGNORE = 255
"""The label of a pixel that counts for nothing: neither trained on nor measured."""

Size = tuple[int, int]
"""A size as (height, width)."""
