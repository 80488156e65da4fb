"""Facial expressions from faces.

from models import ExpressionClassifier, read_picture

classifier = ExpressionClassifier.load()
faces = classifier.analyze(read_picture("input/1.jpg"))

    vgg16       the network (architectures: others in its place)     views        what it sees
    weights/    the shipped weights (checkpoint: their files)        inference/   the network, fast; device: where
    faces/      finding faces                                        classifier   pictures → faces → probabilities
    pictures    reading and writing pictures (pixels: their colours) drawing      boxes and bars; labels, emoji, plots
    datasets/   what preprocess.py reads                             training/    what train.py needs; export: to ONNX
    batch/      what demo_image_batch.py is made of                  live/        what demo_camera.py is made of
    command_line, packages, threads, files, errors, results: what the scripts share
"""

from models.packages import check_packages, module_run

if module_run():
    check_packages("cv2")

from models.expressions import CLASS_NAMES
from models.threads import wait_briefly

__all__ = ["CLASS_NAMES", "ExpressionClassifier", "Face", "read_picture"]

wait_briefly()


def __getattr__(name: str):
    # Looked up when first used: preprocess.py needs the class names, and torch takes seconds to import.
    if name in ("ExpressionClassifier", "Face"):
        from models import classifier

        return getattr(classifier, name)
    if name == "read_picture":
        from models.pictures import read_picture

        return read_picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
