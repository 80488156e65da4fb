#!/usr/bin/env bash
# torchvision 0.29.2 (torch 2.15.0): decode_gif and decode_image clear an animation's pictures at the wrong time.
#
# A GIF's frame says what becomes of it once its time is over (GIF89a, "disposal method"): 1 it stays, 2 its area is
# cleared, 3 what was there before comes back. torchvision clears the whole picture before a frame that says 2 is drawn,
# in the place of that frame's area after it, and takes 3 for 1: a moving figure stands on black, and leaves a trail.
# Pillow, OpenCV and FFmpeg agree with each other, and with torchcodec 0.17.0, which stands in for it in future.
#
# Seen, for red, then a green square that says the number, then a blue square elsewhere: the upper left corner and the
# middle of each of the three pictures (r, g, b, and k for black)
#             Pillow      torchvision
#     1:      rr rg rg    rr rg rg
#     2:      rr rg rk    rr kg kg
#     3:      rr rg rr    rr rg rg
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
import struct

import numpy as np
from PIL import Image
from torchvision.io import decode_gif, read_file

SIDE, NAMES = 16, {(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b", (0, 0, 0): "k"}


def frame(colour, left, top, side, disposal):
    """One square of a colour, its LZW codes written out, three bits each, with a clear code before any can grow."""
    codes = [code for _ in range(side * side) for code in (4, colour)] + [5]
    packed = sum(code << 3 * number for number, code in enumerate(codes)).to_bytes((3 * len(codes) + 7) // 8, "little")
    blocks = b"".join(bytes([len(packed[at : at + 255])]) + packed[at : at + 255] for at in range(0, len(packed), 255))
    control = b"\x21\xf9\x04" + struct.pack("<BHBB", disposal << 2, 10, 0, 0)
    return control + b"\x2c" + struct.pack("<4HB", left, top, side, side, 0) + b"\x02" + blocks + b"\0"


def corner_and_middle(pictures):
    return " ".join("".join(NAMES[tuple(picture[at, at].tolist())] for at in (1, 7)) for picture in pictures)


seen = []
for disposal in (1, 2, 3):
    with open("film.gif", "wb") as file:
        file.write(b"GIF89a" + struct.pack("<2H3B", SIDE, SIDE, 0xF1, 0, 0))
        file.write(bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]))
        file.write(frame(1, 0, 0, SIDE, 1) + frame(2, 4, 4, 8, disposal) + frame(3, 10, 10, 4, 1) + b"\x3b")
    with Image.open("film.gif") as film:
        pillow = []
        for number in range(film.n_frames):
            film.seek(number)
            pillow.append(np.asarray(film.convert("RGB")))
    pictures = decode_gif(read_file("film.gif")).permute(0, 2, 3, 1).numpy()
    seen.append(f"{disposal}: {corner_and_middle(pillow)} / {corner_and_middle(pictures)}")
    print(seen[-1])
assert seen == ["1: rr rg rg / rr rg rg", "2: rr rg rk / rr kg kg", "3: rr rg rr / rr rg rg"], "this has changed"
PYTHON
