#!/usr/bin/env bash
# av 19.0.2 (FFmpeg 9): a film that is decoded and encoded again, frame by frame, comes out in other colours.
#
# A decoded frame says by which matrix its colours are coded and over which range (BT.709 in nearly every HD film, full
# range in many phones'), and PyAV heeds it when it makes RGB of the frame. The encoder that the frame is given to does
# not: it writes the same numbers and "unspecified", and every player, PyAV too, takes them for BT.601 or BT.709 of
# limited range by a rule of its own. So do mpeg4 and libvpx-vp9. It is right where stream.codec_context.colorspace and
# .color_range are set to what the frames say, before the first is encoded.
#
# Seen, red, green, blue of one colour before and after, and what is told of matrix and range after (2 0: nothing):
#     BT.709, limited:                    199 58 29    187 45 32    2 0
#     BT.709, full:                       199 59 30    196 37 20    2 0
#     BT.709, full, context set:          199 59 30    199 59 30    1 2
# Fails when one of them changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 \
    "av==19.0.2; python_version >= '3.12'" "av==18.1.0; python_version < '3.12'"
cd "$folder"
venv/bin/python - <<'PYTHON'
import av

LOSSLESS = {"crf": "0"}


def begin(output, colours=()):
    stream = output.add_stream("libx264", rate=10, options=LOSSLESS)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    if colours:
        stream.codec_context.colorspace, stream.codec_context.color_range = colours
    return stream


def write(path, levels, colours):
    with av.open(path, "w") as output:
        stream = begin(output, colours)
        for number in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            for plane, level in zip(frame.planes, levels):
                plane.update(bytes([level]) * plane.buffer_size)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def again(path, target, colours=()):
    with av.open(path) as film, av.open(target, "w") as output:
        stream = begin(output, colours)
        for frame in film.decode(video=0):
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def look(path):
    with av.open(path) as film:
        frame = next(film.decode(video=0))
    red_green_blue = frame.to_ndarray(format="rgb24")[24, 32].tolist()
    return *red_green_blue, int(frame.colorspace), int(frame.color_range)


seen = {}
write("limited.mp4", (91, 101, 191), (1, 1))
write("full.mp4", (88, 97, 199), (1, 2))
for name, path, colours in (
    ("BT.709, limited", "limited.mp4", ()), ("BT.709, full", "full.mp4", ()),
    ("BT.709, full, context set", "full.mp4", (1, 2)),
):
    again(path, "again.mp4", colours)
    seen[name] = look(path) + look("again.mp4")
    print(f"{name}:", *seen[name])
assert list(seen.values()) == [
    (199, 58, 29, 1, 1, 187, 45, 32, 2, 0), (199, 59, 30, 1, 2, 196, 37, 20, 2, 0),
    (199, 59, 30, 1, 2, 199, 59, 30, 1, 2),
], "this has changed"
PYTHON
