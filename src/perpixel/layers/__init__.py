"""Building blocks that at least two networks use."""
