#!/usr/bin/env python3
"""Read the expressions in pictures.

    python demo_image.py                  # asks for a name: 1, 1.jpg or any path
    python demo_image.py 1.jpg photo.png  # names in input/, or paths
    python demo_image.py 1.jpg --explain --emoji
    python demo_image.py 1.jpg --json

Each picture's result, boxes at the left and probabilities at the right, is saved as output/<name>-result.jpg, or as
…-result-2.jpg and so on where another picture's result or a file of your own has that name; the same picture's earlier
result is replaced. With --explain it shows as well where in the face the expression is seen, by Grad-CAM, or with
--class NAME another one.

Exit code: 0 each picture has a face; 1 one has none or cannot be read; 2 wrong use, or nothing could be read.
"""

import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from models.packages import check_packages

if __name__ == "__main__":
    check_packages()  # before the imports that need them

from models.command_line import (
    DONE,
    IN_PART,
    WRONG_USE,
    add_detector_arguments,
    add_model_arguments,
    answer_in_words,
    describe_detector,
    face_record,
    leave,
    load_classifier,
    load_detector,
    new_parser,
    positive,
    script,
    tell_choices,
)  # fmt: skip
from models.errors import UserError
from models.pictures import (
    PICTURE_SUFFIXES,
    PictureError,
    PictureTooLarge,
    find_pictures,
    read_picture,
    write_picture,
)
from models.results import mark, result_path

INPUT = Path("input") if Path("input").is_dir() else Path(__file__).parent / "input"


@script
def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="a name in input/ or a path; without one it asks"
    )
    parser.add_argument(
        "--whole-image", action="store_true", help="the picture is a face crop already: look for no face"
    )
    parser.add_argument(
        "--max-megapixels", type=positive(float), default=64.0, metavar="N", help="larger pictures are not read"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, default=Path("output"), metavar="FOLDER", help="where the results go")
    output.add_argument("--explain", action="store_true", help="show where in the face the expression is seen")
    output.add_argument("--class", dest="class_name", metavar="NAME", help="with --explain: another expression")
    output.add_argument("--emoji", action="store_true", help="draw the expression's little face beside each label")
    output.add_argument("--json", action="store_true", help="print one JSON list instead of sentences")
    output.add_argument("--show", action="store_true", help="open each result in a window as well")
    add_detector_arguments(parser)
    add_model_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.show:
        from models.live.window import check_display

        check_display("leave --show out, the results are saved as pictures")

    if arguments.class_name is not None and not arguments.explain:
        raise UserError("--class says which expression --explain is about: add --explain")

    # Importing torch and reading the weights takes seconds: meanwhile a person can type.
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, arguments)
        answers = []
        for name in arguments.pictures or ask_for_names():
            classifier, detector = loading.result()
            if not answers:
                told = [] if arguments.whole_image else [describe_detector(arguments)]
                tell_choices(arguments, classifier.device, classifier.precision, classifier, *told)
            answers.append(answer(name, classifier, detector, arguments))
        loading.result()
    if arguments.json:
        print(json.dumps(answers, ensure_ascii=False, indent=1))
    read = [entry for entry in answers if entry["status"] != "unreadable"]
    if answers and not read:
        return WRONG_USE
    return DONE if all(entry["status"] == "ok" for entry in answers) else IN_PART


def load(arguments: Any) -> tuple[Any, Any]:
    """The classifier and the face detector; raises `UserError` where there is no class as --class names it."""
    classifier = load_classifier(arguments)
    if arguments.class_name is not None:
        classifier.check_class(arguments.class_name)
    return classifier, load_detector(arguments)


def ask_for_names() -> Iterator[str]:
    """Names that a person types, until Ctrl-D; or the lines of standard input where it is no terminal."""
    while True:
        if sys.stdin.isatty():
            print("Image name: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            if sys.stdin.isatty():
                print(file=sys.stderr)
            return
        name = line.strip()
        if not name:
            continue
        if find_input(name) is None and sys.stdin.isatty():
            there = ", ".join(path.name for path in find_pictures(INPUT)) if INPUT.is_dir() else "nothing"
            print(f"There is no picture {name}. In {INPUT.name}/ there is: {there}", file=sys.stderr)
            continue
        yield name


def find_input(name: str) -> Path | None:
    """The picture that a name means: a path, or a file in input/, with or without its extension."""
    places = [Path(name).expanduser(), INPUT / name]
    for place in places:
        if place.is_file():
            return place
    for place in places:
        for suffix in sorted(PICTURE_SUFFIXES):
            if place.name and place.with_name(place.name + suffix).is_file():
                return place.with_name(place.name + suffix)
    return None


def answer(name: str, classifier: Any, detector: Any, arguments: Any) -> dict[str, Any]:
    """Analyzes one picture, saves its result and says what was found; returns it as plain values."""
    from models.drawing import MOST_PANELS, result_picture

    say = (lambda *_: None) if arguments.json else print
    path = find_input(name)
    try:
        if path is None:
            raise PictureError("there is no such picture, neither as a path nor in input/")
        picture = read_picture(path, arguments.max_megapixels)
    except PictureError as error:
        remedy = f": --max-megapixels {error.megapixels} reads it" if isinstance(error, PictureTooLarge) else ""
        print(f"{name}: {error}{remedy}", file=sys.stderr)
        return {"file": name, "status": "unreadable", "reason": str(error), "faces": []}

    faces = classifier.analyze(picture, detector, arguments.whole_image)
    say(path)
    for number, face in enumerate(faces, start=1):
        x, y, width, height = face.box
        words = answer_in_words(face, classifier.class_names)
        say(f"  face {number}: {words}  (at {x}, {y}, {width}×{height} pixels)")
    if not faces:
        smallest = math.ceil(detector.smallest_face(picture))
        half = max(12, min(smallest, *picture.shape[:2]) // 2)
        smaller = f"--min-face {half} looks for smaller ones, " if half < smallest else ""
        say(f"  no face of {smallest} pixels or more found: {smaller}another --detector may see")
        say("  what this one does not, and --whole-image takes the picture as a face crop")

    arguments.output.mkdir(parents=True, exist_ok=True)
    result = result_path(arguments.output, path)
    explanations = classifier.explain(faces[:MOST_PANELS], arguments.class_name) if arguments.explain else ()
    drawn = result_picture(picture, faces, classifier.class_names, explanations, arguments.emoji)
    write_picture(result, drawn, comment=mark(path))
    say(f"  wrote {result}")
    if arguments.show:
        show(drawn, path.name)
    records = [face_record(face, classifier.class_names) for face in faces]
    return {"file": str(path), "status": "ok" if faces else "no-face", "faces": records, "result": str(result)}


def show(picture: Any, title: str) -> None:
    """Shows an RGB picture in a window until a key is pressed or the window is closed."""
    import cv2

    cv2.imshow(title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    try:
        while cv2.waitKey(100) < 0 and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1:
            pass
        cv2.destroyWindow(title)
    except cv2.error:  # Qt's way to say that the last window was closed
        pass


if __name__ == "__main__":
    leave(main())
