#!/usr/bin/env bash
# opencv-python 5.0.0.93 and 4.14.0.94: a BMP of 32 bits that says where its colours lie is read right with a header of
# 108 bytes, and with other colours with one of 40.
#
# With BI_BITFIELDS, masks say which bits of a pixel are red, green and blue. In a header of 108 bytes they are part of
# it, behind one of 40 (the most common) they follow: the same bytes at the same place. OpenCV heeds them in the first
# alone. In the second it takes blue, green, red, whatever they say: where red lies first, as in OpenGL's and Android's
# memory, red and blue come exchanged, and colours of ten bits come as bytes across two of them, without a word.
#
# Seen, for red 200, green 100, blue 50, with a header of 40 and of 108 bytes:
#     blue, green, red, unused:    200 100 50    200 100 50
#     red, green, blue, unused:    50 100 200    200 100 50
#     unused, blue, green, red:    100 50 0      200 100 50
#     ten bits for each colour:    38 68 201     199 99 50
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import struct

import cv2

SIDE, COLOUR = 8, (200, 100, 50)
MASKS = {
    "blue green red unused": (0xFF0000, 0xFF00, 0xFF),
    "red green blue unused": (0xFF, 0xFF00, 0xFF0000),
    "unused blue green red": (0xFF000000, 0xFF0000, 0xFF00),
    "ten for each": (0x3FF << 20, 0x3FF << 10, 0x3FF),
}


def seen(masks, header):
    pixel = 0
    for level, mask in zip(COLOUR, masks):
        lowest = mask & -mask
        pixel |= round(level / 255 * (mask // lowest)) * lowest
    pixels = pixel.to_bytes(4, "little") * SIDE * SIDE
    rest = struct.pack("<3I", *masks)
    if header == 108:
        rest += struct.pack("<I4s48x", 0, b"BGRs")  # no alpha, and sRGB
    begin = 14 + 40 + len(rest)
    with open("colour.bmp", "wb") as file:
        file.write(struct.pack("<2sIHHI", b"BM", begin + len(pixels), 0, 0, begin))
        file.write(struct.pack("<IiiHHIIiiII", header, SIDE, SIDE, 1, 32, 3, len(pixels), 2835, 2835, 0, 0))
        file.write(rest + pixels)
    return cv2.imread("colour.bmp")[4, 4, ::-1]


for name, masks in MASKS.items():
    print(f"{name}:", *seen(masks, 40), "/", *seen(masks, 108))
PYTHON
cd "$folder"
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6
    seen=$("$version/bin/python" show.py)
    echo "$version"
    echo "$seen"
    diff <(echo "$seen") - <<'EXPECTED'
blue green red unused: 200 100 50 / 200 100 50
red green blue unused: 50 100 200 / 200 100 50
unused blue green red: 100 50 0 / 200 100 50
ten for each: 38 68 201 / 199 99 50
EXPECTED
done
