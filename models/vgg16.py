"""The network: VGG16, with or without BatchNorm, ending in a classic or a light head.

    >>> network = VGG16(num_classes=7, head="gap")
    >>> network(torch.zeros(2, 3, 224, 224)).shape
    torch.Size([2, 7])

The trunk is torchvision's, module for module, so that `features.*` keys of torchvision's `vgg16_bn` and
`vgg16` load as they are; it is written out here because the demos need nothing else of torchvision and start
sooner without importing it.
"""

import copy
import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models.errors import UserError
from models.int8 import Int8Error, Int8VGG16
from models.views import value_range

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
        batch_norm: Whether a BatchNorm follows each convolution. `fold_batch_norm` makes the network without
            from the one with.
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


def fold_batch_norm(network: VGG16, dtype: torch.dtype = torch.float32) -> VGG16:
    """A VGG16 without BatchNorm that computes what `network` computes at inference, in fewer operations.

    Args:
        network: Of float32 or stored weights (`checkpoint.build_network`), in evaluation mode; left as it is.
        dtype: What the folded weights are kept in: converted layer by layer, they take the least memory.

    Returns:
        The network with each BatchNorm folded into the convolution before it, in evaluation mode. Its head may share
        the memory of `network`'s.
    """
    if not network.batch_norm:
        return copy.deepcopy(network).to(dtype)
    linear_layers = [layer for layer in network.classifier if isinstance(layer, nn.Linear)]
    with torch.device("meta"):  # its weights are computed below: initialising them first would only cost time
        folded = VGG16(linear_layers[-1].out_features, network.head, batch_norm=False, width=network.width).eval()
    with_norm = iter(network.features)
    for layer in folded.features:
        if isinstance(layer, nn.Conv2d):
            convolution, norm = next(with_norm), next(with_norm)
            kernel, bias = fuse_conv_bn_weights(
                convolution.weight.float(), convolution.bias.float(),  # type: ignore[operator, union-attr, arg-type]
                norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,  # type: ignore[arg-type]
            )  # fmt: skip
            layer.load_state_dict({"weight": kernel.to(dtype), "bias": bias.to(dtype)}, assign=True)
        else:
            next(with_norm)
    folded.classifier.load_state_dict(network.classifier.state_dict(), assign=True)
    return folded.to(dtype)


class PackedVGG16(nn.Module):
    """A VGG16 for inference alone, on an x86 processor, that computes what the network given computes.

    PyTorch keeps a convolution's kernel in plain order and rearranges it at each call for the processor's library,
    oneDNN: for one face that takes a third of the time. Here it is done once, and a convolution and its ReLU are
    one operation. `python -m tests.benchmarks.inference` measures both.

    Args:
        network: Without BatchNorm, channels last, float32 or bfloat16; left as it is.

    Shape:
        Input `[N, 3, H, W]`, channels last, of the network's type; output `[N, num_classes]` logits.
    """

    def __init__(self, network: VGG16):
        super().__init__()
        layers = [layer for layer in network.features if not isinstance(layer, nn.ReLU)]
        self.features = nn.Sequential(
            *(_PackedConvolution(layer) if isinstance(layer, nn.Conv2d) else layer for layer in layers)
        )
        self.pool, self.classifier = network.pool, network.classifier

    @staticmethod
    def pays_for(network: VGG16, precision: str) -> bool:
        """Whether this build of torch can, and this processor gains by it, which takes AVX512 and channels in 16s.

        With other numbers of channels oneDNN has no quick way for kernels that are in order already: one 48-pixel crop
        takes 88 ms in three eighths of the width, and 3 with the kernels as they are (1 core, Zen 4). With AVX2 alone
        the order depends on the number of pictures, and each call with another number than one puts the kernels in
        order again: two 96-pixel crops took 400 ms in it and take 92 as they are (2 cores, Zen 3).
        """
        if any(layer.out_channels % 16 for layer in network.features if isinstance(layer, nn.Conv2d)):
            return False
        if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
            return False
        if not all(
            hasattr(torch.ops.mkldnn, name) for name in ("_reorder_convolution_weight", "_convolution_pointwise")
        ):
            return False
        return precision == "fp32" or torch.ops.mkldnn._is_mkldnn_bf16_supported()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(pictures)).flatten(1))


class _PackedConvolution(nn.Module):
    """A convolution and a ReLU as one operation, its kernel in oneDNN's order."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        self._arrangement = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        self._bias = convolution.bias.detach()  # type: ignore[union-attr]
        kernel = convolution.weight.detach()
        self._kernel = torch.ops.mkldnn._reorder_convolution_weight(kernel, *self._arrangement, None)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            pictures, self._kernel, self._bias, *self._arrangement, "relu", [], ""
        )


InferenceNetwork = VGG16 | PackedVGG16 | Int8VGG16


def prepare_for_inference(
    network: nn.Module, device: torch.device, precision: str, input_spec: dict[str, Any]
) -> nn.Module:
    """The fastest form of a trained network: BatchNorm folded, channels last, weights in the precision's type.

    Args:
        network: VGG16 or another one, whose BatchNorm stays, in float32. Of float32 or stored weights, see
            `checkpoint.build_network`; left as it is.
        precision: `fp32`, `bf16` or `int8`, see `device.choose_precision`.
        input_spec: The checkpoint's `input`: what pictures the network is given.

    Raises:
        Int8Error: int8 is asked of a VGG16 without BatchNorm or of another network.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    if not isinstance(network, VGG16):
        if precision == "int8":
            raise Int8Error("int8 is for VGG16 alone: take --precision auto, bf16 or fp32")
        other = copy.deepcopy(network).eval().requires_grad_(False)
        other.to(device, dtype).to(memory_format=torch.channels_last)
        for layer in other.modules():
            if isinstance(layer, nn.BatchNorm2d):  # bfloat16 is too coarse for its statistics
                layer.float()
        return other
    if precision == "int8":
        return Int8VGG16(network.eval(), value_range(input_spec))
    plain = fold_batch_norm(network.eval(), dtype).to(device).to(memory_format=torch.channels_last)
    return PackedVGG16(plain) if device.type == "cpu" and PackedVGG16.pays_for(plain, precision) else plain
