"""What scenes are made of: portraits with their faces, and pictures in which there is none.

    material = prepare(Path("portraits"), Path("backgrounds"), Path("centerface.onnx"), Path("yunet.onnx"), output)

The teachers look once at everything; what they say is kept in the output folder, so that a second run begins at once.
"""

import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from models.errors import UserError
from models.faces.training.portraits import Portrait, make_portrait
from models.faces.training.teachers import Look, label_picture, load_teachers
from models.pictures import PictureError, find_pictures, read_picture, write_picture

PORTRAIT_SIDES, BACKGROUND_SIDES = (160, 256), (320, 512)  # the longer sides at which the teachers look
LARGEST_BACKGROUND, SMALLEST_BACKGROUND = 1280, 96  # pixels of the longer and of the shorter side
HELD_OUT = 13  # each 13th portrait and background is not trained on


@dataclass(frozen=True, eq=False)
class Material:
    """Portraits and backgrounds: RGB uint8 pictures, those trained on and those by which the network is judged."""

    portraits: list[Portrait]
    held_out_portraits: list[Portrait]
    backgrounds: list[np.ndarray]
    held_out_backgrounds: list[np.ndarray]


def prepare(portraits: Path, backgrounds: Path, centerface: Path, yunet: Path, output: Path) -> Material:
    """Reads everything; has the teachers look at what they have not seen yet.

    Raises:
        UserError: A folder holds too few pictures of its kind, or a teacher cannot be read.
    """
    cv2.setNumThreads(1)  # there is a thread for each core
    _check_sources(portraits, backgrounds, output)
    faces_file, cleared_folder = output / "portraits.json", output / "backgrounds"
    if not faces_file.is_file():
        looks = _Looks(centerface, yunet, PORTRAIT_SIDES)
        labels = _for_each(lambda path: _label_portrait(path, looks), _pictures(portraits), "portraits")
        _write_json(faces_file, [label for label in labels if label])
    done = cleared_folder / "done"
    if not done.is_file():
        looks = _Looks(centerface, yunet, BACKGROUND_SIDES)
        cleared_folder.mkdir(parents=True, exist_ok=True)
        sources = list(enumerate(_pictures(backgrounds)))
        _for_each(lambda source: _clear_background(source[0], source[1], looks, cleared_folder), sources, "backgrounds")
        done.touch()
    try:
        faces = _for_each(read_portrait, json.loads(faces_file.read_text(encoding="utf-8")), "portraits, reading")
        empty = _for_each(read_picture, find_pictures(cleared_folder), "backgrounds, reading")
    except PictureError as error:
        raise UserError(f"a picture that was looked at before {error}: delete {output} to begin anew") from error
    if len(faces) < HELD_OUT or len(empty) < HELD_OUT:
        raise UserError(
            f"{len(faces)} portraits with one face and {len(empty)} pictures without any are too few to train on: "
            f"name larger folders, and delete {output} so that they are looked at anew"
        )
    return Material(*_split(faces), *_split(empty))


def _check_sources(portraits: Path, backgrounds: Path, output: Path) -> None:
    """Notes which folders the output is made from; refuses to go on with others."""
    asked = {"portraits": str(portraits.absolute()), "backgrounds": str(backgrounds.absolute())}
    noted = output / "sources.json"
    if noted.is_file() and json.loads(noted.read_text(encoding="utf-8")) != asked:
        raise UserError(f"{output} was made from other folders (see {noted}): name them, or another --output")
    _write_json(noted, asked)


def _split(things: list[Any]) -> tuple[list[Any], list[Any]]:
    return [thing for index, thing in enumerate(things) if index % HELD_OUT], things[::HELD_OUT]


class _Looks:
    """The teachers, once for each thread: a network of OpenCV serves one at a time."""

    def __init__(self, centerface: Path, yunet: Path, sides: tuple[int, int]):
        self._make = lambda: load_teachers(centerface, yunet, sides)
        self._make()  # what is wrong with the files is said before anything is looked at
        self._of_thread = threading.local()

    def __call__(self) -> list[Look]:
        if not hasattr(self._of_thread, "looks"):
            self._of_thread.looks = self._make()
        return self._of_thread.looks


def _for_each(work: Callable[[Any], Any], things: Sequence[Any], name: str) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(work, things), name, len(things), disable=None))


def _pictures(folder: Path) -> list[Path]:
    try:
        return find_pictures(folder, recursive=True)
    except PictureError as error:
        raise UserError(f"{folder} {error}: name a folder of pictures") from error


def _label_portrait(path: Path, looks: _Looks) -> dict[str, Any] | None:
    """The face of a portrait; None where the teachers see none, several, or do not agree."""
    try:
        found = label_picture(read_picture(path), looks())
    except PictureError:
        return None
    if len(found) != 1 or not found[0].sure:
        return None
    return {"path": str(path.absolute()), "box": found[0].box, "landmarks": found[0].landmarks.tolist()}


def read_portrait(label: dict[str, Any]) -> Portrait:
    """A portrait and its face, from an entry of portraits.json."""
    return make_portrait(read_picture(label["path"]), label["box"], np.array(label["landmarks"], np.float32))


def _clear_background(number: int, path: Path, looks: _Looks, folder: Path) -> None:
    """Keeps a copy of a picture in which the teachers do not agree on any face."""
    target = folder / f"{number:05d}.jpg"
    if target.exists():
        return
    try:
        picture = read_picture(path)
    except PictureError:
        return
    picture = at_most(picture, LARGEST_BACKGROUND)
    if min(picture.shape[:2]) >= SMALLEST_BACKGROUND and not _shows_a_face(picture, looks()):
        write_picture(target, picture)


def at_most(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture, shrunk so that its longer side has at most so many pixels."""
    scale = min(1.0, side / max(picture.shape[:2]))
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def _shows_a_face(picture: np.ndarray, looks: list[Look]) -> bool:
    """Whether both teachers see the same face. What one of them alone sees is a hard place and worth training on."""
    yunet = label_picture(picture, looks[2:], agreeing=1)  # alone first: it takes a fifth of the time
    return any(label.sure for label in yunet) and any(label.sure for label in label_picture(picture, looks, agreeing=3))


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_suffix(".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
