"""A split of noise and a trainer for it, for what a training does whatever it is shown."""

import torch

from models.expressions import CLASS_NAMES
from models.training.augmentation import Augmentation
from models.training.dataset import Split
from models.training.loop import Trainer
from models.training.recipe import Recipe
from models.vgg16 import VGG16
from models.views import make_input_spec

SPEC = make_input_spec(32)
RECIPE = Recipe(
    epochs=2, batch_size=8, lr=0.01, warmup_epochs=0.5, momentum=0.9, weight_decay=5e-4, label_smoothing=0.1,
    mixup=0.0, votes_weight=0.5, teachers_weight=0.5, ema_decay=0.9, freeze_blocks=0, seed=0, precision="fp32",
)  # fmt: skip


def small_split(count: int = 24) -> Split:
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (count, 40, 40), dtype=torch.uint8)
    return Split(pictures, torch.arange(count) % 7, [f"0/{i:05d}.jpg" for i in range(count)])


def make_trainer(recipe: Recipe = RECIPE, **options) -> Trainer:
    torch.manual_seed(0)
    return Trainer(VGG16(), list(CLASS_NAMES), SPEC, Augmentation(32), recipe, **options)
