#!/usr/bin/env bash
# opencv-python 4.14.0.94: whether an average pooling counts its padding depends on the name of the program that wrote
# the ONNX file, and not on the attribute that says so.
#
# AveragePool's count_include_pad says whether a window at the border is divided by all its places or by those that lie
# inside. cv2.dnn of OpenCV 4 passes over it: a file whose producer_name is "pytorch" is taken to say 1, any other 0. So
# nn.AvgPool2d(3, padding=1, count_include_pad=False), exported, is too dark at its borders; and a file that says 1
# answers otherwise when a tool that signs with its own name (a quantiser, a merger) has written it again. No error.
# OpenCV 5 and ONNX Runtime heed the attribute.
#
# Seen, for a square of nines, windows of 3 x 3, padding 1: a corner, an edge, the middle
#                             onnxruntime 1.32.0    opencv 5.0.0.93    opencv 4.14.0.94
#     0, from "pytorch":      9 9 9                 9 9 9              4 6 9
#     1, from "pytorch":      4 6 9                 4 6 9              4 6 9
#     0, from "other":        9 9 9                 9 9 9              9 9 9
#     1, from "other":        4 6 9                 4 6 9              9 9 9
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import itertools
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

seen, square = [], np.full((1, 1, 5, 5), 9, np.float32)
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, square.shape) for name in ("square", "mean")]
for producer, counts in itertools.product(("pytorch", "other"), (0, 1)):
    pool = helper.make_node(
        "AveragePool", ["square"], ["mean"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=counts
    )
    graph = helper.make_graph([pool], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, producer_name=producer, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, "pool.onnx")
    if sys.argv[1] == "onnxruntime":
        mean = onnxruntime.InferenceSession("pool.onnx").run(None, {"square": square})[0]
    else:
        network = cv2.dnn.readNetFromONNX("pool.onnx")
        network.setInput(square)
        mean = network.forward()
    seen.append(" ".join(f"{mean[0, 0, row, column]:.0f}" for row, column in ((0, 0), (0, 2), (2, 2))))
print(", ".join(seen))
PYTHON
cd "$folder"
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
done
seen=$(
    echo "onnxruntime 1.32.0: $(5.0.0.93/bin/python show.py onnxruntime)"
    for version in 5.0.0.93 4.14.0.94; do echo "opencv $version: $("$version/bin/python" show.py opencv)"; done
)
echo "$seen"
diff <(echo "$seen") - <<'EXPECTED'
onnxruntime 1.32.0: 9 9 9, 4 6 9, 9 9 9, 4 6 9
opencv 5.0.0.93: 9 9 9, 4 6 9, 9 9 9, 4 6 9
opencv 4.14.0.94: 4 6 9, 4 6 9, 9 9 9, 9 9 9
EXPECTED
