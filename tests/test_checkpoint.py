import os
import pickle

import pytest
import torch

from models import checkpoint as checkpoints
from models.checkpoint import CheckpointError, build_network, load_checkpoint, make_checkpoint, save_atomically
from models.expressions import CLASS_NAMES
from models.vgg16 import VGG16
from models.views import make_input_spec


def make(network: VGG16, **options):
    return make_checkpoint(network, CLASS_NAMES, make_input_spec(48), metrics={}, config={}, epoch=3, **options)


def test_a_network_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(0)
    network = VGG16(head="gap").eval()
    save_atomically(tmp_path / "a.pt", make(network, half=False))
    again = build_network(load_checkpoint(tmp_path / "a.pt"))
    picture = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(network(picture), again(picture))
    assert not again.training


def test_a_narrow_network_comes_back_narrow_and_one_of_an_older_version_whole(tmp_path):
    network = VGG16(width=1 / 8).eval()
    save_atomically(tmp_path / "a.pt", make(network, half=False))
    again = build_network(load_checkpoint(tmp_path / "a.pt"))
    assert again.width == 1 / 8 and torch.equal(again.features[3].weight, network.features[3].weight)
    older = make(VGG16())
    del older["width"]
    assert build_network(older).width == 1.0


@pytest.mark.parametrize("width", [0.3, -1, "wide", None])
def test_a_width_that_no_network_has_is_said(tmp_path, width):
    save_atomically(tmp_path / "a.pt", {**make(VGG16(width=1 / 8)), "width": width})
    with pytest.raises(CheckpointError, match="width"):
        build_network(load_checkpoint(tmp_path / "a.pt"))


def test_half_precision_fits_in_30_mib_and_keeps_large_batch_norm_statistics(tmp_path):
    network = VGG16()
    network.features[1].running_var.fill_(1e7)  # beyond float16, as in a trunk that began as ImageNet's
    save_atomically(tmp_path / "a.pt", make(network))
    assert (tmp_path / "a.pt").stat().st_size < 30 * 2**20
    assert build_network(load_checkpoint(tmp_path / "a.pt")).features[1].running_var.max() == 1e7


def test_a_checkpoint_describes_itself():
    content = make(VGG16(num_classes=3), temperature=1.5)
    assert content["format_version"] == 1 and content["arch"] == "vgg16_bn" and content["head"] == "gap"
    assert content["class_names"] == list(CLASS_NAMES) and content["temperature"] == 1.5 and content["epoch"] == 3
    assert content["input"].keys() == {"size", "resize", "channels", "mean", "std"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    save_atomically(path, {"old": 1})

    def full_disk(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_atomically(path, {"new": 1})
    assert torch.load(path, weights_only=True) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.pt"]


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, "a.pt")
    with pytest.raises(CheckpointError, match="weights alone"):
        load_checkpoint("a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(CheckpointError):
        load_checkpoint("b.pt")
    assert not (tmp_path / "harm").exists()


def test_what_is_no_checkpoint_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file"):
        load_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(CheckpointError, match="text.pt"):
        load_checkpoint(tmp_path / "text.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty.pt"):
        load_checkpoint(tmp_path / "empty.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="it lacks format_version"):
        load_checkpoint(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="no dict"):
        load_checkpoint(tmp_path / "list.pt")


def test_a_truncated_checkpoint_is_refused(tmp_path):
    save_atomically(tmp_path / "a.pt", make(VGG16()))
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:1_000_000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "a.pt")


def test_another_version_or_network_is_refused(tmp_path):
    torch.save({**make(VGG16()), "format_version": 99}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(tmp_path / "a.pt")
    torch.save({**make(VGG16()), "arch": "resnet18"}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="resnet18"):
        load_checkpoint(tmp_path / "b.pt")


def test_weights_that_do_not_fit_are_refused():
    content = make(VGG16())
    del content["state_dict"]["features.0.weight"]
    with pytest.raises(CheckpointError, match="do not fit"):
        build_network(content)
