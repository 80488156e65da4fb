#!/usr/bin/env bash
# opencv-python 5.0.0.93 and 4.14.0.94: a binary PGM or PPM whose white is not 255 or 65535 is read dark, down to black.
#
# The third number of its head says which value is white (netpbm's "maxval"), and cameras of 12 bits write 4095 there.
# OpenCV scales by it when the pixels are written as text, and passes over it when they are bytes: with IMREAD_COLOR and
# IMREAD_GRAYSCALE white comes as `white` where that is below 256, and as its high byte above. Pillow heeds it in both.
#
# Seen, a white pixel as the default IMREAD_COLOR gives it:
#     white  as text  as bytes
#     15     255      15
#     100    255      100
#     255    255      255
#     1023   -        3
#     4095   -        15
#     65535  -        255      (-: more than 8 bits as text are refused)
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import cv2
import numpy as np
from PIL import Image

for white in (15, 100, 255, 1023, 4095, 65535):
    levels = np.tile(np.linspace(0, white, 16).astype(np.uint16), (4, 1))
    with open("text.pgm", "w") as file:
        file.write(f"P2\n16 4\n{white}\n" + "\n".join(" ".join(map(str, row)) for row in levels) + "\n")
    with open("bytes.pgm", "wb") as file:
        file.write(f"P5\n16 4\n{white}\n".encode() + levels.astype("u1" if white < 256 else ">u2").tobytes())
    seen = [cv2.imread("text.pgm")[0, -1, 0] if white < 256 else "-", cv2.imread("bytes.pgm")[0, -1, 0]]
    with Image.open("bytes.pgm") as image:
        assert image.getpixel((15, 0)) == (255 if white < 256 else 65535)
    print(cv2.__version__, white, *seen)
PYTHON
cd "$folder"
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6 pillow==13.0.0
    seen=$("$version/bin/python" show.py)
    echo "$seen"
    diff <(echo "${seen//"${version%.*}" /}") - <<'EXPECTED'
15 255 15
100 255 100
255 255 255
1023 - 3
4095 - 15
65535 - 255
EXPECTED
done
