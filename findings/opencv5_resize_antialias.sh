#!/usr/bin/env bash
# opencv-python 5.0.0.93: a network that shrinks with antialias, as PyTorch exports it, shrinks without, and is silent.
#
# F.interpolate(..., antialias=True) becomes ONNX's Resize with antialias 1 (operator set 18), which averages all that a
# new pixel covers. cv2.dnn reads the file and takes the nearest pixels alone, as with antialias 0: what lies between is
# lost, and a network that shrinks its own input answers on another picture. ONNX Runtime averages; OpenCV 4.14 refuses
# the file.
#
# Seen, for a picture of 24 x 24 with a line of 100 in its fourth column, shrunk to 6 x 6: a row of it
#     onnxruntime 1.32.0, antialias:  15.6 9.4 0 0 0 0
#     opencv 5.0.0.93, antialias:     0 0 0 0 0 0
#     opencv 5.0.0.93, without:       0 0 0 0 0 0
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

lined = np.zeros((1, 1, 24, 24), np.float32)
lined[..., 3] = 100


def save(antialias):
    resize = helper.make_node("Resize", ["lined", "", "", "size"], ["small"], mode="linear", antialias=antialias)
    ends = [helper.make_tensor_value_info(*end) for end in (("lined", 1, [1, 1, 24, 24]), ("small", 1, [1, 1, 6, 6]))]
    size = numpy_helper.from_array(np.array([1, 1, 6, 6]), "size")
    graph = helper.make_graph([resize], "g", ends[:1], ends[1:], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, "resize.onnx")


def in_opencv():
    network = cv2.dnn.readNetFromONNX("resize.onnx")
    network.setInput(lined)
    return network.forward()


save(0)
seen = {"opencv 5.0.0.93, without": in_opencv()}
save(1)
seen["opencv 5.0.0.93, antialias"] = in_opencv()
seen["onnxruntime 1.32.0, antialias"] = onnxruntime.InferenceSession("resize.onnx").run(None, {"lined": lined})[0]
for name, small in seen.items():
    print(f"{name}:", *small[0, 0, 3].round(1))
without, opencv, runtime = seen.values()
assert not without.any() and not opencv.any() and (runtime[..., 0] > 10).all(), "this has changed"
PYTHON
