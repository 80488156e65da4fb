"""From pictures to expressions: what the demos call, and any other program.

from models import ExpressionClassifier, read_picture

classifier = ExpressionClassifier.load()
for face in classifier.analyze(read_picture("input/1.jpg")):
    print(face.label, f"{face.confidence:.0%}", face.box)
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.architectures import Network
from models.checkpoint import FAST_CHECKPOINT, SHIPPED_CHECKPOINT, build_network, load_checkpoint
from models.device import choose_device
from models.errors import UserError
from models.explanation import Explanation, heat_maps
from models.faces import box_within, face_crop, make_detector
from models.inference import choose_precision, prepare_for_inference
from models.threads import enough_threads
from models.views import average_views, predict_logits, to_grey_squares

FAST = "fast"  # what `load` calls the small network that ships


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture and what it expresses.

    Attributes:
        box: x, y, width, height, whole pixels within the picture.
        detector_score: The detector's own confidence; its scale differs between detectors.
        label: The most probable expression.
        probabilities: float32 `[C]`, in the order of the classifier's `class_names`, summing to 1.
        crop: What was classified, RGB uint8: the face alone, upright; None where whoever made the face kept none.
    """

    box: tuple[int, int, int, int]
    detector_score: float
    label: str
    probabilities: np.ndarray
    crop: np.ndarray | None = field(default=None, repr=False)

    @property
    def confidence(self) -> float:
        """The label's probability."""
        return float(self.probabilities.max())


class ExpressionClassifier:
    """A trained network together with all it needs to answer about a picture. Made by `load`.

    Attributes:
        class_names: Expressions, in the order of the probabilities.
        device, precision: What it computes on and in.
        arch, head: Which network it is, as its checkpoint says.
    """

    def __init__(self, network: Network, checkpoint: dict[str, Any], device: torch.device, precision: str, tta: str):
        self.class_names: list[str] = checkpoint["class_names"]
        self.device = device
        self.precision = precision
        self.arch, self.head = network.arch, network.head
        self._tta = tta
        self._input_spec = checkpoint["input"]
        self._temperature = checkpoint["temperature"]
        self._network = prepare_for_inference(network, device, precision, self._input_spec)
        self._detector: Any = None

    def __repr__(self) -> str:
        settings = f"{self.device}, {self.precision}, tta {self._tta}"
        return f"ExpressionClassifier({len(self.class_names)} classes, {settings})"

    @classmethod
    def load(
        cls, checkpoint: str | Path | None = None, device: str = "auto", precision: str = "auto", tta: str = "flip"
    ) -> "ExpressionClassifier":
        """Reads a checkpoint and gets its network ready.

        Args:
            checkpoint: A `.pt` file that train.py wrote; by default the weights that the project ships. `"fast"`: the
                small network that it ships as well, for slow computers and many faces.
            device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.
            precision: `auto` (the fastest), `fp32`, `bf16` or `int8`.
            tta: Views averaged for an answer: `none`, `flip` (the face and its mirror image) or `ten`.

        Raises:
            CheckpointError: The file is not a checkpoint.
            DeviceError: The device or the precision is not to be had.
            Int8Error: int8 is asked of another network than VGG16 with BatchNorm.
        """
        content = load_checkpoint(FAST_CHECKPOINT if checkpoint == FAST else checkpoint or SHIPPED_CHECKPOINT)
        chosen = choose_device(device)
        network = build_network(content, as_stored=True)
        return cls(network, content, chosen, choose_precision(precision, chosen, network), tta)

    def classify(self, faces: Sequence[np.ndarray], batch_size: int = 32) -> np.ndarray:
        """Probabilities of the expressions of face crops.

        Args:
            faces: Grey `[H, W]` or RGB `[H, W, 3]` uint8 crops of any size, framed like FER2013's: from the
                brows or a little above to the chin.
            batch_size: Crops that go through the network together.

        Returns:
            float32 `[N, C]`; each row sums to 1.
        """
        if not len(faces):
            return np.empty((0, len(self.class_names)), np.float32)
        grey = to_grey_squares(faces, self._input_spec["resize"])
        logits = []
        for batch in grey.split(batch_size):
            with enough_threads() if self.device.type == "cpu" else nullcontext():
                logits.append(predict_logits(self._network, batch, self._input_spec, self._tta, batch_size))
        return average_views(torch.cat(logits, dim=1), self._temperature).numpy()

    def seconds_a_face(self) -> float:
        """How long one face takes here and now: the quicker of two answers, after one for which all is got ready."""
        blank, seconds = np.zeros((64, 64), np.uint8), []
        for _ in range(3):
            started = time.perf_counter()
            self.classify([blank])
            seconds.append(time.perf_counter() - started)
        return min(seconds[1:])

    def analyze(self, picture: np.ndarray, detector: Any = None, whole_image: bool = False) -> list[Face]:
        """Finds the faces of a picture and reads their expressions.

        Args:
            picture: RGB uint8 `[H, W, 3]`.
            detector: From `faces.make_detector`; by default the one called `auto`, made at the first call.
            whole_image: The picture is a face crop already: classify it as it is.

        Returns:
            The faces, largest first; none where none is found.
        """
        height, width = picture.shape[:2]
        if whole_image:
            boxes, scores, crops = [(0, 0, width, height)], [1.0], [picture]
        else:
            if detector is None:
                detector = self._detector = self._detector or make_detector()
            detections = detector.detect(picture)
            boxes = [box_within(detection.box, width, height) for detection in detections]
            scores = [detection.score for detection in detections]
            crops = [face_crop(picture, detection) for detection in detections]
        return self.make_faces(boxes, scores, self.classify(crops), crops)

    def make_faces(
        self,
        boxes: Sequence[tuple[int, int, int, int]],
        scores: Sequence[float],
        probabilities: np.ndarray,
        crops: Sequence[np.ndarray] | None = None,
    ) -> list[Face]:
        """Puts boxes, detector scores and probabilities `[N, C]` together, for whoever detects and classifies apart.

        Faces can be explained only if their crops are kept.
        """
        kept: Sequence[np.ndarray | None] = [None] * len(boxes) if crops is None else crops
        return [
            Face(box, score, self.class_names[int(row.argmax())], row, crop)
            for box, score, row, crop in zip(boxes, scores, probabilities, kept, strict=True)
        ]

    def explain(self, faces: Sequence[Face], class_name: str | None = None) -> list[Explanation]:
        """Where in faces a class is seen, by Grad-CAM; see `explanation.heat_maps`.

        Args:
            faces: From `analyze`.
            class_name: The class that is asked about; by default each face's own label.

        Raises:
            UserError: There is no class of this name; the message has those that there are.
        """
        if class_name is not None:
            self.check_class(class_name)
        crops = [face.crop for face in faces if face.crop is not None]
        if len(crops) < len(faces):
            raise ValueError("faces are explained by their crops: take them from analyze, or give make_faces the crops")
        if not crops:
            return []
        names = [class_name or face.label for face in faces]
        grey = to_grey_squares(crops, self._input_spec["resize"])
        classes = torch.tensor([self.class_names.index(name) for name in names])
        maps = heat_maps(self._network, grey, classes, self._input_spec, self._tta)
        return [Explanation(*each) for each in zip(names, crops, maps, strict=True)]

    def check_class(self, name: str) -> None:
        """Raises `UserError` where no class has this name."""
        if name not in self.class_names:
            raise UserError(f"there is no class {name}: the classes are {', '.join(self.class_names)}")
