#!/usr/bin/env bash
# opencv-python 4.14.0.94: an mp4 whose display matrix mirrors, as front cameras write it, is turned instead, or left.
#
# A display matrix says how stored pictures are shown (ISO 14496-12, "track header box"): it may turn them by quarters,
# mirror them, or both. cv2.VideoCapture makes one angle of it and drops the mirroring, without a word, also where
# CAP_PROP_ORIENTATION_AUTO is set; players (Chromium, mpv, VLC) show what the matrix says.
#
# Seen, for a film with a bright upper left corner, and where a player shows the corner:
#     as stored:            upper left    (player: upper left)
#     half a turn:          lower right   (player: lower right)
#     mirrored left-right:  lower right   (player: upper right)
#     mirrored upside down: upper left    (player: lower left)
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==4.14.0.94 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import cv2
import numpy as np

EXPECTED = {
    "as stored": ((1, 0, 0, 1), "upper left"),
    "half a turn": ((-1, 0, 0, -1), "lower right"),
    "mirrored left-right": ((-1, 0, 0, 1), "lower right"),
    "mirrored upside down": ((1, 0, 0, -1), "upper left"),
}

picture = np.zeros((48, 64, 3), np.uint8)
picture[:16, :16] = 255
writer = cv2.VideoWriter("stored.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
for _ in range(3):
    writer.write(picture)
writer.release()
stored = open("stored.mp4", "rb").read()
place = stored.index(b"tkhd") + 44  # the matrix in a track header of version 0

wrong = False
for name, ((a, b, c, d), expected) in EXPECTED.items():
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    with open("film.mp4", "wb") as file:
        file.write(stored[:place] + matrix + stored[place + 36 :])
    capture = cv2.VideoCapture("film.mp4")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    shown = capture.read()[1]
    corners = {
        "upper left": shown[:8, :8], "upper right": shown[:8, -8:],
        "lower left": shown[-8:, :8], "lower right": shown[-8:, -8:],
    }
    seen = max(corners, key=lambda corner: corners[corner].mean())
    print(f"{name}: {seen}")
    wrong |= seen != expected
raise SystemExit(wrong and "this has changed")
PYTHON
