"""BatchNorm folded into the convolution before it: at inference both are one operation.

>>> fold_batch_norm(VGG16().eval()).batch_norm
False
"""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models.vgg16 import VGG16


def fold(convolution: nn.Module, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias, float32, of the one convolution that computes what these two compute at inference."""
    return fuse_conv_bn_weights(
        convolution.weight.float(), convolution.bias.float(),  # type: ignore[operator, union-attr, arg-type]
        norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,  # type: ignore[arg-type]
    )  # fmt: skip


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
            kernel, bias = fold(next(with_norm), next(with_norm))
            layer.load_state_dict({"weight": kernel.to(dtype), "bias": bias.to(dtype)}, assign=True)
        else:
            next(with_norm)
    folded.classifier.load_state_dict(network.classifier.state_dict(), assign=True)
    return folded.to(dtype)
