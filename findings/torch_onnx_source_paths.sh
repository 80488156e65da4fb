#!/usr/bin/env bash
# torch 2.15.0: a file from torch.onnx.export names the folders of the machine that wrote it.
#
# The exporter leaves in each node, as metadata, the stack trace of the call that made it: whole paths of the network's
# source and of site-packages, and with them the person's name and the project's. Whoever publishes the file publishes
# them. The older exporter (dynamo=False) writes none.
#
# Seen, whether the source's path is in the file, and in how many of its nodes, by the new and the older exporter:
#     True 2 of 2
#     False 0 of 2
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# The releases below hold, whatever pip's own settings keep back.
PIP_CONSTRAINT=/dev/null "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
mkdir -p "$folder/home of a person"
cat > "$folder/home of a person/network.py" <<'PYTHON'
import io
import os

import onnx
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3)

    def forward(self, pictures):
        return self.convolution(pictures).relu()


seen = []
for dynamo in (True, False):
    file = "network.onnx" if dynamo else io.BytesIO()
    torch.onnx.export(Network().eval(), (torch.zeros(1, 3, 8, 8),), file, dynamo=dynamo, verbose=False)
    content = open(file, "rb").read() if dynamo else file.getvalue()
    nodes = onnx.load_from_string(content).graph.node
    here = os.path.abspath(__file__)
    told = sum(any(here in entry.value for entry in node.metadata_props) for node in nodes)
    seen.append(f"{here.encode() in content} {told} of {len(nodes)}")
    print(seen[-1])
assert seen == ["True 2 of 2", "False 0 of 2"], "this has changed"
PYTHON
cd "$folder"
venv/bin/python "home of a person/network.py" 2> warnings.txt || { cat warnings.txt; exit 1; }
