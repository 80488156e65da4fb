"""The training loop: its steps, its average, its state and what it says of itself."""

import pytest
import torch
from torch import nn

from models.training.loop import TrainingDiverged
from models.training.recipe import Recipe
from models.training.workers import Workers
from tests.training_samples import RECIPE, make_trainer, small_split


def test_learning_rate_warms_up_and_falls_to_zero():
    trainer = make_trainer(Recipe(**{**RECIPE.__dict__, "epochs": 10, "warmup_epochs": 1.0}))
    rates = [trainer.learning_rate(step, steps_per_epoch=10) for step in range(101)]
    assert rates[0] < rates[5] < max(rates) == pytest.approx(0.01, rel=0.02)
    assert rates[55] == pytest.approx(0.005, rel=0.05) and rates[100] == pytest.approx(0, abs=1e-9)
    assert all(later <= earlier for earlier, later in zip(rates[11:], rates[12:]))


def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_bit_for_bit(narrow):
    split = small_split()
    unbroken = make_trainer()
    for _ in range(2):
        unbroken.train_one_epoch(split)
        unbroken.progress.start_next_epoch()

    stopped = make_trainer()
    assert stopped.train_one_epoch(split, lambda progress, _: progress.batch == 2) is False
    state = stopped.state_dict()
    resumed = make_trainer()
    resumed.load_state_dict({**state, "learner": {key: value.clone() for key, value in state["learner"].items()}})
    torch.manual_seed(999)  # whatever was drawn in between
    assert resumed.train_one_epoch(split) is True
    resumed.progress.start_next_epoch()
    resumed.train_one_epoch(split)
    for name in ("learner", "average"):
        for key, value in unbroken.state_dict()[name].items():
            assert torch.equal(value, resumed.state_dict()[name][key]), key


def test_measuring_the_speed_leaves_the_training_as_it_was(narrow):
    split = small_split()
    plain, measured = make_trainer(), make_trainer()
    assert 1 < measured.measure_speed(split, seconds=0.2) < 1e6
    assert measured.progress == plain.progress
    for trainer in (plain, measured):
        trainer.train_one_epoch(split)
    for key, value in plain.state_dict()["learner"].items():
        assert torch.equal(value, measured.state_dict()["learner"][key]), key


def test_speed_is_measured_over_as_many_short_epochs_as_it_takes(narrow):
    assert make_trainer().measure_speed(small_split(8), seconds=0.2) > 1


def test_only_full_batches_are_compiled_for(narrow, monkeypatch):
    sizes = []

    def compile_(network, **options):
        assert options == {"mode": "default", "dynamic": False}
        return lambda pictures: sizes.append(len(pictures)) or network(pictures)

    monkeypatch.setattr(torch, "compile", compile_)
    make_trainer(compile_mode="default").train_one_epoch(small_split(20))
    assert sizes == [8, 8]


def test_the_average_follows_the_weights_slowly(narrow):
    trainer = make_trainer()
    start = trainer.network.classifier[1].weight.clone()
    trainer.train_one_epoch(small_split())
    moved = (trainer.network.classifier[1].weight - start).norm()
    lag = (trainer.network.classifier[1].weight - trainer.average.classifier[1].weight).norm()
    assert 0 < lag < moved


def test_processes_evaluate_with_the_same_statistics(narrow, monkeypatch):
    def sum_with_a_process_of_zeros(tensor):
        summed.append(tensor)

    summed: list[torch.Tensor] = []
    monkeypatch.setattr("torch.distributed.all_reduce", sum_with_a_process_of_zeros)
    trainer = make_trainer(workers=Workers())
    trainer.workers = Workers(rank=0, world=2)
    monkeypatch.setattr(Workers, "gather", lambda self, share: [share, share])
    norm = next(layer for layer in trainer.average.modules() if isinstance(layer, nn.BatchNorm2d))
    before = norm.running_var.clone()
    trainer.evaluate(small_split())
    assert torch.equal(norm.running_var, before / 2) and len(summed) == 2 * 13


def test_progress_tells_the_loss_of_the_pictures_that_it_counted(narrow):
    means = []
    trainer = make_trainer(Recipe(**{**RECIPE.__dict__, "batch_size": 2, "lr": 1e-6}))
    trainer.check_every = 20  # as on a GPU

    def note(progress, _):
        if progress.counted:
            means.append(progress.loss_sum / progress.counted)
        return False

    trainer.train_one_epoch(small_split(60), note)
    assert trainer.progress.counted == trainer.progress.seen == 60
    assert len(means) == 11 and max(means) - min(means) < 0.2 * means[-1]  # 30 batches, looked at after 20


def test_a_loss_that_is_no_number_stops_the_training(narrow):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.network.classifier[1].weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="epoch 1"):
        trainer.train_one_epoch(small_split())
