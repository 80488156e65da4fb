"""The proposal network in PyTorch, as it is trained; `finders/rpn.py` runs what `export_onnx` writes.

    outputs = ProposalNetwork()(pictures)      # float [N, 3, H, W] -> [N, 14, H/4, W/4]

A single-stage region proposal network (Ren et al., 2015) without anchors (FCOS, Tian et al., 2019; CenterNet, Zhou et
al., 2019): at every fourth pixel it says whether a face has its middle there, how large it is, and where its middle,
eyes, nose and mouth are. The layers are those that OpenCV runs alike in each version: convolutions, ReLU, sums and
enlarging by repeating; no BatchNorm is left in what is exported, and nothing is pooled or convolved transposed.
"""

import io
import warnings

import torch
from torch import nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.faces.finders.rpn import CHANNELS, SIDE_MULTIPLE


class Convolution(nn.Sequential):
    """A convolution with BatchNorm, and ReLU unless told otherwise."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, relu: bool = True):
        layers = [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))


class Residual(nn.Module):
    """Two convolutions whose result is added to what went in (He et al., 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = Convolution(channels, channels), Convolution(channels, channels, relu=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + self.second(self.first(features)))


class ProposalNetwork(nn.Module):
    """Five stages, each at half the resolution of the one before, and a feature pyramid (Lin et al., 2017) back up.

    500,000 parameters. The last stage sees 64 pixels as one cell, so that a face which fills the picture is seen whole.
    """

    WIDTHS, DEPTHS, NECK = (32, 48, 64, 64, 64), (1, 2, 2, 1, 0), 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Convolution(3, 16, stride=2), Convolution(16, self.WIDTHS[0], stride=2))
        self.stages = nn.ModuleList()
        before = (None, *self.WIDTHS)
        for above, width, depth in zip(before, self.WIDTHS, self.DEPTHS):
            down = [Convolution(above, width, stride=2)] if above else []
            self.stages.append(nn.Sequential(*down, *(Residual(width) for _ in range(depth))))
        self.laterals = nn.ModuleList(Convolution(width, self.NECK, size=1) for width in self.WIDTHS)
        self.smooths = nn.ModuleList(Convolution(self.NECK, self.NECK) for _ in self.WIDTHS[1:])
        self.tower = Convolution(self.NECK, self.NECK)
        self.head = nn.Conv2d(self.NECK, CHANNELS, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        # The first steps are not to be spent on empty cells: a middle in one of a hundred, faces of 30 pixels.
        self.head.bias = nn.Parameter(torch.tensor([-4.6, 2.0] + [0.0] * (CHANNELS - 2)))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Float `[N, 3, H, W]`, RGB from -1 to 1, H and W multiples of 64, to `[N, 14, H/4, W/4]`."""
        features = [self.stem(pictures)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        merged = self.laterals[-1](features[-1])
        for level in reversed(range(len(self.smooths))):
            enlarged = interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.smooths[level](self.laterals[level](features[level + 1]) + enlarged)
        return self.head(self.tower(merged))


class StoredConvolution(nn.Module):
    """A convolution as it is exported: BatchNorm folded into it, its weights stored as float16."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        assert convolution.bias is not None
        self.kernel = nn.Parameter(convolution.weight.detach().half(), requires_grad=False)
        self.bias = nn.Parameter(convolution.bias.detach().half(), requires_grad=False)
        self.stride, self.padding = convolution.stride, convolution.padding

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(features, self.kernel.float(), self.bias.float(), self.stride, self.padding)


def stored(network: ProposalNetwork) -> ProposalNetwork:
    """A copy for inference, just as it is exported."""
    copy = ProposalNetwork()
    copy.load_state_dict(network.state_dict())
    copy.eval()
    for module in copy.modules():
        if isinstance(module, Convolution):
            convolution, norm, *_ = module
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            module[0], module[1] = StoredConvolution(fuse_conv_bn_eval(convolution, norm)), nn.Identity()
    copy.head = StoredConvolution(copy.head)  # type: ignore[assignment]
    return copy


def export_onnx(network: ProposalNetwork) -> bytes:
    """The network as an ONNX file for pictures of any size.

    Opset 10 is what OpenCV 4.10 to 5.0 all read: with a newer one OpenCV 5.0 refuses the enlarging's unused input.
    """
    file = io.BytesIO()
    sizes = {"pictures": {2: "height", 3: "width"}, "faces": {2: "rows", 3: "columns"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter, which is advised, knows no opset below 18
        torch.onnx.export(
            stored(network),
            (torch.zeros(1, 3, SIDE_MULTIPLE, SIDE_MULTIPLE),),
            file,  # type: ignore[arg-type]  # this exporter writes to open files, too
            input_names=["pictures"],
            output_names=["faces"],
            opset_version=10,
            dynamic_axes=sizes,
            do_constant_folding=False,  # or the float16 weights would be stored as float32
            dynamo=False,
        )
    return file.getvalue()
