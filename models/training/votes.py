"""The crowd's votes as a second target: FER+ (Barsoum et al., 2016), ten people's opinions of each FER2013 picture.

    >>> split.votes = load_votes(Path("fer2013new.csv"), split.names)   # float32 [N, 10], rows summing to 1

A second linear layer on the trunk learns to predict how the ten voted, beside the seven classes that the first
learns; it teaches the trunk which faces are ambiguous. It is dropped with the end of training: the network
that is kept answers with FER2013's classes alone.
"""

import csv
from pathlib import Path

import torch
from torch import nn

from models.architectures import Network
from models.errors import DatasetError

VOTE_COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def load_votes(path: Path, names: list[str]) -> torch.Tensor:
    """The shares of votes of each picture.

    Args:
        path: A csv with the ten columns of votes, its rows in the order of FER2013's (FER+'s `fer2013new.csv`).
        names: File names whose stem is the row's number in FER2013's csv, as preprocess.py names them.

    Returns:
        float32 `[N, 10]`; a picture without any vote has zeros, and thus no say.

    Raises:
        DatasetError: The file is missing, lacks a column, or has fewer rows than a name says.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [[float(row[column]) for column in VOTE_COLUMNS] for row in csv.DictReader(file)]
        votes = torch.tensor([rows[int(Path(name).stem)] for name in names])
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}: FER+ publishes its votes as fer2013new.csv") from error
    except (KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path} does not hold FER+'s ten columns of votes for each picture of the data folder"
        ) from error
    return votes / votes.sum(1, keepdim=True).clamp(min=1)


class WithVotes(nn.Module):
    """A network in training with a second output, the votes: logits `[N, C]` and `[N, 10]`."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network
        self.vote_head = nn.Linear(network.num_features, len(VOTE_COLUMNS))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, features = self.network.observe(pictures)
        return logits, self.vote_head(features)
