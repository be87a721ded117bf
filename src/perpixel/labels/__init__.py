"""Class names, colours and mask values, the one way from a mask to labels, and one taxonomy over many sets."""

from perpixel.labels.grouping import Grouping, Side, grouped
from perpixel.labels.known import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC
from perpixel.labels.mapping import CommonTaxonomy, read_mapping
from perpixel.labels.mseg import read_mseg
from perpixel.labels.taxonomy import Taxonomy, default_colours

__all__ = [
    "ADE20K",
    "CAMVID",
    "CITYSCAPES",
    "CITYSCAPES_TRAIN_IDS",
    "VOC",
    "CommonTaxonomy",
    "Grouping",
    "Side",
    "Taxonomy",
    "default_colours",
    "grouped",
    "read_mapping",
    "read_mseg",
]
