#!/usr/bin/env bash
# opencv-python 5.0.0.93 and 4.14.0.94: cv2.imread darkens a TIFF of 8 bits by its transparency, IMREAD_UNCHANGED too.
#
# TIFF says of a fourth channel whether the colours are multiplied by it already (ExtraSamples 1) or not (2); Pillow and
# most editors write 2. OpenCV multiplies them then, and hands on four channels all the same, where the alpha is taken
# for one that is still to be applied: it is applied twice, and colours under a low alpha are lost. A PNG of the same
# pixels, and a TIFF of 16 bits, come as they are stored. So does a TIFF that cv2.imwrite made: it leaves the tag out.
#
# Seen, for a pixel of blue, green, red, alpha 200 100 50 128, read with IMREAD_UNCHANGED:
#     5.0.0 png:           200 100 50 128
#     5.0.0 tif, 8 bits:   100 50 25 128
#     5.0.0 tif, 16 bits:  200 100 50 128   (each by 257)
#     4.14.0: the same three
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import cv2
import numpy as np
import tifffile
from PIL import Image

stored = np.full((8, 8, 4), (50, 100, 200, 128), np.uint8)  # RGBA
Image.fromarray(stored).save("8.png")
Image.fromarray(stored).save("8.tif")
tifffile.imwrite("16.tif", stored.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"])
with Image.open("8.tif") as image:
    assert image.tag_v2[338] == (2,) and (np.asarray(image) == stored).all()
for name, step in (("8.png", 1), ("8.tif", 1), ("16.tif", 257)):
    print(cv2.__version__, name, *(cv2.imread(name, cv2.IMREAD_UNCHANGED)[0, 0] // step))
PYTHON
cd "$folder"
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3
done
seen=$(5.0.0.93/bin/python show.py; 4.14.0.94/bin/python show.py)
echo "$seen"
diff <(echo "$seen") - <<'EXPECTED'
5.0.0 8.png 200 100 50 128
5.0.0 8.tif 100 50 25 128
5.0.0 16.tif 200 100 50 128
4.14.0 8.png 200 100 50 128
4.14.0 8.tif 100 50 25 128
4.14.0 16.tif 200 100 50 128
EXPECTED
