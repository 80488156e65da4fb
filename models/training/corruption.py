"""What a camera does to faces, as augmentation: noise, blur, bad light, compression, something in front.

    >>> corrupt = Corruption(share=0.5)
    >>> corrupt(crops).shape                        # float [B, S, S], grey values from 0 to 255, in and out
    torch.Size([64, 96, 96])

The kinds are those of Hendrycks and Dietterich, Benchmarking Neural Network Robustness (2019), that a camera makes, and
a bar over eyes or mouth. `tests/benchmarks/robustness.py` measures with other programs' noise, blur and JPEG, at fixed
strengths.

Which pictures get which kind depends on their place in the batch alone, which is drawn anew each epoch: so no step
waits for a GPU to say how many there are, and each kind is computed for its own pictures only. Lengths are told in
pixels of a crop of 96; other crops have them in proportion.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

REFERENCE_SIDE = 96
Kind = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Corruption:
    """Spoils a share of a batch, each picture by one kind, half of those by a second one.

    Attributes:
        share: Of the pictures, 0 to 1.
    """

    share: float

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        """Spoils crops, drawing from torch's global generators.

        Args:
            crops: float32 `[B, S, S]`, grey values from 0 to 255.

        Returns:
            New crops of the same shape and range.
        """
        kinds = list(KINDS.values())
        crops = crops.clone()
        # What is left over of a whole picture is one or none, by chance: on average the share is kept.
        rest = torch.rand(())
        for share in (self.share, self.share / 2):
            order = torch.randperm(len(kinds)).tolist()  # of a small batch not all kinds get a picture
            ends = (torch.linspace(0, share * len(crops), len(kinds) + 1) + rest).int().tolist()
            for kind, start, end in zip(order, ends, ends[1:]):
                if end > start:
                    strength = torch.rand(end - start, 1, 1, device=crops.device)
                    crops[start:end] = kinds[kind](crops[start:end], strength).clamp_(0, 255)
        return crops


def between(low: float, high: float, strength: torch.Tensor) -> torch.Tensor:
    """From `low` at strength 0 to `high` at strength 1."""
    return low + (high - low) * strength


def like(strength: torch.Tensor, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """A random number a picture, of the strength's shape `[B, 1, 1]`."""
    return torch.rand_like(strength) * (high - low) + low


def grain(crops: torch.Tensor) -> torch.Tensor:
    """Normal noise of variance 1, of single pixels or, where a small face was enlarged, of two by two."""
    fine = torch.randn_like(crops)
    side = crops.shape[-1]
    coarse = F.interpolate(fine[:, None, : side // 2, : side // 2], size=(side, side), mode="nearest")[:, 0]
    return torch.where(like(crops[:, :1, :1]) < 0.5, fine, coarse)


def noise(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """A sensor's: the same everywhere, or growing with the light as photons' does."""
    even = between(4, 45, strength)
    of_light = between(4, 60, strength) * (crops / 255).sqrt()
    return crops + torch.where(like(strength) < 0.5, even, of_light) * grain(crops)


def dots(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Black and white dots in up to a sixth of the pixels."""
    chance = torch.rand_like(crops)
    half = between(0.005, 0.08, strength)
    return crops.masked_fill(chance < half, 0.0).masked_fill(chance > 1 - half, 255.0)


def blur(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Out of focus."""
    deviation = between(0.5, 3.5, strength) * _pixels(crops)
    kernel = torch.exp(-0.5 * (_reach(crops) / deviation) ** 2)
    return _convolve(_convolve(crops, kernel.transpose(1, 2)), kernel)


def motion(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Moved while the shutter was open, along a line of any direction."""
    length = between(2, 16, strength) * _pixels(crops)
    angle = like(strength, 0, math.pi)
    steps = _reach(crops)
    across, down = steps.view(1, 1, -1), steps.view(1, -1, 1)
    along = (across * angle.cos() + down * angle.sin()).abs()
    beside = (down * angle.cos() - across * angle.sin()).abs()
    kernel = (1 - beside).clamp_min(0) * (length / 2 + 0.5 - along).clamp(0, 1)
    return _convolve(crops, kernel)


def darkness(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Too little light, and the noise that comes with it."""
    dark = crops * between(0.7, 0.1, strength)
    return dark + between(0.5, 8, strength) * like(strength) * grain(crops)


def overexposure(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Too much light: what was bright is white."""
    return crops * between(1.1, 2.2, strength) + between(5, 60, strength)


def glare(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """A lamp or its reflection: a bright round spot with a soft edge."""
    size = like(strength, 0.08, 0.5)
    across, down = _places(crops)
    distance = (across - like(strength)) ** 2 + (down - like(strength)) ** 2
    return crops + between(60, 300, strength) * torch.exp(-distance / (2 * size**2))


def shade(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Light from one side: the other side lies in shadow, its edge soft or hard."""
    angle = like(strength, 0, 2 * math.pi)
    across, down = _places(crops)
    beyond = (across - 0.5) * angle.cos() + (down - 0.5) * angle.sin() - like(strength, -0.3, 0.3)
    return crops * (1 - between(0.3, 0.92, strength) * torch.sigmoid(beyond * like(strength, 2, 30)))


def contrast(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Fog, or a dirty lens: all greys draw near to one."""
    middle = crops.mean((1, 2), keepdim=True) + like(strength, -40, 60)
    return middle + (crops - middle) * between(0.7, 0.1, strength)


def jpeg(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """JPEG's loss: the cosine transform of blocks of 8×8, rounded to steps (ITU-T T.81, tables of annex K)."""
    side = crops.shape[-1]
    padding = -side % 8
    padded = F.pad(crops[:, None], (0, padding, 0, padding), mode="replicate")
    basis, table = _cosines(crops.device), _luminance(crops.device)
    quality = between(40, 4, strength)
    steps = (table.view(1, 64, 1, 1) * (50 / quality)[..., None]).round().clamp(1, 255)
    blocks = F.conv2d(padded - 128, basis, stride=8)
    restored = F.conv_transpose2d((blocks / steps).round() * steps, basis, stride=8)[:, 0] + 128
    return restored[:, :side, :side].round()


def pixelation(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """A face of few pixels, enlarged smoothly or not; of the strength no use is made."""
    side, spoiled = crops.shape[-1], crops.clone()
    # A batch is resized as one: each size is drawn for the pictures at some places.
    for start, size in enumerate(torch.randperm(6).tolist()):
        small = round((14, 18, 22, 28, 36, 48)[size] * _pixels(crops))
        part = crops[start::6, None]
        if len(part):
            shrunk = F.interpolate(part, size=(small, small), mode="area")
            mode = "nearest" if torch.rand(()) < 0.5 else "bilinear"
            spoiled[start::6] = F.interpolate(shrunk, size=(side, side), mode=mode)[:, 0]
    return spoiled


def bar(crops: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Something of one grey in front of the eyes or the mouth: sunglasses, a hand, a mask."""
    across, down = _places(crops)
    middle = torch.where(like(strength) < 0.5, like(strength, 0.2, 0.45), like(strength, 0.65, 0.9))
    height, width = between(0.08, 0.34, strength), like(strength, 0.5, 1.4)
    inside = ((down - middle).abs() < height / 2) & ((across - like(strength, 0.35, 0.65)).abs() < width / 2)
    return torch.where(inside, like(strength, 0, 255), crops)


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        noise, dots, blur, motion, darkness, overexposure, glare, shade, contrast, jpeg, pixelation, bar,
    )
}  # fmt: skip


def _pixels(crops: torch.Tensor) -> float:
    """How many pixels of a crop are one of the reference's."""
    return crops.shape[-1] / REFERENCE_SIDE


def _reach(crops: torch.Tensor) -> torch.Tensor:
    """How far blur and motion reach, in whole pixels to either side: `[K]`, K odd."""
    reach = math.ceil(8 * _pixels(crops))
    return torch.arange(-reach, reach + 1, device=crops.device)


def _places(crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each pixel, its place from left to right and from top to bottom, 0 to 1: `[1, 1, S]` and `[1, S, 1]`."""
    places = (torch.arange(crops.shape[-1], device=crops.device) + 0.5) / crops.shape[-1]
    return places.view(1, 1, -1), places.view(1, -1, 1)


def _convolve(crops: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Each crop `[S, S]` with its own kernel, whose values are made to sum to 1."""
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    down, across = kernels.shape[1] // 2, kernels.shape[2] // 2
    padded = F.pad(crops[None], (across, across, down, down), mode="replicate")
    return F.conv2d(padded, kernels[:, None], groups=len(crops))[0]


@functools.cache  # a copy to a GPU would make each step wait for it
def _luminance(device: torch.device) -> torch.Tensor:
    """JPEG's table of steps for luminance at quality 50, row by row, frequencies across from left to right."""
    return torch.tensor([
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
        14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99.0,
    ], device=device)  # fmt: skip


@functools.cache
def _cosines(device: torch.device) -> torch.Tensor:
    """The 64 blocks `[64, 1, 8, 8]` of the cosine transform, orthonormal, in the order of `_luminance`."""
    frequency, place = torch.arange(8.0, device=device).view(-1, 1), torch.arange(8.0, device=device)
    line = torch.cos((2 * place + 1) * frequency * math.pi / 16) * torch.where(frequency > 0, 0.5, 8**-0.5)
    return torch.einsum("uy,vx->uvyx", line, line).reshape(64, 1, 8, 8)
