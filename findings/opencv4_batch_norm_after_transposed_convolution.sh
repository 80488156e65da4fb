#!/usr/bin/env bash
# opencv-python 4.14.0.94: a network with a BatchNorm behind a transposed convolution is right at its first input size,
# and wrong from the second on, without an error.
#
# cv2.dnn folds such a BatchNorm into the transposed convolution, and folds its shift in again whenever the input's size
# changes. The same file read anew is right at every size. A BatchNorm behind an ordinary convolution is not affected.
#
# Seen, for a BatchNorm that makes 3x + 1 behind a transposed convolution that copies each pixel, on inputs of ones:
#     behind a transposed convolution: 4x4: 4  8x8: 7  4x4: 16
#     read anew at each size:          4x4: 4  8x8: 4  4x4: 4
#     behind a convolution:            4x4: 4  8x8: 4  4x4: 4
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==4.14.0.94 numpy==2.4.6 onnx==1.23.2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(kind, path):
    constants = {"kernel": np.ones((1, 1, 1, 1)), "scale": [3.0], "shift": [1.0], "mean": [0.0], "variance": [1.0]}
    stored = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    nodes = [
        helper.make_node(kind, ["pixels", "kernel"], ["copied"], kernel_shape=[1, 1]),
        helper.make_node(
            "BatchNormalization", ["copied", "scale", "shift", "mean", "variance"], ["answer"], epsilon=0.0
        ),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "h", "w"]) for name in ("pixels", "answer")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)


def answers(path, anew):
    network, seen = cv2.dnn.readNetFromONNX(path), []
    for side in (4, 8, 4):
        if anew:
            network = cv2.dnn.readNetFromONNX(path)
        network.setInput(np.ones((1, 1, side, side), np.float32))
        seen.append(round(float(network.forward().max())))
    return seen


save("ConvTranspose", "transposed.onnx")
save("Conv", "plain.onnx")
seen = {
    "behind a transposed convolution:": answers("transposed.onnx", False),
    "read anew at each size:": answers("transposed.onnx", True),
    "behind a convolution:": answers("plain.onnx", False),
}
for name, values in seen.items():
    print(f"{name:32}", "  ".join(f"{size}: {value}" for size, value in zip(("4x4", "8x8", "4x4"), values)))
assert list(seen.values()) == [[4, 7, 16], [4, 4, 4], [4, 4, 4]], "this has changed"
PYTHON
