"""A run's settings: those of train.py's flags that say what it is, as plain values, which its config.json keeps.

>>> settings = run_settings(arguments)
>>> settings["data"], settings["epochs"]
('data', 40)
"""

import argparse
import json
from typing import Any

from models.training.folder import ValShare

AUGMENTATION_FLAGS = ("rotation", "scale", "shift", "brightness", "corruption", "erasing")
RECIPE_FLAGS = (
    "epochs", "batch_size", "lr", "warmup_epochs", "momentum", "weight_decay", "label_smoothing", "mixup",
    "votes_weight", "teachers_weight", "ema_decay", "freeze_blocks", "seed", "balance",
)  # fmt: skip
# What --resume may change of a run; all else stands in its config.json.
RESUME_MAY_CHANGE = ("resume", "device", "compile", "max_minutes")


def run_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The flags that say what a run is, as plain values."""
    elsewhere = ("evaluate", "export", "checkpoint", "split", "tta", "output", *RESUME_MAY_CHANGE)
    settings = {name: value for name, value in vars(arguments).items() if name not in elsewhere}
    return json.loads(json.dumps(settings, default=str))  # paths as text


def val_share(settings: dict[str, Any]) -> ValShare | None:
    """What --val-share and --group-pattern ask for."""
    return ValShare(settings["val_share"], settings["group_pattern"]) if settings["val_share"] else None
