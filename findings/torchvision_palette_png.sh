#!/usr/bin/env bash
# torchvision 0.29.2 (torch 2.15.0): decode_image gives a PNG with a palette as the numbers of its colours, for grey.
#
# PNGs of few colours are often stored so (screenshots, pngquant, exports for the web). By default (mode "UNCHANGED")
# one channel comes of it, uint8 as of a grey picture, in which each pixel is its place in a palette that is not given
# out: the picture may be its negative, or noise. The documentation promises "RGB or grayscale". With mode "RGB" and
# "GRAY" the colours are right, and with torchcodec 0.17.0, which stands in for it in future, in any mode.
#
# Seen, for a picture that is white at the left, palette's colour 0, and red at the right, colour 200:
#     mode "RGB":     255 255 255   255 0 0
#     mode "GRAY":    255           76
#     by default:     0             200
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# The releases below hold, whatever pip's own settings keep back.
PIP_CONSTRAINT=/dev/null "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
from PIL import Image
from torchvision.io import decode_image

image = Image.new("P", (8, 8), 0)
image.putpalette([255, 255, 255] + [0, 0, 255] * 199 + [255, 0, 0] * 56)
image.paste(200, (4, 0, 8, 8))
image.save("colours.png", bits=8)
with Image.open("colours.png") as stored:
    assert stored.convert("RGB").getpixel((7, 0)) == (255, 0, 0)
seen = {}
for mode in ("RGB", "GRAY", "UNCHANGED"):
    pixels = decode_image("colours.png", mode) if mode != "UNCHANGED" else decode_image("colours.png")
    seen[mode] = pixels[:, 0, 0].tolist() + pixels[:, 0, 7].tolist()
    print(f"{mode}:", *seen[mode])
assert list(seen.values()) == [[255, 255, 255, 255, 0, 0], [255, 76], [0, 200]], "this has changed"
PYTHON
