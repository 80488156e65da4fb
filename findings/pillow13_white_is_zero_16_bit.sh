#!/usr/bin/env bash
# pillow 13.0.0: a grey TIFF in which 0 stands for white is read rightly with 8 bits, and as its negative with 16.
#
# PhotometricInterpretation 0, WhiteIsZero (TIFF 6.0), is what scanners and X-ray programs write. Pillow turns values
# of 8 bits over, so that 0 is black in any picture of mode L; those of 16 bits (mode I;16) it hands on as stored, and
# whoever takes 0 for black there, as everywhere else in Pillow, sees a negative. The tag tells.
#
# Seen, the first pixel of a picture that begins white and ends black:
#     8 bits:   L 255
#     16 bits:  I;16 0
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

seen = []
for bits, white_to_black in ((8, np.arange(256, dtype=np.uint8)), (16, np.arange(0, 65536, 257, np.uint16))):
    tifffile.imwrite("ramp.tif", np.tile(white_to_black, (20, 1)), photometric="miniswhite")
    with Image.open("ramp.tif") as image:
        seen.append(f"{image.mode} {image.getpixel((0, 0))}")
    print(f"{bits} bits: {seen[-1]}")
assert seen == ["L 255", "I;16 0"], "this is no longer so"
PYTHON
