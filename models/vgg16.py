"""The network: VGG16, with or without BatchNorm, ending in a classic or a light head.

    >>> network = VGG16(num_classes=7, head="gap")
    >>> network(torch.zeros(2, 3, 224, 224)).shape
    torch.Size([2, 7])

The trunk is torchvision's, module for module, so that `features.*` keys of torchvision's `vgg16_bn` and
`vgg16` load as they are; it is written out here because the demos need nothing else of torchvision and start
sooner without importing it.
"""

import math

import torch
from torch import nn

from models.errors import UserError

# Output channels of each 3×3 convolution, block by block; a 2×2 max pooling ends each block.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
WHOLE_STEPS = 64  # of a width: the first block has so many channels, the others multiples of them
HEADS = ("gap", "fc")
MINIMUM_SIDE = 32  # five poolings halve the picture five times: 32 pixels leave a single place


class WidthError(UserError):
    """A network cannot be so wide; the message names the widths that are near."""


class VGG16(nn.Module):
    """VGG16 (Simonyan and Zisserman, 2014), configuration D, with BatchNorm (Ioffe and Szegedy, 2015).

    Args:
        num_classes: Number of outputs.
        head: `gap`, global average pooling and one linear layer (14.7 M parameters in all), takes any input
            from 32×32 up; `fc`, the paper's 4096-4096 classifier on a 7×7 map (134 M parameters).
        batch_norm: Whether a BatchNorm follows each convolution. `inference.folding` makes the
            network without from the one with.
        dropout: Probability of dropping an activation in the head, in training alone.
        width: The share of each convolution's channels that there are (Howard et al., MobileNets, 2017): with a
            quarter of them it computes about a sixteenth. Above 0, at most 1, in 64ths.

    Shape:
        Input `[N, 3, H, W]` float, normalised; output `[N, num_classes]` logits.

    Raises:
        WidthError: No network is so wide.
    """

    def __init__(
        self, num_classes: int = 7, head: str = "gap", batch_norm: bool = True, dropout: float = 0.5, width: float = 1.0
    ):
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, not {head!r}")
        check_width(width)
        self.head = head
        self.batch_norm = batch_norm
        self.width = float(width)
        self.num_features = _channels(BLOCKS[-1][-1], width)
        self.features = nn.Sequential(*_trunk_layers(batch_norm, width))
        self.pool = nn.AdaptiveAvgPool2d(1 if head == "gap" else 7)
        if head == "gap":
            self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.num_features, num_classes))
        else:
            self.classifier = nn.Sequential(
                nn.Linear(self.num_features * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
                nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout),
                nn.Linear(4096, num_classes),
            )  # fmt: skip
        # On the meta device there is nothing to initialise, and torch would import its compiler to find that out.
        if not self.features[0].weight.is_meta:
            self._initialise()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(pictures)).flatten(1))

    def observe(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits `[N, num_classes]` and the last block's maps averaged over their places, `[N, num_features]`."""
        maps = self.features(pictures)
        return self.classifier(self.pool(maps).flatten(1)), maps.mean(dim=(2, 3))

    @property
    def arch(self) -> str:
        """torchvision's name of the trunk: `vgg16_bn` or `vgg16`."""
        return "vgg16_bn" if self.batch_norm else "vgg16"

    def block(self, number: int) -> nn.Sequential:
        """The layers of block `number`, 1 to 5, its pooling last."""
        ends = [index + 1 for index, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        return self.features[([0] + ends)[number - 1] : ends[number - 1]]

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)


def check_width(width: float) -> None:
    """Raises `WidthError` where a width gives no whole number of channels, or more than VGG16 has."""
    if not (isinstance(width, int | float) and 0 < width <= 1):
        raise WidthError(f"a width of {width} is no share of VGG16's channels: take one above 0, 1 at most")
    if width * WHOLE_STEPS % 1:
        near = sorted({max(1, math.floor(width * WHOLE_STEPS)), math.ceil(width * WHOLE_STEPS)})
        raise WidthError(
            f"a width of {width:g} gives no whole number of channels: the nearest that do are "
            + " and ".join(f"{steps}/{WHOLE_STEPS} ({steps / WHOLE_STEPS:g})" for steps in near)
        )


def _channels(of_the_whole: int, width: float) -> int:
    return round(of_the_whole * width)


def _trunk_layers(batch_norm: bool, width: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for block in BLOCKS:
        for of_the_whole in block:
            outputs = _channels(of_the_whole, width)
            layers.append(nn.Conv2d(channels, outputs, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.ReLU(inplace=True))
            channels = outputs
        layers.append(nn.MaxPool2d(2))
    return layers
