"""Augmentation in batches, on the device where the pictures lie.

    >>> augment = Augmentation(size=224)
    >>> augment(pictures).shape                     # uint8 [B, 240, 240] in, float from 0 to 255 out
    torch.Size([64, 224, 224])

Crop, mirror image, rotation and scale are one affine map, so each output pixel is interpolated once, straight
from the 240×240 picture.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from models.training.corruption import Corruption


@dataclass(frozen=True)
class Augmentation:
    """Random crop, flip, small affine map, bad light and the like, and erasing.

    Attributes:
        size: Side of the crops, pixels.
        crop: Side of the crop as a share of the picture's: 224/240, anywhere within the picture.
        flip: Probability of the mirror image.
        rotation: Largest rotation, degrees, to either side.
        scale: Largest change of scale, as a share, up or down.
        shift: Largest shift beyond the crop's own, as a share of the picture's side.
        brightness: Largest change of contrast and of brightness, as a share.
        corruption: Share of the pictures that are spoiled as cameras do, see `corruption.Corruption`.
        erasing: Probability of overwriting a rectangle of 2 to 20 % of the crop with noise's mean, mid-grey
            (random erasing, Zhong et al., 2020).
    """

    size: int
    crop: float = 224 / 240
    flip: float = 0.5
    rotation: float = 12.0
    scale: float = 0.1
    shift: float = 0.04
    brightness: float = 0.2
    corruption: float = 0.0
    erasing: float = 0.25

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Augments a batch, drawing from torch's global generator of the pictures' device.

        Args:
            pictures: uint8 `[B, R, R]`.

        Returns:
            float32 `[B, size, size]`, grey values from 0 to 255.
        """

        def uniform(low: float, high: float) -> torch.Tensor:
            return torch.rand(len(pictures), device=pictures.device) * (high - low) + low

        angle = uniform(-self.rotation, self.rotation) * (math.pi / 180)
        scale = self.crop * (1 + uniform(-self.scale, self.scale))
        mirror = torch.where(uniform(0, 1) < self.flip, -1.0, 1.0)
        # In the coordinates of affine_grid the picture reaches from -1 to 1: a crop can move by what it leaves.
        reach = (1 - self.crop) + 2 * self.shift
        rows = (
            torch.stack([scale * angle.cos() * mirror, -scale * angle.sin(), uniform(-reach, reach)], dim=1),
            torch.stack([scale * angle.sin() * mirror, scale * angle.cos(), uniform(-reach, reach)], dim=1),
        )
        grid = F.affine_grid(torch.stack(rows, dim=1), [len(pictures), 1, self.size, self.size], align_corners=False)
        crops = F.grid_sample(pictures.unsqueeze(1).float(), grid, padding_mode="border", align_corners=False)[:, 0]

        contrast = 1 + uniform(-self.brightness, self.brightness).view(-1, 1, 1)
        lightness = 255 * self.brightness * uniform(-0.5, 0.5).view(-1, 1, 1)
        crops = ((crops - 128) * contrast + 128 + lightness).clamp_(0, 255)
        if self.corruption:
            crops = Corruption(self.corruption)(crops)
        return self._erase(crops, uniform)

    def _erase(self, crops: torch.Tensor, uniform) -> torch.Tensor:
        area, ratio = uniform(0.02, 0.2), uniform(math.log(0.4), math.log(2.5)).exp()
        height, width = (area * ratio).sqrt(), (area / ratio).sqrt()
        top, left = uniform(0, 1) * (1 - height), uniform(0, 1) * (1 - width)
        # A rectangle of no height erases nothing: that is how the pictures that are left alone are told apart.
        height = torch.where(uniform(0, 1) < self.erasing, height, 0.0)
        place = torch.arange(self.size, device=crops.device).add(0.5).div(self.size)
        in_rows = (place >= top[:, None]) & (place < (top + height)[:, None])
        in_columns = (place >= left[:, None]) & (place < (left + width)[:, None])
        return crops.masked_fill_(in_rows[:, :, None] & in_columns[:, None, :], 128.0)


def mixup(alpha: float, crops: torch.Tensor, *targets: torch.Tensor) -> list[torch.Tensor]:
    """Blends each picture, and its targets alike, with another one of the batch (mixup, Zhang et al., 2018).

    Args:
        alpha: Of the Beta distribution from which the other one's share is drawn, folded to at most a half.
        crops: float32 `[B, size, size]`.
        targets: float32 `[B, ...]` each, shares of classes.

    Returns:
        The crops and the targets, blended.
    """
    share = torch.distributions.Beta(alpha, alpha).sample((len(crops),)).to(crops.device, non_blocking=True)
    share = torch.minimum(share, 1 - share)
    partner = torch.randperm(len(crops), device=crops.device)
    return [torch.lerp(each, each[partner], share.view(-1, *[1] * (each.dim() - 1))) for each in (crops, *targets)]
