"""VGG16 in int8, for inference on an x86 processor: weights and activations of 8 bits, no data to calibrate.

    >>> network = build_network(load_checkpoint(SHIPPED_CHECKPOINT))
    >>> fast = Int8VGG16(network, value_range(checkpoint["input"]))
    >>> fast(pictures).shape
    torch.Size([2, 7])

A step of 8 bits needs to know how large a layer's outputs become. BatchNorm tells: its weight and bias are what it
makes the standard deviation and the mean of each channel (Nagel et al., Data-Free Quantization, 2019). So any network
with BatchNorm runs in int8 as it is, without pictures to measure and without a word more in its checkpoint.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models.errors import UserError

if TYPE_CHECKING:
    from models.architectures import Network
    from models.vgg16 import VGG16

# Up to how many standard deviations above its mean a channel is told apart: as in Nagel et al. (2019).
DEVIATIONS = 6.0
LEVELS = 255  # of uint8


class Int8Error(UserError):
    """The network cannot be computed in int8; the message names the remedy."""


class Int8VGG16(nn.Module):
    """A trained VGG16 for inference alone, on an x86 processor, that answers nearly as the network given.

    Kernels have a scale for each output channel, activations one for each layer. The last convolution answers in
    float32, as does the head.

    Args:
        network: With BatchNorm, of float32 or stored weights (`checkpoint.build_network`), in evaluation mode; left
            as it is.
        value_range: The lowest and the highest value of the pictures, see `views.value_range`.

    Shape:
        Input `[N, 3, H, W]` float32, normalised; output `[N, num_classes]` logits.

    Raises:
        Int8Error: The network has no BatchNorm.
    """

    def __init__(self, network: "VGG16", value_range: tuple[float, float]):
        super().__init__()
        if not network.batch_norm:
            raise Int8Error(
                "int8 learns its ranges from BatchNorm, which this network lacks: take --precision auto, bf16 or fp32"
            )
        lowest, highest = value_range
        scale = (highest - lowest) / LEVELS
        zero_point = round(-lowest / scale)
        features: list[nn.Module] = [_Quantisation(scale, zero_point)]
        layers = list(network.features)
        last_norm = max(index for index, layer in enumerate(layers) if isinstance(layer, nn.BatchNorm2d))
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.BatchNorm2d):
                output_scale = None if index == last_norm else highest_output(layer) / LEVELS
                convolution: nn.Conv2d = layers[index - 1]  # type: ignore[assignment]
                features.append(_Int8Convolution(convolution, layer, scale, zero_point, output_scale))
                scale, zero_point = output_scale or 1.0, 0
            elif isinstance(layer, nn.MaxPool2d):
                features.append(_Uint8Pooling() if index < last_norm else layer)
        self.features = nn.Sequential(*features)
        self.pool, self.classifier = network.pool, copy.deepcopy(network.classifier).float()

    @staticmethod
    def runs_here() -> bool:
        """Whether this build of torch can, and this processor has AVX2, which makes int8 the fastest."""
        operators = ("qconv_prepack", "qconv2d_pointwise")
        return (
            torch.backends.mkldnn.is_available()
            and torch.backends.cpu.get_cpu_capability().startswith("AVX")
            and all(hasattr(torch.ops.onednn, name) for name in operators)
        )

    @staticmethod
    def pays_for(network: "Network", bfloat16_gains: Callable[[], bool]) -> bool:
        """Whether a network can be computed in int8, and is then faster than in bfloat16 or float32.

        The fc head's 119 M weights stay float32, and reading them outweighs what the convolutions save against
        bfloat16: one 96-pixel crop takes 28 ms against 26, two take 53 against 37 (2 cores, Zen 4).
        """
        return network.arch == "vgg16_bn" and (network.head == "gap" or not bfloat16_gains())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(pictures)).flatten(1))


def largest_weight() -> int:
    """The most that a weight may be in int8.

    Without VNNI the processor adds two products at a time in 16 bits, where 2 · 255 · 127 would be cut off
    (oneDNN, Nuances of int8 Computations): there the weights have 7 bits.
    """
    return 127 if torch.cpu._is_vnni_supported() else 64


def highest_output(norm: nn.BatchNorm2d) -> float:
    """What the outputs of a BatchNorm and a ReLU stay below, all but a few: the most that any channel reaches."""
    reached = norm.bias + DEVIATIONS * norm.weight.abs()
    return max(reached.max().item(), torch.finfo(torch.float32).eps)  # a layer may have died: a scale is never 0


class _Quantisation(nn.Module):
    """Pictures as uint8."""

    def __init__(self, scale: float, zero_point: int):
        super().__init__()
        self._scale, self._zero_point = scale, zero_point

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return (pictures / self._scale).add_(self._zero_point).round_().clamp_(0, LEVELS).to(torch.uint8)


class _Int8Convolution(nn.Module):
    """A convolution, its BatchNorm and a ReLU as one operation.

    Args:
        scale, zero_point: Of the input, uint8.
        output_scale: Of the output, uint8 from 0 up; None: it is float32.
    """

    def __init__(
        self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, scale: float, zero_point: int, output_scale: float | None
    ):
        super().__init__()
        kernel, bias = fuse_conv_bn_weights(
            convolution.weight.float(), convolution.bias.float(),  # type: ignore[union-attr]
            norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,  # type: ignore[arg-type]
        )  # fmt: skip
        kernel = kernel.detach()  # type: ignore[assignment]
        largest = torch.maximum(kernel.amax((1, 2, 3)), -kernel.amin((1, 2, 3)))  # needs no copy, as abs does
        largest.clamp_min_(torch.finfo(torch.float32).tiny)
        self._input = scale, zero_point
        self._kernel_scales = largest / largest_weight()
        self._kernel_zeros = torch.zeros_like(largest, dtype=torch.int32)
        self._bias = bias.detach()
        self._arrangement = convolution.stride, convolution.padding, convolution.dilation, convolution.groups
        self._output = output_scale or 1.0, 0, torch.float32 if output_scale is None else torch.uint8
        steps = kernel.div_(self._kernel_scales.view(-1, 1, 1, 1)).round_().to(torch.int8)
        self._kernel = torch.ops.onednn.qconv_prepack(
            steps, self._kernel_scales, *self._input, *self._arrangement, None
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.ops.onednn.qconv2d_pointwise(
            pictures, *self._input, self._kernel, self._kernel_scales, self._kernel_zeros, self._bias,
            *self._arrangement, *self._output, "relu", [], "",
        )  # fmt: skip


class _Uint8Pooling(nn.Module):
    """2×2 max pooling; `torch.max_pool2d` refuses maps of uint8 of more than 255 values."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        height, width = (side // 2 * 2 for side in pictures.shape[-2:])
        pairs = torch.maximum(pictures[..., 0:height:2, :], pictures[..., 1:height:2, :])
        return torch.maximum(pairs[..., 0:width:2], pairs[..., 1:width:2])
