"""Networks by their names: this project's VGG16, and torchvision's classifiers in its place.

    >>> network = make_network("resnet18")
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 7])

What ships is a VGG16. The others serve as teachers that err elsewhere, and whoever wants another one: train.py's
`--arch` trains them, and the demos, `--teachers`, `--evaluate` and `--export` take their checkpoints. torchvision is
imported when one of them is made, and not before.
"""

import difflib
import functools
from collections.abc import Sequence

import torch
from torch import nn

from models.errors import UserError
from models.vgg16 import HEADS, VGG16

OWN = "vgg16"  # --arch's name of the project's network, with BatchNorm
OWN_STORED = ("vgg16_bn", "vgg16")  # what checkpoints call it, with BatchNorm and without
LINEAR_HEAD = "linear"  # of torchvision's: their last layer
# Of no use here: they take pictures of a single size, answer with more than one output, or end in no linear layer.
LEFT_OUT = ("vit_", "maxvit", "inception", "googlenet", "squeezenet", *OWN_STORED)

# torchvision 0.29.1 gives MNASNet 0.0003 and MobileNetV3 0.01, made for ImageNet's hundred thousands of steps: in our
# first epochs their running statistics are still those of no picture, and what has learned all answers by chance.
BATCH_NORM_MOMENTUM = 0.1


class ArchitectureError(UserError):
    """There is no such network, or it cannot be had so; the message names what there is."""


class TorchvisionNetwork(nn.Module):
    """One of torchvision's classifiers, with a last layer of its own.

    Args:
        arch: torchvision's name of it, one of `architectures()`.
        num_classes: Number of outputs.
        dropout: Probability of dropping an activation in the head, in training alone.

    Shape:
        Input `[N, 3, H, W]` float, normalised; output `[N, num_classes]` logits.

    Raises:
        ArchitectureError: torchvision has none of this name, or one that does not fit here.
    """

    head, width = LINEAR_HEAD, 1.0

    def __init__(self, arch: str, num_classes: int = 7, dropout: float = 0.5):
        super().__init__()
        _check(arch)
        from torchvision.models import get_model

        self.arch = arch
        self.trunk: nn.Module = get_model(arch, weights=None)
        name, last = [each for each in self.trunk.named_modules() if isinstance(each[1], nn.Linear)][-1]
        self.trunk.set_submodule(name, nn.Identity())
        own_dropouts = [layer for layer in self.trunk.modules() if type(layer) is nn.Dropout and layer.p > 0]
        for layer in own_dropouts:
            layer.p = dropout
        for layer in self.trunk.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = BATCH_NORM_MOMENTUM
        self.num_features = last.in_features
        self.classifier = nn.Sequential(
            nn.Dropout(0.0 if own_dropouts else dropout), nn.Linear(last.in_features, num_classes)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.observe(pictures)[0]

    def observe(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits `[N, C]` and the features `[N, num_features]` that they are made of."""
        features = self.trunk(pictures)
        return self.classifier(features), features

    def last_maps(self, pictures: torch.Tensor) -> nn.Module:
        """The layer whose maps `[N, C, H, W]` are averaged over their places at the end, for pictures like these."""
        found: list[nn.Module] = []
        handles = [
            layer.register_forward_hook(lambda layer, _, output: found.append(layer) if output.dim() == 4 else None)
            for layer in self.trunk.children()
            if not isinstance(layer, nn.AdaptiveAvgPool2d)
        ]
        try:
            with torch.no_grad():
                self.trunk(pictures)
        finally:
            for handle in handles:
                handle.remove()
        return found[-1]


Network = VGG16 | TorchvisionNetwork


def make_network(
    arch: str, num_classes: int = 7, head: str = "gap", dropout: float = 0.5, width: float = 1.0
) -> Network:
    """The network called `arch`, its weights random.

    Args:
        arch: `vgg16` (with BatchNorm) or one of `architectures()`.
        head, width: Of vgg16 alone.

    Raises:
        ArchitectureError: There is no such network.
        WidthError: VGG16 cannot be so wide.
    """
    if arch == OWN:
        return VGG16(num_classes, head, batch_norm=True, dropout=dropout, width=width)
    return TorchvisionNetwork(arch, num_classes, dropout)


def check_input_size(arch: str, size: int) -> None:
    """Raises `ArchitectureError` where a network is not there or cannot take pictures of `size` pixels a side."""
    if arch == OWN:
        return
    network = TorchvisionNetwork(arch).to("meta").eval()  # where shapes are computed and nothing else
    try:
        network(torch.empty(2, 3, size, size, device="meta"))
    except RuntimeError as error:
        raise ArchitectureError(f"{arch} cannot take pictures of {size} pixels: raise --input-size") from error


@functools.cache
def architectures() -> Sequence[str]:
    """torchvision's networks that can be had here, by name."""
    import torchvision

    return [name for name in torchvision.models.list_models(torchvision.models) if not name.startswith(LEFT_OUT)]


def is_known(arch: str, head: str) -> bool:
    """Whether a checkpoint's `arch` and `head` name a network that can be built."""
    return head in HEADS if arch in OWN_STORED else head == LINEAR_HEAD and arch in architectures()


def _check(arch: str) -> None:
    names = [OWN, *architectures()]
    if arch not in names:
        near = difflib.get_close_matches(arch, names, n=1)
        raise ArchitectureError(
            f"there is no network {arch} here{f', did you mean {near[0]}?' if near else ''}: take {', '.join(names)}"
        )
