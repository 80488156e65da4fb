"""A trained network, fast: folded, packed or in int8, whichever suits it and the device."""

from models.inference.choice import InferenceNetwork, choose_precision, explain_precision, prepare_for_inference
from models.inference.folding import fold_batch_norm
from models.inference.int8 import Int8Error

__all__ = [
    "InferenceNetwork",
    "Int8Error",
    "choose_precision",
    "explain_precision",
    "fold_batch_norm",
    "prepare_for_inference",
]
