#!/usr/bin/env bash
# opencv-python 5.0.0.93 and 4.14.0.94: a film in a transport stream (.ts) that is set to its first frame is read from
# its eleventh on, and cv2.VideoCapture says that it is at the first.
#
# TV recorders and HLS write MPEG-TS. Where pictures are stored out of order (B-frames, which encoders make unless told
# not to), set(CAP_PROP_POS_FRAMES, 0) lands on the second key frame, also in a film just opened, and answers True, and
# get(CAP_PROP_POS_FRAMES) counts on from what was asked for: numbers and times from there on are those of other
# pictures. Farther on, and in mp4, the same call is exact; a film that is opened and read begins at its beginning.
#
# Seen, for 40 frames with a key frame every 10: the frame that comes, the number that is told before, and how many
# frames come after rewinding:
#     asked for:               0       1       12
#     mp4:                     0 0     1 1     12 12    40
#     ts without B-frames:     0 0     1 1     12 12    40
#     ts:                      10 0    11 1    12 12    30
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/write.py" <<'PYTHON'
from fractions import Fraction

import av
import numpy as np

for name, options in (("film.mp4", {}), ("plain.ts", {"bf": "0"}), ("film.ts", {})):
    with av.open(name, "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"g": "10", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import cv2

for name in ("film.mp4", "plain.ts", "film.ts"):
    seen = []
    for asked in (0, 1, 12):
        film = cv2.VideoCapture(name)
        assert film.set(cv2.CAP_PROP_POS_FRAMES, asked)
        told = film.get(cv2.CAP_PROP_POS_FRAMES)
        seen.append(f"{film.read()[1].mean() / 6:.0f} {told:.0f}")
    film, left = cv2.VideoCapture(name), 0
    film.set(cv2.CAP_PROP_POS_FRAMES, 0)
    while film.grab():
        left += 1
    print(f"{name}: {', '.join(seen)}; {left} of 40")
PYTHON
cd "$folder"
for version in 5.0.0.93 4.14.0.94; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6 \
        "av==19.0.2; python_version >= '3.12'" "av==18.1.0; python_version < '3.12'"
    "$version/bin/python" write.py
    seen=$("$version/bin/python" show.py)
    echo "$version"
    echo "$seen"
    diff <(echo "$seen") - <<'EXPECTED'
film.mp4: 0 0, 1 1, 12 12; 40 of 40
plain.ts: 0 0, 1 1, 12 12; 40 of 40
film.ts: 10 0, 11 1, 12 12; 30 of 40
EXPECTED
done
