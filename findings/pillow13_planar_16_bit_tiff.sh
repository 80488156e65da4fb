#!/usr/bin/env bash
# pillow 13.0.0: an uncompressed TIFF of 16 bits whose colours lie in planes is read as noise, without a word.
#
# TIFF may store colours pixel by pixel or plane by plane (TIFF 6.0, PlanarConfiguration 1 and 2); microscopes and
# image-processing programs write planes. Pillow opens all four files below as RGB and raises nothing. Three are right
# to the level; of the planar one without compression each plane of 16 bits is unpacked as if it were of 8.
#
# Seen, the largest error of a channel, of 255 levels:
#     pixel by pixel, as is:       0
#     pixel by pixel, compressed:  0
#     plane by plane, as is:       253
#     plane by plane, compressed:  0
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

pixels = np.linspace(0, 65535, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint16)
seen = {}
for planes in (False, True):
    for compression in (None, "zlib"):
        tifffile.imwrite(
            "ramp.tif", np.moveaxis(pixels, 2, 0) if planes else pixels, photometric="rgb",
            planarconfig="separate" if planes else "contig", compression=compression,
        )
        with Image.open("ramp.tif") as image:
            read = np.asarray(image.convert("RGB")).astype(int)
        kind = f"{'plane by plane' if planes else 'pixel by pixel'}, {'compressed' if compression else 'as is'}"
        seen[kind] = int(np.abs(read - (pixels >> 8)).max())
        print(f"{kind}: {seen[kind]}")
assert list(seen.values()) == [0, 0, 253, 0], "this is no longer so"
PYTHON
