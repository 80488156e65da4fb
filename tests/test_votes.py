"""The crowd's votes as a second target."""

import pytest
import torch

from models.errors import DatasetError
from models.training.votes import VOTE_COLUMNS, load_votes
from tests.training_samples import make_trainer, small_split


def test_votes_train_the_trunk_beside_the_labels(narrow):
    split = small_split()
    split.votes = torch.full((24, 10), 0.1)
    trainer = make_trainer(with_votes=True)
    before = trainer.learner.vote_head.bias.clone()
    trainer.train_one_epoch(split)
    assert not torch.equal(before, trainer.learner.vote_head.bias)
    assert not any("vote" in key for key in trainer.average.state_dict())


def test_votes_are_found_by_the_row_in_the_file_name(tmp_path):
    header = ",".join(("Usage", "Image name", *VOTE_COLUMNS))
    lines = [f"Training,x,{row},0,0,0,0,0,0,0,0,10" for row in range(5)]
    (tmp_path / "votes.csv").write_text("\n".join([header, *lines]))
    votes = load_votes(tmp_path / "votes.csv", ["6/00004.jpg", "0/00000.jpg"])
    assert votes[:, 0].tolist() == pytest.approx([4 / 14, 0.0])
    with pytest.raises(DatasetError, match="ten columns"):
        load_votes(tmp_path / "votes.csv", ["0/00009.jpg"])
    with pytest.raises(DatasetError, match="there is no file"):
        load_votes(tmp_path / "absent.csv", [])
