"""Which source opens for a name: a camera, a video file, numbered pictures or a stream.

    with open_source("film.mp4") as source:
        while (frame := source.read()) is not None: ...

Each kind has a file of its own: cameras.py, sequences.py, films.py.
"""

import os
import re
from pathlib import Path

from models.live.sources import USUAL_FRAME_RATE, Source, SourceError
from models.pictures import PICTURE_SUFFIXES

ANIMATED_SUFFIXES = frozenset((".gif", ".webp"))


def open_source(
    name: str, width: int | None = None, height: int | None = None, fps: float | None = None, mirror: bool | None = None
) -> Source:
    """Opens a source and reads its first frame.

    Args:
        name: A camera's number, the path of a video file, a pattern such as `frames/%04d.jpg`, or a URL.
        width, height, fps: What a camera is asked for; it gives the nearest that it can. To numbered pictures, and to
            a video that carries no times, `fps` gives the rate that they have not.
        mirror: Flip frames left to right; by default a camera's, as in a mirror, and no other's.

    Raises:
        SourceError: It cannot be opened, or gives no frame.
    """
    # PyAV and OpenCV's part for cameras are imported by whom they are for alone.
    camera = re.fullmatch(r"(?:/dev/video)?(\d+)", name)
    if camera:
        from models.live.cameras import Camera

        return Camera(int(camera[1]), width, height, fps, mirror is not False)
    is_url, mirror = "://" in name, bool(mirror)
    if not is_url and "%" in name and not _exists(Path(name)):
        from models.live.sequences import NumberedPictures

        return NumberedPictures(name, fps or USUAL_FRAME_RATE, mirror)
    if not is_url:
        _check_path(Path(name))
        if Path(name).suffix.lower() in ANIMATED_SUFFIXES:
            from models.live.sequences import AnimatedPicture

            return AnimatedPicture(name, mirror)
    from models.live.films import Film

    return Film(name, fps, mirror)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no file can have such a name
        return False


def _check_path(path: Path) -> None:
    if not _exists(path):
        raise SourceError(f"there is no {path}: --source takes a camera's number, a video file or a stream's URL")
    if path.is_dir():
        raise SourceError(f"{path} is a folder: --source takes a video file, or a pattern such as {path / '%04d.jpg'}")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} may not be read: you have no permission")
    if path.suffix.lower() in PICTURE_SUFFIXES - ANIMATED_SUFFIXES:
        raise SourceError(f"{path} is a picture, not a video: demo_image.py reads pictures")
