"""Where in a face the network sees an expression: Grad-CAM, on the last convolutions' maps.

    classifier = ExpressionClassifier.load()
    faces = classifier.analyze(picture)
    for explanation in classifier.explain(faces, "Sad"):   # or without a name: each face's own label
        print(explanation.class_name, explanation.heat.shape)

The heat is as coarse as those maps, in VGG16 one value for 16×16 pixels of the network's input, and shows what speaks
for a class in this network, which need not be what a person would look at.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.architectures import TorchvisionNetwork
from models.inference import InferenceNetwork
from models.views import normalise, view_places

# Normalised pictures `[N, 3, S, S]` and the classes asked about, to the last maps `[N, K, H, W]` and the gradients of
# those classes' outputs with respect to them.
MapsAndGradients = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where in a face a class is seen.

    Attributes:
        class_name: The class that was asked about.
        face: The face as it was classified: grey `[H, W]` or RGB `[H, W, 3]` uint8.
        heat: float32 `[R, R]` over the whole of `face`, R the checkpoint's `resize`: from 0, nothing there speaks for
            the class, to 1, the place that speaks for it most; 0 throughout where nothing does.
    """

    class_name: str
    face: np.ndarray
    heat: np.ndarray


def heat_maps(
    network: nn.Module, grey: torch.Tensor, classes: torch.Tensor, input_spec: dict[str, Any],
    tta: str = "flip", batch_size: int = 32,
) -> np.ndarray:  # fmt: skip
    """Grad-CAM (Selvaraju et al., 2017) of grey faces, over all that the network's views show of them.

    Each map of the last block counts by how much it raises the class's output, averaged over its places; where their
    sum is below 0 nothing speaks for the class. The maps of the views are laid where the views were cut, mirrored back,
    and averaged; what no view shows stays 0.

    Args:
        network: In evaluation mode, on any device, float32, bfloat16 or int8, see `inference.prepare_for_inference`.
        grey: uint8 `[N, R, R]`, as `views.predict_logits` takes them.
        classes: int64 `[N]`, the number of the class that each is asked about.
        input_spec, tta: As for `views.predict_logits`.

    Returns:
        float32 `[N, R, R]`, each from 0 to 1, see `Explanation.heat`.
    """
    device = next(network.parameters()).device
    if isinstance(network, TorchvisionNetwork):
        look = _in_torchvision(network)
    else:
        assert isinstance(network, InferenceNetwork)
        look = _in_vgg16(network)
    batches = [
        _heat_of_batch(look, batch.to(device), asked.to(device), input_spec, tta)
        for batch, asked in zip(grey.split(batch_size), classes.split(batch_size))
    ]
    return torch.cat(batches).numpy()


def _in_vgg16(network: InferenceNetwork) -> MapsAndGradients:
    dtype = next(network.parameters()).dtype
    # What follows the maps is cheap beside what makes them: it alone needs gradients, and has them in float32.
    head = nn.Sequential(network.features[-1], network.pool, nn.Flatten(), network.classifier)
    head = copy.deepcopy(head).float()

    def look(pictures: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            maps = network.features[:-1](pictures.to(dtype)).float()
        maps.requires_grad_()
        outputs = head(maps).gather(1, classes[:, None])
        return maps.detach(), torch.autograd.grad(outputs.sum(), maps)[0]

    return look


def _in_torchvision(network: TorchvisionNetwork) -> MapsAndGradients:
    dtype = next(network.parameters()).dtype
    last_maps: nn.Module | None = None  # found at the first pictures, and the same for all

    def look(pictures: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal last_maps
        pictures = pictures.to(dtype)
        last_maps = last_maps or network.last_maps(pictures[:1])
        kept: list[torch.Tensor] = []

        def keep(_layer: nn.Module, _inputs: object, maps: torch.Tensor) -> torch.Tensor:
            kept.append(maps.detach().requires_grad_())
            return kept[-1].clone()  # what follows may work in place, which a leaf does not allow

        handle = last_maps.register_forward_hook(keep)
        try:
            outputs = network(pictures).gather(1, classes[:, None])
        finally:
            handle.remove()
        (gradients,) = torch.autograd.grad(outputs.float().sum(), kept[-1])
        return kept[-1].detach().float(), gradients.float()

    return look


def _heat_of_batch(
    look: MapsAndGradients, grey: torch.Tensor, classes: torch.Tensor, input_spec: dict[str, Any], tta: str
) -> torch.Tensor:
    size, resize = input_spec["size"], grey.shape[-1]
    heat = torch.zeros(grey.shape, device=grey.device)
    views = torch.zeros(resize, resize, device=grey.device)
    for top, left, is_mirrored in view_places(resize - size, tta):
        place = ..., slice(top, top + size), slice(left, left + size)
        view = grey[place]
        seen = _grad_cam(look, normalise(view.flip(-1) if is_mirrored else view, input_spec), classes)
        heat[place] += seen.flip(-1) if is_mirrored else seen
        views[place] += 1
    heat /= views.clamp_min(1)
    return (heat / heat.amax((1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)).cpu()


def _grad_cam(look: MapsAndGradients, pictures: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """What speaks for a class in each of normalised pictures `[N, 3, S, S]`: float32 `[N, S, S]` from 0 up."""
    maps, gradients = look(pictures, classes)
    weights = gradients.mean((2, 3), keepdim=True)
    speaking = F.relu((weights * maps).sum(1, keepdim=True))
    return F.interpolate(speaking, pictures.shape[-2:], mode="bilinear").squeeze(1)
