"""VGG16 with its kernels in the order that the processor's library computes in.

>>> plain = fold_batch_norm(network).to(memory_format=torch.channels_last)
>>> packed = PackedVGG16(plain) if PackedVGG16.pays_for(plain, "fp32") else plain
"""

import torch
from torch import nn

from models.vgg16 import VGG16


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
            *(PackedConvolution(layer) if isinstance(layer, nn.Conv2d) else layer for layer in layers)
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
        return packs_here(precision)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.pool(self.features(pictures)).flatten(1))


def packs_here(precision: str) -> bool:
    """Whether this build of torch keeps kernels in oneDNN's order, and this processor has AVX512."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_convolution_weight", "_convolution_pointwise")):
        return False
    return precision == "fp32" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


class PackedConvolution(nn.Module):
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
