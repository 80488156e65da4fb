"""What a process does with a picture, all but the network's part: reads it, finds its faces, draws its annotated copy.

    hands = Hands(Job(make_detector, root="photos", output=Path("output")))
    reading = hands.read(picture)          # reading.crops go to the network
    hands.finish(picture, labelled_faces, "happy")

The processes of `pool.py` run `serve`. They import no torch, so each takes some 100 MB.
"""

import errno
import filecmp
import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.batch.records import NO_FACE, OK, UNREADABLE, FaceRecord, Stamp
from models.batch.sources import Picture, file_stamp
from models.drawing import annotate
from models.faces import box_within, face_crop
from models.pictures import PictureError, read_picture, write_picture

COPIES, THUMBNAILS = "annotated", "report-thumbnails"  # folders in the output folder
COPY_SIDE = 1600  # longest side of an annotated copy: to look at, and a tenth of a phone picture's bytes
THUMBNAIL_SIDE = 256
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # no later picture can be written either
# Formats that an annotated copy keeps; of any other the copy is a JPEG.
COPY_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
OTHER_COPY_SUFFIX = ".annotated.jpg"


@dataclass(frozen=True)
class Job:
    """What the processes are to do with every picture.

    Attributes:
        make_detector: Makes the face detector; it is pickled, so a function of a module, or a partial of one.
        root: The folder whose tree the copies mirror.
        output: The folder that annotated copies and thumbnails go to.
        annotate: Write an annotated copy of each picture with a face.
        thumbnails: Write the report's thumbnails.
        sort_into: Copy each picture into a folder per expression below this one, or None.
        overwrite: Sorted copies may take the place of other files.
        max_megapixels: Larger pictures are not decoded.
        emoji: Draw little faces beside the labels of annotated copies.
    """

    make_detector: Callable[[], Any]
    root: str
    output: Path
    annotate: bool = True
    thumbnails: bool = False
    sort_into: Path | None = None
    overwrite: bool = False
    max_megapixels: float = 64.0
    emoji: bool = False

    def writes(self, status: str) -> bool:
        """Whether there is something left to write when the expressions of a picture are known."""
        return (self.annotate and status == OK) or (self.sort_into is not None and status != UNREADABLE)


@dataclass(frozen=True)
class Reading:
    """A picture that was read and searched.

    Attributes:
        status: `ok`, `no-face` or `unreadable`.
        reason: Why it is unreadable.
        size: Width and height in pixels.
        boxes: x, y, width, height of each face, whole pixels within the picture, largest face first.
        scores: The detector's confidence in each.
        crops: The faces as `ExpressionClassifier.classify` takes them, RGB uint8.
        thumbnail: Its path below the output folder, if one was written.
        stamp, written: See `Record`.
        seconds: Processor time by stage.
    """

    status: str
    reason: str = ""
    size: tuple[int, int] | None = None
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    thumbnail: str | None = None
    stamp: Stamp | None = None
    written: dict[str, Stamp] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finish:
    """What was written for a picture.

    Attributes:
        copy: The annotated copy's path below the output folder, if one was written.
        reason: What could not be written, and why.
        written: See `Record`.
        seconds: Processor time by stage.
    """

    copy: str | None = None
    reason: str = ""
    written: dict[str, Stamp] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def copy_name(picture: Picture, root: str) -> str:
    """Where below its folder the copy of a picture lies: as the picture below the root, each at a place of its own.

    Two pictures never meet: a name either stays as it is, or gets an ending that no name which stays has.
    """
    name = Path(os.path.relpath(os.path.abspath(picture.path), root)).as_posix()
    stays = name.lower().endswith(COPY_SUFFIXES) and not name.lower().endswith(OTHER_COPY_SUFFIX)
    return name if stays else name + OTHER_COPY_SUFFIX


def thumbnail_name(picture: Picture) -> str:
    """The thumbnail's file name: short, of plain letters whatever the picture's name, the same in every run."""
    return hashlib.sha256(os.fsencode(os.path.abspath(picture.path))).hexdigest()[:24] + ".jpg"


class Hands:
    """What a process does for the parent, a method a request. It keeps what it will draw on between the two."""

    def __init__(self, job: Job):
        self._job = job
        self._detector = job.make_detector()
        self._kept: dict[Picture, tuple[np.ndarray, float]] = {}  # pixels for the copy, and their scale

    def read(self, picture: Picture) -> Reading:
        """Reads a picture and cuts out its faces. Whatever is wrong with the file is in the answer.

        Raises:
            OSError: The thumbnail cannot be written.
        """
        stamp = file_stamp(picture.path)  # before: what changes from here on is done again by --resume
        return replace(self._search(picture), stamp=stamp)

    def _search(self, picture: Picture) -> Reading:
        clock = _Clock()
        try:
            pixels = read_picture(picture.path, self._job.max_megapixels)
            clock.stop("read")
            detections = self._detector.detect(pixels)
            crops = [face_crop(pixels, detection) for detection in detections]
            clock.stop("detect")
        except PictureError as error:
            return Reading(UNREADABLE, str(error), seconds=clock.seconds)
        except Exception as error:  # of OpenCV, or out of memory: one picture is no reason to stop
            return Reading(UNREADABLE, f"cannot be searched for faces ({_one_line(error)})", seconds=clock.seconds)
        height, width = pixels.shape[:2]
        thumbnail = self._write_thumbnail(picture, pixels) if self._job.thumbnails else None
        if self._job.annotate and detections:
            self._kept[picture] = _shrunk(pixels, COPY_SIDE)
        clock.stop("write copies")
        return Reading(
            status=OK if detections else NO_FACE,
            size=(width, height),
            boxes=[box_within(detection.box, width, height) for detection in detections],
            scores=[float(detection.score) for detection in detections],
            crops=crops,
            thumbnail=thumbnail,
            written={thumbnail: file_stamp(self._job.output / thumbnail)} if thumbnail else {},
            seconds=clock.seconds,
        )

    def finish(self, picture: Picture, faces: Sequence[FaceRecord], folder: str) -> Finish:
        """Writes the annotated copy, and the picture into its expression's folder, as the job says.

        Args:
            folder: The name of that folder.

        Raises:
            OSError: The disk is full or may not be written at all.
        """
        clock = _Clock()
        copy, failures, files = None, [], []
        if self._job.annotate and faces:
            name = f"{COPIES}/{copy_name(picture, self._job.root)}"
            failure = _failure("no annotated copy", lambda: self._write_copy(picture, faces, name))
            copy = None if failure else name
            failures.append(failure)
            files += [name] * (not failure)
        if self._job.sort_into:
            target = self._job.sort_into / folder / self._below_root(picture)
            failure = _failure("not sorted", lambda: self._sort(picture, target))
            failures.append(failure)
            files += [os.path.abspath(target)] * (not failure)
        clock.stop("write copies")
        written = {name: file_stamp(self._job.output / name) for name in files}
        return Finish(copy, "; ".join(filter(None, failures)), written, clock.seconds)

    def _write_thumbnail(self, picture: Picture, pixels: np.ndarray) -> str:
        name = f"{THUMBNAILS}/{thumbnail_name(picture)}"
        small = cv2.cvtColor(_shrunk(pixels, THUMBNAIL_SIDE)[0], cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        path = self._job.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
        return name

    def _write_copy(self, picture: Picture, faces: Sequence[FaceRecord], name: str) -> None:
        kept = self._kept.pop(picture, None)
        if kept is None:  # this process took the place of one that died
            kept = _shrunk(read_picture(picture.path, self._job.max_megapixels), COPY_SIDE)
        pixels, scale = kept
        scaled = [replace(face, box=tuple(round(value * scale) for value in face.box)) for face in faces]  # type: ignore
        annotated = annotate(pixels, scaled, with_emoji=self._job.emoji)  # type: ignore[arg-type]
        write_picture(self._job.output / name, annotated)

    def _below_root(self, picture: Picture) -> str:
        return os.path.relpath(os.path.abspath(picture.path), self._job.root)

    def _sort(self, picture: Picture, target: Path) -> None:
        # The same picture is what a run that was killed left there.
        if not self._job.overwrite and target.exists() and not filecmp.cmp(picture.path, target, shallow=False):
            raise FileExistsError(errno.EEXIST, f"another file is there already, {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{thumbnail_name(picture)}.part")
        try:
            shutil.copy2(picture.path, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def serve(connection: Connection, job: Job) -> None:
    """What a process runs: it answers requests until the parent closes the connection, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent decides
    cv2.setNumThreads(1)  # there is a process for each core
    hands = Hands(job)
    connection.send("ready")
    while True:
        try:
            method, *arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = getattr(hands, method)(*arguments)
        except OSError as error:
            answer = OSError(error.errno, error.strerror, error.filename)
        connection.send(answer)


class _Clock:
    """Processor time by stage: on a machine with other work, wall time would count that too."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def stop(self, stage: str) -> None:
        now = time.process_time()
        self.seconds[stage] = now - self._last
        self._last = now


def _failure(what: str, write: Callable[[], None]) -> str:
    """Calls `write`; says what failed where it does, unless no later picture could be written either."""
    try:
        write()
    except (OSError, PictureError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        return f"{what}: {_one_line(getattr(error, 'strerror', None) or error)}"
    return ""


def _shrunk(pixels: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture with a longer side of at most so many pixels, and its scale, at most 1."""
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels, 1.0
    height, width = (max(round(length * scale), 1) for length in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), scale


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
