#!/usr/bin/env bash
# FFmpeg 9.0 (in av 19.0.2; 8.1 in av 18.1.0, the newest for Python 3.11): an mp4 that is written with
# movflags=hybrid_fragmented begins late where pictures are reordered.
#
# The flag keeps a recording playable while it is written, and ends it as an ordinary mp4. But the index is begun before
# the delay of pictures that are stored out of order (B-frames) is known, so the edit list that takes the delay out is
# missing: every picture comes by that delay later than it was written, and later than its sound. With delay_moov beside
# it the times are right; in FFmpeg 8.0 (av 17.0.0) that pair ends in a file of which no frame can be read.
#
# Seen, for 60 pictures at 15 a second from 0 s on, with two B-frames:
#     newest plain mp4:                       first 0.000 s, 60 frames
#     newest hybrid_fragmented:               first 0.133 s, 60 frames
#     newest hybrid_fragmented+delay_moov:    first 0.000 s, 60 frames
#     17.0.0 hybrid_fragmented+delay_moov:    no frame
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np

for flags in sys.argv[1:]:
    with av.open("film.mp4", "w", container_options={} if flags == "none" else {"movflags": flags}) as output:
        stream = output.add_stream("libx264", rate=15, options={"bf": "2", "b-adapt": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 15)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with av.open("film.mp4") as film:
        times = [float(frame.pts * frame.time_base) for frame in film.decode(video=0)]
    print(av.__version__, flags, f"{times[0]:.3f} {len(times)}" if times else "no frame")
PYTHON
cd "$folder"
for version in newest 17.0.0; do
    python3 -m venv "$folder/$version"
done
newest/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 \
    "av==19.0.2; python_version >= '3.12'" "av==18.1.0; python_version < '3.12'"
17.0.0/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 av==17.0.0
seen=$(
    newest/bin/python show.py none hybrid_fragmented hybrid_fragmented+delay_moov
    17.0.0/bin/python show.py hybrid_fragmented+delay_moov
)
echo "$seen"
diff <(echo "$seen" | cut -d " " -f 2-) - <<'EXPECTED'
none 0.000 60
hybrid_fragmented 0.133 60
hybrid_fragmented+delay_moov 0.000 60
hybrid_fragmented+delay_moov no frame
EXPECTED
