"""From a face crop to what the network sees: grey, resized, cropped, normalised. One definition, used by
training's evaluation and by the classifier alike, so that a figure on val is a figure for the demos.

    >>> faces = to_grey_squares([crop], input_spec["resize"])         # uint8 [1, R, R]
    >>> logits = predict_logits(network, faces, input_spec, tta="flip")  # float32 [2, 1, 7]
    >>> probabilities = average_views(logits)                           # float32 [1, 7]
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# The dataset is kept at 240 and the network takes 224 of it; other input sizes keep that proportion.
RESIZE_PER_SIZE = 240 / 224
TTA_MODES = ("none", "flip", "ten")


def make_input_spec(size: int) -> dict[str, Any]:
    """The `input` entry of a checkpoint for crops of `size` pixels."""
    return {
        "size": size,
        "resize": round(size * RESIZE_PER_SIZE),
        "channels": 3,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


def to_grey_squares(faces: Sequence[np.ndarray], side: int) -> torch.Tensor:
    """Resizes grey `[H, W]` or RGB `[H, W, 3]` uint8 pictures of any size to grey uint8 `[N, side, side]`.

    Bilinear when enlarging, as the dataset was made; area-averaged when shrinking, which leaves no aliasing.
    """
    squares = np.empty((len(faces), side, side), np.uint8)
    for square, face in zip(squares, faces, strict=True):
        if face.ndim == 3:
            face = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if face.shape[2] == 3 else face[:, :, 0]
        shrinks = min(face.shape[:2]) > side
        cv2.resize(face, (side, side), dst=square, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return torch.from_numpy(squares)


def normalise(grey: torch.Tensor, input_spec: dict[str, Any]) -> torch.Tensor:
    """Grey values `[N, H, W]` from 0 to 255, to normalised `[N, 3, H, W]` float32, channels last."""
    mean, std = (_of_channels(tuple(input_spec[name]), grey.device) for name in ("mean", "std"))
    scaled = grey.unsqueeze(1).float() / 255
    return ((scaled - mean) / std).contiguous(memory_format=torch.channels_last)


@functools.cache  # a copy to a GPU would make each call wait until it has done all before
@torch.inference_mode(False)  # for a training step as well, whoever asks first
def _of_channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


def value_range(input_spec: dict[str, Any]) -> tuple[float, float]:
    """The lowest and the highest value in pictures that `normalise` makes: black and white, in any channel."""
    black_and_white = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    lowest, highest = normalise(black_and_white, input_spec).aminmax()
    return lowest.item(), highest.item()


def make_views(grey: torch.Tensor, size: int, tta: str) -> Iterator[torch.Tensor]:
    """The crops `[N, size, size]` of grey pictures `[N, R, R]` that are classified and averaged.

    `none`: the centre; `flip`: the centre and its mirror image; `ten`: the four corners and the centre, and
    their mirror images (Krizhevsky et al., 2012), the original project's way.
    """
    for top, left, is_mirrored in view_places(grey.shape[-1] - size, tta):
        crop = grey[:, top : top + size, left : left + size]
        yield crop.flip(-1) if is_mirrored else crop


def view_places(margin: int, tta: str) -> list[tuple[int, int, bool]]:
    """Where the crops of `make_views` are cut: top, left, and whether mirrored afterwards.

    Args:
        margin: By how many pixels the crops are smaller than the picture.
    """
    middle = margin // 2
    corners = [(middle, middle)]
    if tta == "ten":
        corners += [(0, 0), (0, margin), (margin, 0), (margin, margin)]
    return [(top, left, is_mirrored) for top, left in corners for is_mirrored in (False, True)[: 1 + (tta != "none")]]


@torch.inference_mode()
def predict_logits(
    network: torch.nn.Module, grey: torch.Tensor, input_spec: dict[str, Any], tta: str = "flip", batch_size: int = 64
) -> torch.Tensor:
    """The network's outputs for each view of grey faces.

    Args:
        network: In evaluation mode, on any device, float32, bfloat16 or int8; see `inference.prepare_for_inference`.
        grey: uint8 `[N, R, R]` with R the checkpoint's `resize`, N at least 1, on any device.
        tta: `none`, `flip` or `ten`, see `make_views`.
        batch_size: Crops that go through the network together: the views of one face are the more quickly done.

    Returns:
        float32 `[views, N, C]` on the CPU.
    """
    weight = next(network.parameters())
    batches = []
    for batch in grey.split(batch_size):
        views = torch.stack(list(make_views(batch.to(weight.device, non_blocking=True), input_spec["size"], tta)))
        crops = views.flatten(0, 1).split(batch_size)
        logits = torch.cat([network(normalise(part, input_spec).to(weight.dtype)) for part in crops])
        batches.append(logits.unflatten(0, views.shape[:2]).float().cpu())
    return torch.cat(batches, dim=1)


def average_views(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Probabilities `[N, C]` from the views' logits `[views, N, C]`: the mean of their softmax."""
    return F.softmax(logits / temperature, dim=-1).mean(0)
