#!/usr/bin/env bash
# torch 2.15.0: torch.onnx.export leaves divisor_override of an average pooling out, without a warning.
#
# nn.AvgPool2d(divisor_override=n) divides a window's sum by n, with 1 it sums. ONNX's AveragePool cannot say that, and
# the exporter writes a plain average in its place. The check of the exporter itself (verify=True) is off by default.
#
# Seen, for nines, windows of 2 x 2, divided by 1, in PyTorch and in ONNX Runtime, and whether the exporter warned:
#     36 9 False
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# The releases below hold, whatever pip's own settings keep back.
PIP_CONSTRAINT=/dev/null "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import onnxruntime
import torch

pool, nines = torch.nn.AvgPool2d(2, divisor_override=1).eval(), torch.full((1, 1, 4, 4), 9.0)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    torch.onnx.export(pool, (nines,), "pool.onnx", input_names=["nines"], dynamo=True, verbose=False)
exported = onnxruntime.InferenceSession("pool.onnx").run(None, {"nines": nines.numpy()})[0]
seen = [int(pool(nines).max()), int(exported.max()), any("divisor" in str(one.message) for one in warned)]
print(*seen)
assert seen == [36, 9, False], "this has changed"
PYTHON
