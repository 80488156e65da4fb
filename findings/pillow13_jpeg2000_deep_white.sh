#!/usr/bin/env bash
# pillow 13.0.0: in a colour JPEG 2000 of more than 8 bits, white is read as black, without a word.
#
# Pillow brings such colours to 8 bits by rounding, and does not stop at the top: the last half step is 256, which is 0
# in a byte. What is burnt out (a sky, a lamp, a page) comes black in the middle of white. Each channel for itself: a
# bright yellow may come green, and with an alpha channel all that is opaque comes transparent. Grey pictures keep all
# their bits (mode I;16) and are right; so are colours of 8 bits.
#
# Seen, the value of a pixel of one colour, and what it is with 8 bits:
#     16 bits, colour, 65407:  255   (255)
#     16 bits, colour, 65408:  0     (255)
#     16 bits, colour, 65535:  0     (255)
#     10 bits, colour, 1022:   0     (255)
#     8 bits, colour, 255:     255   (255)
#     16 bits, opaque grey:    128 128 128, alpha 0
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pillow==13.0.0 numpy==2.4.6 imagecodecs==2026.3.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import imagecodecs
import numpy as np
from PIL import Image

seen = []
for bits, value in ((16, 65407), (16, 65408), (16, 65535), (10, 1022), (8, 255)):
    pixels = np.full((16, 16, 3), value, np.uint8 if bits == 8 else np.uint16)
    stored = imagecodecs.jpeg2k_encode(pixels, level=0, bitspersample=bits)
    assert (imagecodecs.jpeg2k_decode(stored) == pixels).all(), "it was not stored without loss"
    with open("white.jp2", "wb") as file:
        file.write(stored)
    with Image.open("white.jp2") as image:
        assert image.mode == "RGB"
        seen.append(image.getpixel((8, 8))[0])
    print(f"{bits} bits, colour, {value}: {seen[-1]}   ({value >> bits - 8})")
opaque = np.full((16, 16, 4), (32768, 32768, 32768, 65535), np.uint16)
with open("opaque.jp2", "wb") as file:
    file.write(imagecodecs.jpeg2k_encode(opaque, level=0))
with Image.open("opaque.jp2") as image:
    seen.append(image.getpixel((8, 8)))
print("16 bits, opaque grey:", *seen[-1])
assert seen == [255, 0, 0, 0, 255, (128, 128, 128, 0)], "this has changed"
PYTHON
