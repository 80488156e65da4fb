#!/usr/bin/env bash
# opencv-python 5.0.0.93: a max pooling with auto_pad SAME_UPPER is padded at the wrong end, without an error.
#
# ONNX says that with SAME_UPPER an odd pixel of padding goes at the end. The engine that OpenCV 5.0 takes by itself
# puts it at the beginning; the engine that OpenCV 4 had (ENGINE_CLASSIC), and ONNX Runtime, put it at the end. Keras
# and TensorFlow export their pooling with padding="same" in this form.
#
# Seen, for a row of 1 to 6, windows of 3, steps of 2:
#     onnxruntime 1.32.0              3 5 6
#     opencv 5.0.0.93, ENGINE_CLASSIC 3 5 6
#     opencv 5.0.0.93, by default     2 4 6
# Fails when one of the three changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

pool = helper.make_node("MaxPool", ["row"], ["most"], kernel_shape=[1, 3], strides=[1, 2], auto_pad="SAME_UPPER")
row = helper.make_tensor_value_info("row", TensorProto.FLOAT, [1, 1, 1, 6])
most = helper.make_tensor_value_info("most", TensorProto.FLOAT, [1, 1, 1, 3])
model = helper.make_model(helper.make_graph([pool], "g", [row], [most]), opset_imports=[helper.make_opsetid("", 12)])
model.ir_version = 8
onnx.checker.check_model(model)
onnx.save(model, "pool.onnx")
values = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 1, 6)


def in_opencv(*engine):
    network = cv2.dnn.readNetFromONNX("pool.onnx", *engine)
    network.setInput(values)
    return network.forward().ravel().astype(int).tolist()


seen = {
    f"onnxruntime {onnxruntime.__version__}": onnxruntime.InferenceSession("pool.onnx").run(None, {"row": values})[0]
    .ravel().astype(int).tolist(),
    "opencv 5.0.0.93, ENGINE_CLASSIC": in_opencv(cv2.dnn.ENGINE_CLASSIC),
    "opencv 5.0.0.93, by default": in_opencv(),
}
for name, answer in seen.items():
    print(f"{name:32}", *answer)
assert list(seen.values()) == [[3, 5, 6], [3, 5, 6], [2, 4, 6]], "this has changed"
PYTHON
