"""Class names, colours and mask values, and the one way from a mask to labels."""

from perpixel.labels.known import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC
from perpixel.labels.taxonomy import Taxonomy, default_colours

__all__ = ["ADE20K", "CAMVID", "CITYSCAPES", "CITYSCAPES_TRAIN_IDS", "VOC", "Taxonomy", "default_colours"]
