"""Start weights: what a network begins training from.

>>> network = start_network("imagenet", head="gap", num_classes=7, pictures=train.pictures[:512], input_spec=spec)
"""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import nn

from models.checkpoint import CheckpointError, read_weights_file
from models.errors import UserError
from models.vgg16 import VGG16
from models.views import normalise


class StartWeightsError(UserError):
    """The start weights cannot be had or do not fit; the message names the other choices."""


def start_network(
    init: str, *, head: str, num_classes: int, pictures: torch.Tensor, input_spec: dict[str, Any], dropout: float = 0.5
) -> VGG16:
    """A VGG16 with BatchNorm, its weights taken from `init`.

    Args:
        init: `imagenet`, torchvision's published VGG16-BN weights, downloaded; `scratch`, random; or the path of
            a checkpoint of this project or of a state dict with torchvision's `vgg16_bn` or `vgg16` keys.
        pictures: uint8 `[N, side, side]`, some hundred training pictures, on which BatchNorm's statistics are
            taken where the start weights have none.

    Raises:
        StartWeightsError: With one sentence.
    """
    network = VGG16(num_classes, head, batch_norm=True, dropout=dropout)
    if init == "scratch":
        return network
    weights = _imagenet_weights() if init == "imagenet" else _weights_from_file(init)
    if "features.1.running_mean" not in weights:
        # The convolutions of a network without BatchNorm stand at other places in the sequence.
        targets = [index for index, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)]
        sources = sorted({int(key.split(".")[1]) for key in weights if key.startswith("features.")})
        if len(sources) != len(targets):
            raise StartWeightsError(f"{init} holds {len(sources)} convolutions, VGG16 has {len(targets)}")
        weights = {
            **{key: value for key, value in weights.items() if not key.startswith("features.")},
            **{
                f"features.{target}.{kind}": weights[f"features.{source}.{kind}"]
                for source, target in zip(sources, targets)
                for kind in ("weight", "bias")
            },
        }
        _load_fitting(network, weights, init)
        insert_batch_norm(network, _calibration_batch(pictures, input_spec))
    else:
        _load_fitting(network, weights, init)
    return network


def insert_batch_norm(network: VGG16, batch: torch.Tensor) -> None:
    """Sets each BatchNorm to undo itself: statistics from `batch`, weight and bias that restore them.

    The network then computes what its convolutions alone compute, up to the batch it is seen in, and still
    trains as one with BatchNorm. The last BatchNorm is left normalising, so that the head starts from
    features of unit variance.

    Args:
        batch: float `[N, 3, H, W]`, normalised pictures.
    """
    last_norm = [layer for layer in network.features if isinstance(layer, nn.BatchNorm2d)][-1]
    activations = batch
    with torch.no_grad():
        for layer in network.features:
            if isinstance(layer, nn.BatchNorm2d):
                variance, mean = torch.var_mean(activations, dim=(0, 2, 3))
                state = {"running_mean": mean, "running_var": variance}
                if layer is not last_norm:
                    state |= {"weight": (variance + layer.eps).sqrt(), "bias": mean}
                layer.load_state_dict(state, strict=False)
            activations = layer.eval()(activations)
    network.train()


def freeze_blocks(network: VGG16, count: int) -> None:
    """Keeps the first `count` blocks as they are: no gradients, BatchNorm with its running statistics."""
    for number in range(1, count + 1):
        network.block(number).requires_grad_(False).eval()


def _calibration_batch(pictures: torch.Tensor, input_spec: dict[str, Any]) -> torch.Tensor:
    size = input_spec["size"]
    grey = nn.functional.interpolate(pictures.unsqueeze(1).float(), size=(size, size), mode="bilinear")[:, 0]
    return normalise(grey, input_spec)


def _imagenet_weights() -> dict[str, torch.Tensor]:
    from torchvision.models import VGG16_BN_Weights

    try:
        return VGG16_BN_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise StartWeightsError(
            f"ImageNet's VGG16-BN weights could not be downloaded ({error}): connect to the network and try again, "
            "or take `--init PATH` (a checkpoint or a torchvision VGG16 state dict that you have) or `--init scratch`"
        ) from error


def _weights_from_file(path: str) -> dict[str, torch.Tensor]:
    try:
        content = read_weights_file(Path(path))
    except CheckpointError as error:
        raise StartWeightsError(f"--init {path}: {error}; `imagenet` and `scratch` need no file") from error
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict) or "features.0.weight" not in weights:
        raise StartWeightsError(f"--init {path}: it holds no VGG16 (no key features.0.weight)")
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise StartWeightsError(f"--init {path}: some of its weights are no tensors")
    return weights


def _load_fitting(network: VGG16, weights: dict[str, torch.Tensor], origin: str) -> None:
    """Loads the trunk, and of the head whatever has the right shape: the last layer is new for new classes."""
    own = network.state_dict()
    fitting = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()
               if key in own and value.shape == own[key].shape}  # fmt: skip
    convolutions = {key for key, value in own.items() if key.startswith("features.") and value.dim() == 4}
    if not convolutions <= fitting.keys():
        raise StartWeightsError(f"--init {origin}: its convolutions are not VGG16's")
    network.load_state_dict(fitting, strict=False)
