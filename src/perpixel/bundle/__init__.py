"""A model on disk: its description, what an image must become for it, its weights, and weights of other code made one."""

from perpixel.bundle.folder import find_bundle, load_bundle, read_bundle, save_bundle
from perpixel.bundle.info import BundleInfo, Detector, read_info
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.bundle.weights import write_tensors

__all__ = [
    "BundleInfo",
    "Detector",
    "Preprocessing",
    "find_bundle",
    "load_bundle",
    "read_bundle",
    "read_info",
    "save_bundle",
    "write_tensors",
]
