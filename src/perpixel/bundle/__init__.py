"""A model on disk: its description, what an image must become for it, its weights, and weights of other code made one."""

from perpixel.bundle.folder import WEIGHTS, find_bundle, load_bundle, read_weights, save_bundle
from perpixel.bundle.info import BundleInfo, read_info
from perpixel.bundle.preprocessing import Preprocessing

__all__ = [
    "WEIGHTS",
    "BundleInfo",
    "Preprocessing",
    "find_bundle",
    "load_bundle",
    "read_info",
    "read_weights",
    "save_bundle",
]
