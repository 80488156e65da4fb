import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models import CLASS_NAMES, ExpressionClassifier, read_picture
from models.checkpoint import FAST_CHECKPOINT, SHIPPED_CHECKPOINT, CheckpointError
from models.device import DeviceError, choose_device
from models.faces import Detection
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def shipped() -> ExpressionClassifier:
    return ExpressionClassifier.load(device="cpu")


class FixedDetector:
    """Finds the boxes that it was given."""

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, picture):
        return [Detection(box, 0.5) for box in self.boxes]


@pytest.mark.parametrize("name", ["1.jpg", "4.jpg"])
def test_shipped_weights_see_that_a_smiling_face_is_happy(shipped, name):
    (face, *_) = shipped.analyze(read_picture(ROOT / "input" / name))
    assert face.label == "Happy" and face.confidence > 0.5
    assert face.probabilities.shape == (7,) and face.probabilities.dtype == np.float32
    assert face.probabilities.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["1.jpg", "4.jpg"])
def test_the_fast_network_sees_that_a_smiling_face_is_happy_in_a_tenth_of_the_file(name):
    (face,) = ExpressionClassifier.load("fast", device="cpu").analyze(read_picture(ROOT / "input" / name))
    assert face.label == "Happy"
    assert FAST_CHECKPOINT.stat().st_size < 3 * 2**20 < SHIPPED_CHECKPOINT.stat().st_size / 5


def test_a_file_that_is_called_fast_can_be_named_by_its_path(tmp_path, monkeypatch, untrained_checkpoint):
    monkeypatch.chdir(tmp_path)
    shutil.copy(untrained_checkpoint, "fast")
    assert ExpressionClassifier.load("./fast")._temperature == 1
    assert ExpressionClassifier.load(Path("fast"))._temperature == 1
    assert ExpressionClassifier.load("fast")._temperature != 1


def test_the_time_of_a_face_is_the_quicker_of_two_after_one_that_gets_ready(untrained_checkpoint, monkeypatch):
    classifier, moments = ExpressionClassifier.load(untrained_checkpoint), iter([0.0, 9.0, 10.0, 10.5, 20.0, 20.25])
    monkeypatch.setattr("models.classifier.time.perf_counter", lambda: next(moments))
    assert classifier.seconds_a_face() == 0.25


def test_a_picture_without_a_face_has_no_answer(shipped):
    assert shipped.analyze(read_picture(ROOT / "input" / "5.jpg")) == []


def test_whole_image_classifies_the_picture_as_it_is(shipped):
    crop = read_picture(ROOT / "input" / "4.jpg")[50:180, 160:290]
    (face,) = shipped.analyze(crop, whole_image=True)
    assert face.box == (0, 0, 130, 130)
    assert np.allclose(face.probabilities, shipped.classify([crop])[0])


def test_classify_takes_grey_and_colour_crops_of_any_size_in_batches(shipped):
    crop = read_picture(ROOT / "input" / "4.jpg")[60:190, 165:280]
    grey = crop.mean(2).astype(np.uint8)
    answers = shipped.classify([crop, grey, crop[::3, ::3], np.zeros((1, 1), np.uint8)], batch_size=2)
    assert answers.shape == (4, 7) and answers.dtype == np.float32
    assert (answers[:3].argmax(1) == CLASS_NAMES.index("Happy")).all()
    assert shipped.classify([]).shape == (0, 7)


def test_boxes_are_cut_at_the_pictures_edges_and_keep_the_detectors_order(shipped):
    picture = read_picture(ROOT / "input" / "5.jpg")
    faces = shipped.analyze(picture, FixedDetector((-10.4, -5, 50, 50), (600, 400, 100, 100)))
    assert [face.box for face in faces] == [(0, 0, 40, 45), (600, 400, 40, 27)]
    assert faces[0].detector_score == 0.5


def test_probabilities_follow_the_checkpoints_class_names(untrained_checkpoint):
    classifier = ExpressionClassifier.load(untrained_checkpoint, device="cpu")
    assert classifier.class_names == list(CLASS_NAMES)
    (face,) = classifier.analyze(np.zeros((50, 50, 3), np.uint8), whole_image=True)
    assert face.label == CLASS_NAMES[face.probabilities.argmax()]


def test_a_wrong_checkpoint_or_device_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        ExpressionClassifier.load(tmp_path / "absent.pt")
    for name in ("cuda:99", "tpu", "mps:3"):
        with pytest.raises(DeviceError, match="--device|auto"):
            choose_device(name)


def test_the_classifier_tells_what_auto_chose(shipped):
    assert repr(shipped) == f"ExpressionClassifier(7 classes, cpu, {shipped.precision}, tta flip)"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_answers_as_the_cpu_does(shipped):
    picture = read_picture(ROOT / "input" / "1.jpg")
    on_gpu = ExpressionClassifier.load(device="cuda").analyze(picture)[0]
    assert np.allclose(on_gpu.probabilities, shipped.analyze(picture)[0].probabilities, atol=0.03)


# Which torch 2.7 imports to make a network that has no weights yet.
SYMPY = {"sympy"} if torch.__version__ >= (2, 14) else set()


@pytest.mark.parametrize("statement, unwanted", [
    ("import models.expressions, models.command_line, preprocess", {"torch", "matplotlib"}),
    ("from models import ExpressionClassifier; import models.drawing", {"torchvision", "matplotlib"}),
    ("from models import ExpressionClassifier as E; E.load(device='cpu')", {"torch._dynamo", "torchvision"} | SYMPY),
])  # fmt: skip
def test_nothing_is_imported_that_is_not_used(statement, unwanted):
    code = f"{statement}; import sys; print(*sorted({unwanted} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
