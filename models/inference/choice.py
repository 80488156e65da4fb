"""What a network computes in, made ready for it: the fastest that a processor or GPU has, and why.

>>> precision = choose_precision("auto", device, network)
>>> fast = prepare_for_inference(network, device, precision, checkpoint["input"])
>>> explain_precision(precision, device)
'AVX512-VNNI: convolutions 4 times as fast as in float32 here'
"""

import copy
import functools
from typing import Any

import torch
from torch import nn

from models.architectures import Network
from models.device import DeviceError, bfloat16_speed, float_precision, processor_seconds
from models.inference.folding import fold_batch_norm
from models.inference.int8 import LEVELS, Int8Error, Int8VGG16, int8_layers
from models.inference.packing import PackedConvolution, PackedVGG16, packs_here
from models.vgg16 import VGG16
from models.views import value_range

InferenceNetwork = VGG16 | PackedVGG16 | Int8VGG16


def choose_precision(name: str, device: torch.device, network: Network | None = None) -> str:
    """`fp32`, `bf16` or `int8`; `auto` is the fastest that the processor or GPU multiplies in.

    On a Zen 4 with AVX512-VNNI and AVX512-BF16 a face takes a third of float32's time in int8 and half in bfloat16; on
    a Zen 3, which has AVX2 alone, two fifths in int8. `python -m tests.benchmarks.inference` measures it.

    Args:
        network: The trained one that is to answer; None to train, for which int8 is too coarse.

    Raises:
        DeviceError: int8 is asked for where it cannot be had.
    """
    if name == "int8" and not (device.type == "cpu" and Int8VGG16.runs_here()):
        raise DeviceError("int8 is for x86 processors with AVX2: take --precision auto, or --device cpu on one")
    if name != "auto":
        return name
    if network is not None and device.type == "cpu" and not _objection_to_int8(network.arch, network.head):
        return "int8"
    return float_precision(device)


def _objection_to_int8(arch: str, head: str) -> str:
    return Int8VGG16.objection(arch, head, lambda: float_precision(torch.device("cpu")) == "bf16")


def explain_precision(precision: str, device: torch.device, arch: str | None = None, head: str = "") -> str:
    """Why a precision was chosen: the instructions for it, what a short race against float32 showed, and why not int8.

    Args:
        arch, head: Of the network that is to answer; None to train.
    """
    if device.type == "cuda":
        return "it multiplies in bfloat16" if precision == "bf16" else "it has no bfloat16"
    if precision == "int8":
        instructions = "AVX512-VNNI" if torch.cpu._is_vnni_supported() else torch.backends.cpu.get_cpu_capability()
        return f"{instructions}: convolutions {_times(int8_speed())} as fast as in float32 here"
    not_int8 = f"; {_objection_to_int8(arch, head)}" if arch else ""
    if precision == "bf16":
        instructions = "AMX" if torch.cpu._is_amx_tile_supported() else "AVX512-BF16"
        return f"{instructions}: matrices {_times(bfloat16_speed())} as fast as in float32 here{not_int8}"
    if bfloat16_speed():
        return f"matrices {_times(1 / bfloat16_speed())} as fast as in bfloat16 here{not_int8}"
    return f"bfloat16 needs AVX512-BF16 or AMX{not_int8}"


def _times(speed: float) -> str:
    """How many times, as exactly as so short a race tells."""
    return f"{speed:.0f} times" if speed >= 2 else f"{speed:.1f} times"


@functools.cache
@torch.inference_mode()
def int8_speed() -> float:
    """How many times as fast as in float32 one of VGG16's convolutions is in int8 here: a race of 30 ms, on one thread.

    Whole networks gain about as much, the shipped one 3 to 3.5 times on a Zen 4, where this says 3 to 4; narrow ones
    gain less.
    """
    channels, side = 128, 24
    convolution, norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels).eval()
    quantise, quick, *_ = int8_layers([convolution, norm, nn.ReLU(), nn.MaxPool2d(2)], 1 / LEVELS, 0)
    maps = torch.zeros(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    levels = quantise(maps)
    plain = PackedConvolution(convolution) if packs_here("fp32") else convolution
    return processor_seconds(lambda: plain(maps)) / processor_seconds(lambda: quick(levels))


def prepare_for_inference(
    network: nn.Module, device: torch.device, precision: str, input_spec: dict[str, Any]
) -> nn.Module:
    """The fastest form of a trained network: BatchNorm folded, channels last, weights in the precision's type.

    Args:
        network: VGG16 or another one, whose BatchNorm stays, in float32. Of float32 or stored weights, see
            `checkpoint.build_network`; left as it is.
        precision: `fp32`, `bf16` or `int8`, see `choose_precision`.
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
