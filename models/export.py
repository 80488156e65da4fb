"""A checkpoint as an ONNX file, which programs without PyTorch can run: `python train.py --export onnx`.

    >>> export_onnx(load_checkpoint(SHIPPED_CHECKPOINT), Path("output/vgg16_fer2013.onnx"), pictures=None)
    2.4e-07

The file takes normalised faces, `faces` float32 `[N, 3, S, S]`, and gives `logits` float32 `[N, C]`. What has to be
done before and after stands in its metadata, each entry as JSON: `class_names`, `size`, `resize`, `shrink_with`,
`enlarge_with`, `mean`, `std`, `temperature`. A face is made grey, 0.299 of red, 0.587 of green and 0.114 of blue, and
resized to `resize` pixels a side: by `shrink_with`, area averages, where both its sides are longer, else by
`enlarge_with`, bilinear interpolation without antialiasing. It is cut to its middle `size` pixels, divided by 255 and
normalised, its one channel three times; the probabilities are the softmax of the logits over the temperature.
"""

import json
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from models.architectures import Network
from models.checkpoint import build_network
from models.errors import UserError
from models.inference import fold_batch_norm
from models.vgg16 import VGG16
from models.views import average_views, make_views, normalise

LARGEST_DIFFERENCE = 1e-3  # of a probability, between the file's answers and the network's


class ExportError(UserError):
    """The file cannot be made; the message names the remedy."""


def export_onnx(checkpoint: dict[str, Any], path: Path, pictures: torch.Tensor | None) -> float:
    """Writes a checkpoint's network, VGG16's BatchNorm folded, and checks that the file answers as the network does.

    Args:
        path: Holds the old file or the whole new one, never a part.
        pictures: Grey uint8 `[N, R, R]`, R the checkpoint's `resize`, to check with; None takes random ones.

    Returns:
        The largest difference of a probability over the pictures.

    Raises:
        ExportError: A package is missing, or the answers differ by more than `LARGEST_DIFFERENCE`; nothing is written.
        OSError: The file cannot be written.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise ExportError(
            f"{error.name} is missing: `python -m pip install onnx onnxscript onnxruntime` brings it"
        ) from error
    spec = checkpoint["input"]
    network = build_network(checkpoint)
    if isinstance(network, VGG16):
        network = fold_batch_norm(network)
    if pictures is None:
        pictures = torch.randint(0, 256, (8, spec["resize"], spec["resize"]), dtype=torch.uint8)
    faces = normalise(next(make_views(pictures, spec["size"], "none")), spec).contiguous()

    program = _to_onnx(network, faces[:2])
    names = ("size", "resize", "mean", "std")
    metadata = {
        **{name: spec[name] for name in names},
        "shrink_with": "area",  # as views.to_grey_squares does
        "enlarge_with": "bilinear",
        "class_names": checkpoint["class_names"],
        "temperature": checkpoint["temperature"],
    }
    onnx.helper.set_model_props(program, {name: json.dumps(value) for name, value in metadata.items()})
    program.producer_name = "facial-expression-recognition"

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        written = Path(folder) / path.name
        onnx.save(program, written)
        session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
        difference = max(_difference(network, session, batch, checkpoint["temperature"]) for batch in faces.split(32))
        if not difference <= LARGEST_DIFFERENCE:
            raise ExportError(
                f"the file's probabilities differ from the network's by {difference:.1e}, more than the allowed "
                f"{LARGEST_DIFFERENCE}: try other versions of torch, onnx and onnxruntime"
            )
        with open(written, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(written, path)
    return difference


def _to_onnx(network: Network, faces: torch.Tensor) -> Any:
    """The network as an onnx.ModelProto that takes batches of any size."""
    # The exporter tells of its own steps and of packages that it could use as well: no one can act on it.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        program: Any = torch.onnx.export(
            _Exported(network).eval(), (faces,), dynamo=True, verbose=False,
            input_names=["faces"], output_names=["logits"], dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
        )  # fmt: skip
    made = program.model_proto
    for node in made.graph.node:  # torch writes there where in which file of this machine each operation was called
        node.ClearField("metadata_props")
    return made


class _Exported(torch.nn.Module):
    """VGG16 with its pooling in one plain operation, not in the dozen that adaptive pooling becomes; others as is."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        if not isinstance(self.network, VGG16) or self.network.head != "gap":
            return self.network(faces)
        return self.network.classifier(self.network.features(faces).mean((2, 3)))


@torch.inference_mode()
def _difference(network: torch.nn.Module, session: Any, faces: torch.Tensor, temperature: float) -> float:
    """The largest difference of a probability between the network and the ONNX file for faces `[N, 3, S, S]`."""
    (theirs,) = session.run(["logits"], {"faces": faces.numpy()})
    expected, answer = (
        average_views(logits[None], temperature) for logits in (network(faces), torch.from_numpy(theirs))
    )
    return (answer - expected).abs().max().item()
