"""What only a GPU can show; without one all of it is skipped. `python -m tests.benchmarks.gpu` runs it first."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import train
from models.architectures import make_network
from models.checkpoint import load_checkpoint, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.expressions import CLASS_NAMES
from models.training.augmentation import Augmentation
from models.training.compiling import COMPILE_MODES
from models.training.corruption import KINDS
from models.training.loop import Trainer
from models.training.teachers import ask_teachers
from models.vgg16 import VGG16
from models.views import make_input_spec
from tests.training_runs import only_run
from tests.training_samples import RECIPE, SPEC, small_split

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda")


def trainer_on(device: str, mode: str = "off") -> Trainer:
    torch.manual_seed(0)
    network = VGG16().to(device, memory_format=torch.channels_last)
    plain = Augmentation(32, rotation=0, scale=0, shift=0, brightness=0, erasing=0, crop=1, flip=0)
    return Trainer(network, list(CLASS_NAMES), SPEC, plain, RECIPE, compile_mode=mode)


def test_a_gpu_learns_what_a_cpu_learns(narrow):
    ended = []
    for device in ("cpu", "cuda"):
        trainer = trainer_on(device)
        for layer in trainer.network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0  # which activations are dropped is another draw on another device
        trainer.train_one_epoch(small_split().to(torch.device(device)))
        ended.append(trainer.progress.loss_sum / trainer.progress.counted)
    assert ended[0] == pytest.approx(ended[1], rel=0.02)


@pytest.mark.parametrize("mode", COMPILE_MODES[1:])
def test_a_compiled_network_learns_what_it_learns_uncompiled(narrow, mode):
    split, losses = small_split(20).to(GPU), []  # batches of 8, 8 and 4
    for each in ("off", mode):
        trainer = trainer_on("cuda", each)
        trainer.recipe = replace(trainer.recipe, epochs=20, lr=0.05)
        for layer in trainer.network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        for _ in range(20):
            trainer.train_one_epoch(split)
            losses.append(trainer.progress.loss_sum / trainer.progress.counted)
            trainer.progress.start_next_epoch()
    assert losses[19] < 0.8 * losses[0]
    assert losses[:4] == pytest.approx(losses[20:24], rel=0.02) and losses[39] == pytest.approx(losses[19], rel=0.2)


@pytest.mark.parametrize("name", KINDS)
def test_spoiling_stays_on_the_gpu_and_waits_for_nothing(name):
    crops = torch.rand(12, 96, 96, device=GPU) * 255
    KINDS[name](crops, torch.rand(12, 1, 1, device=GPU))
    torch.cuda.set_sync_debug_mode("error")
    try:
        spoiled = KINDS[name](crops, torch.rand(12, 1, 1, device=GPU))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert spoiled.device.type == "cuda" and spoiled.isfinite().all()


def test_a_step_waits_for_nothing(narrow):
    trainer = trainer_on("cuda")
    trainer.recipe = replace(trainer.recipe, mixup=0.2)
    trainer.augmentation = Augmentation(32, corruption=0.5)
    split, indices = small_split().to(GPU), torch.arange(8)
    for mode in ("default", "error"):  # the first prepares
        torch.cuda.set_sync_debug_mode(mode)
        try:
            trainer._step(split, indices.to(GPU, non_blocking=True), 8, 0.01)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_a_run_is_stopped_resumed_and_reported(narrow, data_folder, tmp_path):
    flags = ["--data", str(data_folder), "--output", str(tmp_path), "--init", "scratch", "--input-size", "48"]
    more = ["--batch-size", "16", "--mixup", "0.2", "--corruption", "0.5", "--epochs", "3", "--device", "cuda"]
    assert train.main([*flags, *more, "--max-minutes", "0.0001"]) == 1
    assert train.main(["--output", str(tmp_path), "--resume"]) == 0
    assert "bf16" in (only_run(tmp_path) / "train.log").read_text() or not torch.cuda.is_bf16_supported()


def test_minutes_become_epochs(narrow, data_folder, tmp_path):
    flags = ["--data", str(data_folder), "--output", str(tmp_path), "--init", "scratch", "--input-size", "32"]
    assert train.main([*flags, "--batch-size", "16", "--epochs", "2", "--fit-minutes", "5", "--device", "cuda"]) == 0


@pytest.mark.parametrize("arch", ["vgg16", "resnet18"])
def test_answers_and_reasons_are_those_of_the_cpu(arch, tmp_path):
    torch.manual_seed(0)
    spec, path = make_input_spec(64), tmp_path / "a.pt"
    save_atomically(path, make_checkpoint(make_network(arch), list(CLASS_NAMES), spec, metrics={}, config={}, epoch=0))
    faces = list(np.random.default_rng(0).integers(0, 256, (5, 80, 70), np.uint8))
    on_cpu, on_gpu = (ExpressionClassifier.load(path, device, "fp32") for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.classify(faces), on_cpu.classify(faces), atol=5e-3)
    (found,) = on_gpu.analyze(np.repeat(faces[0][..., None], 3, 2), whole_image=True)
    assert np.isfinite(on_gpu.explain([found])[0].heat).all()
    answers = ask_teachers([path], small_split(), list(CLASS_NAMES), GPU)
    assert answers.sum(1).sub(1).abs().max() < 1e-3
    assert load_checkpoint(path)["arch"] in ("vgg16_bn", arch)
