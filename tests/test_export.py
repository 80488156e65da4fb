"""ONNX files: written whole or not at all, and answering as the network does in programs without PyTorch."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import train
from models.checkpoint import load_checkpoint, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.export import ExportError, export_onnx
from models.pictures import read_picture, write_picture
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.conftest import ROOT

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# How a program without PyTorch classifies a face crop, in ten lines; FILE and CROP stand for the files' names.
EXAMPLE = """
import json, cv2, numpy as np, onnxruntime
session = onnxruntime.InferenceSession("FILE")
facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
grey, side, size = cv2.imread("CROP", cv2.IMREAD_GRAYSCALE), facts["resize"], facts["size"]
grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA if min(grey.shape) > side else cv2.INTER_LINEAR)
start = (side - size) // 2
crop = grey[start : start + size, start : start + size, None] / 255
faces = ((crop - facts["mean"]) / facts["std"]).transpose(2, 0, 1)[None].astype(np.float32)
scores = np.exp(session.run(None, {"faces": faces})[0][0] / facts["temperature"])
print({name: round(float(score), 3) for name, score in zip(facts["class_names"], scores / scores.sum())})
"""


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


def test_the_file_says_how_to_use_it_and_takes_batches_of_any_size(exported):
    session = onnxruntime.InferenceSession(exported)
    facts = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["class_names"] == ["calm", "glad"] and facts["temperature"] == 0.8
    assert (facts["size"], facts["resize"], len(facts["mean"]), len(facts["std"])) == (48, 51, 3, 3)
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


def test_the_ten_line_example_answers_as_the_classifier_does(checkpoint, exported, tmp_path):
    crop = read_picture(ROOT / "input" / "4.jpg")[60:190, 165:280]
    write_picture(tmp_path / "crop.png", crop)
    code = EXAMPLE.replace("FILE", str(exported)).replace("CROP", str(tmp_path / "crop.png"))
    assert len(EXAMPLE.strip().splitlines()) == 10 and "torch" not in code
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (expected,) = ExpressionClassifier.load(checkpoint, "cpu", "fp32", "none").classify([crop])
    answer = eval(result.stdout)
    assert list(answer) == ["calm", "glad"] and 0.01 < expected[0] < 0.99
    assert list(answer.values()) == pytest.approx(expected.tolist(), abs=0.01)


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
