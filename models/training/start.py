"""Start weights: what a network begins training from.

>>> network = start_network("imagenet", head="gap", num_classes=7, pictures=train.pictures[:512], input_spec=spec)
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import nn

from models.architectures import OWN, OWN_STORED, Network, TorchvisionNetwork, make_network
from models.checkpoint import CheckpointError, load_weights, read_weights_file
from models.errors import UserError
from models.vgg16 import VGG16
from models.views import normalise

BATCH_NORM_EPSILON = nn.BatchNorm2d(1).eps
DENSENET_KEY = re.compile(r"(denselayer\d+)\.(norm|conv)\.([12])\.")


class StartWeightsError(UserError):
    """The start weights cannot be had or do not fit; the message names the other choices."""


def start_network(
    init: str, *, head: str, num_classes: int, pictures: torch.Tensor, input_spec: dict[str, Any], dropout: float = 0.5,
    arch: str = OWN, width: float = 1.0, class_names: Sequence[str] | None = None,
) -> Network:  # fmt: skip
    """A network to train, its weights taken from `init`.

    Args:
        init: `imagenet`, torchvision's published weights, downloaded; `scratch`, random; or the path of a checkpoint
            of this project or of a state dict with torchvision's keys (for `vgg16` those of `vgg16_bn` or `vgg16`).
            Of a VGG16 that is wider than the one to train the strongest channels are taken.
        arch, head, dropout, width: See `architectures.make_network`.
        class_names: What the outputs are to stand for: of a checkpoint of other classes, or of these in another order,
            the last layer is not taken; None takes it where it fits.
        pictures: uint8 `[N, side, side]`, some hundred training pictures, on which BatchNorm's statistics are
            taken where the start weights of a VGG16 have none.

    Raises:
        StartWeightsError, ArchitectureError: With one sentence.
    """
    network = make_network(arch, num_classes, head, dropout, width)
    if init == "scratch":
        return network
    weights = _imagenet_weights(arch) if init == "imagenet" else _weights_from_file(init, arch, class_names)
    if isinstance(network, TorchvisionNetwork):
        _load_trunk(network, weights, init)
        return network
    if "features.0.weight" not in weights:
        raise StartWeightsError(f"--init {init}: it holds no VGG16 (no key features.0.weight)")
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
        _load_fitting(network, narrowed(weights, network), init)
        insert_batch_norm(network, _calibration_batch(pictures, input_spec))
    else:
        fitting = narrowed(weights, network)
        _load_fitting(network, fitting, init)
        if fitting is not weights:  # the statistics are those of more channels
            take_statistics(network, _calibration_batch(pictures, input_spec))
    return network


def narrowed(weights: dict[str, torch.Tensor], network: VGG16) -> dict[str, torch.Tensor]:
    """Of a wider VGG16's weights those of the channels whose kernels are largest (Li et al., Pruning Filters, 2017).

    Args:
        weights: Under the keys of `network.state_dict()`, with BatchNorm or without; left as they are.
        network: The one that the weights are for; where they are not wider, or no VGG16's, they are returned as they
            are.
    """
    convolutions = {index: layer for index, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)}
    kernels = [weights.get(f"features.{index}.weight", torch.empty(0)) for index in convolutions]
    channels = [3, *(len(kernel) for kernel in kernels)]
    if not all(
        kernel.dim() == 4 and kernel.shape[1] == before and len(kernel) > layer.out_channels
        and all(len(value) == len(kernel) for value in _vectors(weights, index))
        for kernel, before, (index, layer) in zip(kernels, channels, convolutions.items())
    ):  # fmt: skip
        return weights
    weights, kept = dict(weights), torch.arange(3)
    for index, layer in convolutions.items():
        kernel = weights[f"features.{index}.weight"][:, kept].float()
        scale = weights.get(f"features.{index + 1}.weight", torch.ones(len(kernel))).float()
        variance = weights.get(f"features.{index + 1}.running_var", torch.ones(len(kernel))).float()
        strength = kernel.abs().sum((1, 2, 3)) * scale.abs() / (variance + BATCH_NORM_EPSILON).sqrt()
        kept = strength.argsort(descending=True)[: layer.out_channels].sort().values
        weights[f"features.{index}.weight"] = kernel
        for key, value in weights.items():
            if key.startswith((f"features.{index}.", f"features.{index + 1}.")) and value.dim():
                weights[key] = value[kept]
    if (head := weights.get("classifier.1.weight")) is not None and head.dim() == 2 and len(kept) < head.shape[1]:
        weights["classifier.1.weight"] = head[:, kept]
    return weights


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


def _vectors(weights: dict[str, torch.Tensor], index: int) -> list[torch.Tensor]:
    """A convolution's bias and its BatchNorm's vectors."""
    places = f"features.{index}.", f"features.{index + 1}."
    return [value for key, value in weights.items() if key.startswith(places) and value.dim() == 1]


def take_statistics(network: VGG16, batch: torch.Tensor) -> None:
    """Sets each BatchNorm's statistics to those of a batch of normalised pictures, `[N, 3, H, W]`."""
    norms = [layer for layer in network.features if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that is seen
    with torch.no_grad():
        network.train().features(batch)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def freeze_blocks(network: Network, count: int) -> None:
    """Keeps the first `count` blocks of a VGG16 as they are: no gradients, BatchNorm with its running statistics."""
    for number in range(1, count + 1):
        assert isinstance(network, VGG16)
        network.block(number).requires_grad_(False).eval()


def _calibration_batch(pictures: torch.Tensor, input_spec: dict[str, Any]) -> torch.Tensor:
    size = input_spec["size"]
    grey = nn.functional.interpolate(pictures.unsqueeze(1).float(), size=(size, size), mode="bilinear")[:, 0]
    return normalise(grey, input_spec)


def _imagenet_weights(arch: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_model

    name = "vgg16_bn" if arch == OWN else arch
    try:
        return get_model(name, weights="DEFAULT").state_dict()
    except (URLError, OSError, RuntimeError) as error:
        raise StartWeightsError(
            f"ImageNet's weights of {name} could not be downloaded ({error}): connect to the network and try again, "
            f"or take `--init PATH` (a checkpoint or a state dict of torchvision's {name} that you have) or "
            "`--init scratch`"
        ) from error


def _weights_from_file(path: str, arch: str, class_names: Sequence[str] | None) -> dict[str, torch.Tensor]:
    try:
        content = read_weights_file(Path(path))
    except CheckpointError as error:
        raise StartWeightsError(f"--init {path}: {error}; `imagenet` and `scratch` need no file") from error
    stored = content.get("arch", arch)
    if stored != arch and not (arch == OWN and stored in OWN_STORED):
        raise StartWeightsError(f"--init {path}: it holds {stored}, and --arch is {arch}: name the same network twice")
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict):
        raise StartWeightsError(f"--init {path}: it holds no {'VGG16' if arch == OWN else arch}")
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise StartWeightsError(f"--init {path}: some of its weights are no tensors")
    known = content.get("class_names")
    if class_names and known and list(known) != list(class_names):
        weights = {
            key: value for key, value in weights.items()
            if not (key.startswith("classifier.") and len(value) == len(known))
        }  # fmt: skip
    return weights


def _load_fitting(network: VGG16, weights: dict[str, torch.Tensor], origin: str) -> None:
    """Loads the trunk, and of the head whatever has the right shape: the last layer is new for new classes."""
    own = network.state_dict()
    fitting = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()
               if key in own and value.shape == own[key].shape}  # fmt: skip
    convolutions = {key for key, value in own.items() if key.startswith("features.") and value.dim() == 4}
    if not convolutions <= fitting.keys():
        raise StartWeightsError(
            f"--init {origin}: its convolutions are not those of a VGG16 as wide as this one, or wider"
        )
    network.load_state_dict(fitting, strict=False)


def _load_trunk(network: TorchvisionNetwork, weights: dict[str, torch.Tensor], origin: str) -> None:
    """Loads all but the last layer, and that too where it is of these very classes."""
    own = network.state_dict()
    if not any(key.startswith("trunk.") for key in weights):  # torchvision's own file; DenseNet's has names of old
        weights = {"trunk." + DENSENET_KEY.sub(r"\1.\2\3.", key): value for key, value in weights.items()}
    fitting = {key: value for key, value in weights.items() if key in own and value.shape == own[key].shape}
    missing = [key for key in own if key.startswith("trunk.") and key not in fitting]
    if missing:
        raise StartWeightsError(
            f"--init {origin}: it does not fit {network.arch}: {len(missing)} of its weights are missing or of another "
            f"shape, {missing[0].removeprefix('trunk.')} for one"
        )
    load_weights(network, fitting, strict=False)
