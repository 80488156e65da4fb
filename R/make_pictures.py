"""Makes the pictures in this folder again, from the shipped weights and the pictures in input/.

    python -m R.make_pictures

report.json is of the shipped weights, stages.csv of the runs that trained them, rpn_training.csv of the one that
trained the network that finds faces; the other csv files are what the programs in tests/benchmarks/ measured, each by
its name; all else is made from what is here. The report's page is photographed by Chromium, and stays as it is where
there is none.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import demo_camera
import demo_image_batch
from models import CLASS_NAMES, ExpressionClassifier, drawing, plots, read_picture
from models.checkpoint import SHIPPED_CHECKPOINT, load_checkpoint
from models.pictures import write_picture
from models.vgg16 import VGG16
from R.make_tables import newest, read
from tests.films import read_film, write_film

HERE = Path(__file__).parent
INPUT = HERE.parent / "input"
SECONDS, FRAME_RATE, STILL = 4, 15, 38  # of the film; the still shows both faces
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def main() -> int:
    make_results()
    make_training_plots()
    with tempfile.TemporaryDirectory() as folder:
        make_camera_picture(Path(folder))
        make_report_picture(Path(folder))
    print(f"wrote {', '.join(sorted(path.name for path in HERE.glob('*.*g')))} in {HERE}")
    return 0


def make_results() -> None:
    """What demo_image.py makes of two of the pictures in input/ (one with --explain --emoji), and of a group."""
    classifier = ExpressionClassifier.load()
    pictures = {name: read_picture(INPUT / f"{name}.jpg") for name in ("1", "2", "3", "4")}
    pictures["group"] = side_by_side(list(pictures.values()))
    for name in ("1", "4", "group"):
        faces = classifier.analyze(pictures[name])
        explanations = classifier.explain(faces) if name == "4" else ()
        result = drawing.result_picture(pictures[name], faces, classifier.class_names, explanations, name == "4")
        write_picture(HERE / f"{name}-result.jpg", result)


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """The pictures in a row, each 480 pixels high."""
    row = [cv2.resize(p, (round(p.shape[1] * 480 / p.shape[0]), 480), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.hstack(row)


def make_training_plots() -> None:
    """The networks: how the shipped weights were trained, what they confuse on val, and what each step is worth."""
    size = load_checkpoint(SHIPPED_CHECKPOINT)["input"]["size"]
    plots.plot_network(VGG16(), size, CLASS_NAMES, HERE / "VGG-NET.png")
    plots.plot_confusion_matrix(json.loads((HERE / "report.json").read_text()), HERE / "confusion_matrix.png")
    for source, plot, picture in (
        ("stages", _plot_stages, "curves.png"),
        ("robustness-int8", plots.plot_robustness, "robustness.png"),
        ("packages", plots.plot_speed, "speed.png"),
        ("ladder-48px", plots.plot_ladder, "ladder.png"),
        ("rpn_training", plots.plot_face_training, "rpn_training.png"),
    ):
        plot(read(newest(source)), HERE / picture)


def _plot_stages(rows: list[dict[str, str]], path: Path) -> None:
    """The curves of all stages, one after another."""
    plots.plot_curves([{**row, "epoch": number} for number, row in enumerate(rows, start=1)], path)


def make_camera_picture(folder: Path) -> None:
    """A frame of a film that demo_camera.py annotated."""
    film = write_film(folder / "film.mp4", SECONDS, FRAME_RATE, (640, 480))
    recorded = folder / "recorded.mp4"
    demo_camera.main(["--source", str(film), "--no-window", "--record", str(recorded)])
    frames, _ = read_film(recorded)
    write_picture(HERE / "camera.jpg", cv2.cvtColor(frames[STILL], cv2.COLOR_BGR2RGB))


def make_report_picture(folder: Path) -> None:
    """The page that demo_image_batch.py makes of input/."""
    demo_image_batch.main([str(INPUT), "--report", "--output", str(folder / "batch")])
    if CHROMIUM is None:
        print("there is no Chromium: report.png stays as it is", file=sys.stderr)
        return
    page, picture = folder / "batch" / "report.html", HERE / "report.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,420"]
    subprocess.run([CHROMIUM, *flags, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
