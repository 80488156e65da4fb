"""Makes the pictures in this folder again, from the shipped weights and the pictures in input/.

    python -m R.make_pictures
"""

import json
import sys
from pathlib import Path

from models import CLASS_NAMES, ExpressionClassifier, drawing, read_picture
from models.checkpoint import SHIPPED_CHECKPOINT, load_checkpoint
from models.pictures import write_picture
from models.vgg16 import VGG16

HERE = Path(__file__).parent
INPUT = HERE.parent / "input"


def main() -> int:
    classifier = ExpressionClassifier.load()
    for name in ("1", "4"):
        picture = read_picture(INPUT / f"{name}.jpg")
        faces = classifier.analyze(picture)
        write_picture(HERE / f"{name}-result.jpg", drawing.result_picture(picture, faces, classifier.class_names))
    size = load_checkpoint(SHIPPED_CHECKPOINT)["input"]["size"]
    drawing.plot_network(VGG16(), size, CLASS_NAMES, HERE / "VGG-NET.png")
    drawing.plot_confusion_matrix(json.loads((HERE / "report.json").read_text()), HERE / "confusion_matrix.png")
    print(f"wrote {', '.join(sorted(path.name for path in HERE.glob('*.*g')))} in {HERE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
