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
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from models.errors import UserError
from models.inference.folding import fold
from models.vgg16 import VGG16

# Up to how many standard deviations above its mean a channel is told apart: as in Nagel et al. (2019).
DEVIATIONS = 6.0
LEVELS = 255  # of uint8


class Int8Error(UserError):
    """The network cannot be computed in int8; the message names the remedy."""


class Int8VGG16(nn.Module):
    """A trained VGG16 for inference alone, on an x86 processor, that answers nearly as the network given.

    Kernels have a scale for each output channel, activations one for each layer. The head answers in float32.

    Args:
        network: With BatchNorm, of float32 or stored weights (`checkpoint.build_network`), in evaluation mode; left
            as it is.
        value_range: The lowest and the highest value of the pictures, see `views.value_range`.

    Shape:
        Input `[N, 3, H, W]` float32, normalised; output `[N, num_classes]` logits.

    Raises:
        Int8Error: The network has no BatchNorm.
    """

    def __init__(self, network: VGG16, value_range: tuple[float, float]):
        super().__init__()
        if not network.batch_norm:
            raise Int8Error(
                "int8 learns its ranges from BatchNorm, which this network lacks: take --precision auto, bf16 or fp32"
            )
        lowest, highest = value_range
        scale = (highest - lowest) / LEVELS
        layers = list(network.features)
        # The head comes first: whoever asks for the first parameter then finds it at once, at each answer.
        self.pool, self.classifier = network.pool, copy.deepcopy(network.classifier).float()
        self.features = nn.Sequential(*int8_layers(layers, scale, round(-lowest / scale)))

    @staticmethod
    def runs_here() -> bool:
        """Whether this build of torch can, and this processor has AVX2, which makes int8 the fastest."""
        operators = ("qconv_prepack", "qconv2d_pointwise")
        return (
            torch.backends.mkldnn.is_available()
            and torch.backends.cpu.get_cpu_capability().startswith("AVX")
            and all(hasattr(torch.ops.onednn, name) for name in operators)
        )

    @classmethod
    def objection(cls, arch: str, head: str, bfloat16_gains: Callable[[], bool]) -> str:
        """What speaks against int8 here for a network of this kind; empty where it is the fastest.

        The fc head's 119 M weights stay float32, and reading them outweighs what the convolutions save against
        bfloat16: one 96-pixel crop takes 28 ms against 26, two take 53 against 37 (2 cores, Zen 4).
        """
        if not cls.runs_here():
            return "int8 needs AVX2"
        if arch != "vgg16_bn":
            return "int8 is for VGG16 with BatchNorm"
        return "int8 is slower with so large a head" if head != "gap" and bfloat16_gains() else ""

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


def int8_layers(layers: list[nn.Module], scale: float, zero_point: int) -> list[nn.Module]:
    """A trunk's layers in int8: the first makes uint8 of pictures, and the last convolution answers in float32.

    Args:
        layers: A VGG16's `features`, or whole blocks of them.
        scale, zero_point: Of the pictures as uint8.
    """
    return (_remembering_layers if _remembers() else _lasting_layers)(layers, scale, zero_point)


def _lasting_layers(layers: list[nn.Module], scale: float, zero_point: int) -> list[nn.Module]:
    """A trunk's layers in the operations that torch is to keep."""
    made: list[nn.Module] = [_Quantisation(scale, zero_point)]
    last_norm = max(index for index, layer in enumerate(layers) if isinstance(layer, nn.BatchNorm2d))
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm2d):
            output_scale = None if index == last_norm else highest_output(layer) / LEVELS
            made.append(_Int8Convolution(*folded(layers[index - 1], layer), scale, zero_point, output_scale))
            scale, zero_point = output_scale or 1.0, 0
        elif isinstance(layer, nn.MaxPool2d):
            made.append(_Uint8Pooling() if index < last_norm else layer)
    return made


def folded(convolution: nn.Module, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Kernel and bias of a convolution and its BatchNorm as one, and the kernel's scale for each output channel."""
    kernel, bias = fold(convolution, norm)
    kernel = kernel.detach()
    largest = torch.maximum(kernel.amax((1, 2, 3)), -kernel.amin((1, 2, 3)))  # needs no copy, as abs does
    return kernel, bias.detach(), largest.clamp_min_(torch.finfo(torch.float32).tiny) / largest_weight()


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
        kernel, bias, kernel_scales: See `folded`; the kernel's memory is used.
        scale, zero_point: Of the input, uint8.
        output_scale: Of the output, uint8 from 0 up; None: it is float32.
    """

    def __init__(
        self, kernel: torch.Tensor, bias: torch.Tensor, kernel_scales: torch.Tensor,
        scale: float, zero_point: int, output_scale: float | None,
    ):  # fmt: skip
        super().__init__()
        arrangement = (1, 1), (1, 1), (1, 1), 1  # stride, padding, dilation, groups
        output = output_scale or 1.0, 0, torch.float32 if output_scale is None else torch.uint8
        steps = kernel.div_(kernel_scales.view(-1, 1, 1, 1)).round_().to(torch.int8)
        packed = torch.ops.onednn.qconv_prepack(steps, kernel_scales, scale, zero_point, *arrangement, None)
        zeros = torch.zeros_like(kernel_scales, dtype=torch.int32)
        self._arguments: tuple[Any, ...] = (
            scale, zero_point, packed, kernel_scales, zeros, bias, *arrangement, *output, "relu", [], "",
        )  # fmt: skip

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.ops.onednn.qconv2d_pointwise.default(pictures, *self._arguments)


class _Uint8Pooling(nn.Module):
    """2×2 max pooling; `torch.max_pool2d` refuses maps of uint8 of more than 255 values."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        height, width = (side // 2 * 2 for side in pictures.shape[-2:])
        pairs = torch.maximum(pictures[..., 0:height:2, :], pictures[..., 1:height:2, :])
        return torch.maximum(pairs[..., 0:width:2], pairs[..., 1:width:2])


def _remembers() -> bool:
    """Whether torch still has its older int8 operations, and they pay.

    They remember how each convolution is computed for pictures as in the first call, as many and as large and in as
    many threads, which the newer ones find out at each call: 0.03 ms a convolution, a third of what a narrow network
    takes for one face. torch 2.14 announces that it will drop them (pytorch/pytorch#184982).
    """
    return (
        hasattr(torch.ops.quantized, "conv2d_prepack")
        and hasattr(torch, "quantize_per_channel")
        and "onednn" in torch.backends.quantized.supported_engines
        and torch.cpu._is_vnni_supported()
    )


def _remembering_layers(layers: list[nn.Module], scale: float, zero_point: int) -> list[nn.Module]:
    """A trunk's layers in torch's older int8 operations."""
    made: list[nn.Module] = [_RememberingQuantisation(scale, zero_point)]
    channels = 0
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm2d):
            scale, channels = highest_output(layer) / LEVELS, layer.num_features
            made.append(_RememberingConvolution(*folded(layers[index - 1], layer), scale))
        elif isinstance(layer, nn.MaxPool2d):
            made.append(layer if channels >= 32 else _RememberingPooling(scale))
    return [*made[:-1], _Dequantisation(), layers[-1]]


class _RememberingQuantisation(nn.Module):
    """Pictures as torch's quantised tensors, of 8 bits."""

    def __init__(self, scale: float, zero_point: int):
        super().__init__()
        self._scale, self._zero_point = scale, zero_point

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.quantize_per_tensor(pictures, self._scale, self._zero_point, torch.quint8)


class _RememberingConvolution(nn.Module):
    """As `_Int8Convolution`, between quantised tensors."""

    def __init__(self, kernel: torch.Tensor, bias: torch.Tensor, kernel_scales: torch.Tensor, output_scale: float):
        super().__init__()
        engine, self._output_scale = torch.backends.quantized.engine, output_scale
        zeros = torch.zeros_like(kernel_scales, dtype=torch.int64)
        try:
            torch.backends.quantized.engine = "onednn"
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)  # see `_remembers`
                steps = torch.quantize_per_channel(kernel, kernel_scales.double(), zeros, 0, torch.qint8)
            self._packed = torch.ops.quantized.conv2d_prepack(steps, bias, [1, 1], [1, 1], [1, 1], 1)
        finally:
            torch.backends.quantized.engine = engine

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.ops.quantized.conv2d_relu.new(pictures, self._packed, self._output_scale, 0)


class _RememberingPooling(nn.Module):
    """2×2 max pooling of quantised tensors of a scale. torch's own takes fewer than 32 channels one by one: 0.09 ms a
    face for the 16 of a narrow network's first block, a sixth of its time."""

    def __init__(self, scale: float):
        super().__init__()
        self._scale, self._pool = scale, _Uint8Pooling()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch._make_per_tensor_quantized_tensor(self._pool(maps.int_repr()), self._scale, 0)


class _Dequantisation(nn.Module):
    """Quantised tensors as float32."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.dequantize()
