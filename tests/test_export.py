"""ONNX files: written whole or not at all, and answering as the network does in programs without PyTorch."""

import json
import os
import re
import sys

import cv2
import numpy as np
import pytest
import torch

import train
from models.checkpoint import load_checkpoint, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.export import ExportError, export_onnx
from models.pictures import read_picture
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.conftest import ROOT

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# How a program without PyTorch classifies a face crop.
(EXAMPLE,) = re.findall(
    r"```python\n(import json\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small network of two classes of its own, whose answers differ from picture to picture."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    network = VGG16(num_classes=2, width=1 / 8)
    with torch.no_grad():
        network(torch.randn(16, 3, 48, 48) * 2)  # BatchNorm's statistics are not 0 and 1
        network.classifier[1].weight.mul_(100)
    made = make_checkpoint(
        network, ["calm", "glad"], make_input_spec(48), metrics={}, config={}, epoch=0, temperature=0.8
    )
    save_atomically(path, made)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    arguments = ["--export", "onnx", "--checkpoint", str(checkpoint), "--output", str(path), "--data", "nowhere"]
    assert train.main(arguments) == 0
    return path


def test_the_file_names_no_path_of_the_machine_that_wrote_it(exported):
    content = exported.read_bytes()  # torch 2.14 and 2.15 write stack traces into each node's metadata
    assert os.fsencode(ROOT) not in content and b".py" not in content


def test_the_file_says_how_to_use_it_and_takes_batches_of_any_size(exported):
    session = onnxruntime.InferenceSession(exported)
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["class_names"] == ["calm", "glad"] and facts["temperature"] == 0.8
    assert (facts["size"], facts["resize"], len(facts["mean"]), len(facts["std"])) == (48, 51, 3, 3)
    assert (facts["shrink_with"], facts["enlarge_with"]) == ("area", "bilinear")
    for count in (1, 5):
        (logits,) = session.run(["logits"], {"faces": np.zeros((count, 3, 48, 48), np.float32)})
        assert logits.shape == (count, 2)
    assert {node.op_type for node in onnx.load(exported).graph.node} == {
        "Conv",
        "Relu",
        "MaxPool",
        "ReduceMean",
        "Gemm",
    }


# Heights and widths of crops, beside 51, the side that this network's are resized to: smaller, larger, and one of each.
SMALLER, LARGER = ((20, 20), (17, 17), (30, 30), (48, 48), (25, 34)), ((52, 52), (130, 115), (400, 400))


@pytest.mark.parametrize(("height", "width"), [*SMALLER, (51, 51), *LARGER, (20, 400), (400, 50)])
def test_the_readmes_example_answers_as_the_classifier_does(checkpoint, exported, height, width):
    crop = cv2.resize(read_picture(ROOT / "input" / "4.jpg")[60:190, 165:280], (width, height))
    crop = (crop + np.random.default_rng(0).normal(0, 25, crop.shape)).clip(0, 255).astype(np.uint8)
    expression = 'cv2.imread("input/1.jpg")[85:415, 333:663]'
    assert EXAMPLE.count(expression) == 1 and "torch" not in EXAMPLE
    code = EXAMPLE.replace(expression, "picture").replace("output/vgg16_fer2013.onnx", str(exported))
    names = {"picture": cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)}
    exec(code, names)
    (expected,) = ExpressionClassifier.load(checkpoint, "cpu", "fp32", "none").classify([crop])
    assert 0.001 < expected[0] < 0.999
    np.testing.assert_allclose(names["probabilities"][0], expected, atol=1e-3)


def test_a_file_that_answers_otherwise_is_refused_and_the_old_one_kept(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "small.onnx"
    path.write_text("old")
    monkeypatch.setattr("models.export._difference", lambda *_: 0.01)
    with pytest.raises(ExportError, match="differ from the network's by 1.0e-02"):
        export_onnx(load_checkpoint(checkpoint), path, None)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_package_or_a_folder_is_a_sentence_with_the_remedy(checkpoint, tmp_path, capsys, monkeypatch):
    arguments = ["--export", "onnx", "--checkpoint", str(checkpoint), "--data", "nowhere", "--output"]
    assert train.main([*arguments, str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert train.main([*arguments, str(tmp_path / "small.onnx")]) == 2
    said = capsys.readouterr().err
    assert (
        "onnxscript is missing: `python -m pip install onnx onnxscript onnxruntime`" in said
        and len(said.splitlines()) == 1
    )
    assert list(tmp_path.iterdir()) == []


def test_exporting_and_evaluating_at_once_is_refused():
    with pytest.raises(SystemExit):
        train.main(["--export", "onnx", "--evaluate"])
