"""torchvision's networks in VGG16's place: trained, stored, asked, explained and exported as VGG16 is."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import train
from models.architectures import ArchitectureError, TorchvisionNetwork, architectures, check_input_size, make_network
from models.checkpoint import CheckpointError, build_network, load_checkpoint, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.explanation import heat_maps
from models.export import export_onnx
from models.expressions import CLASS_NAMES
from models.inference import Int8Error, choose_precision, prepare_for_inference
from models.training.start import StartWeightsError, start_network
from models.training.teachers import ask_teachers
from models.vgg16 import VGG16
from models.views import make_input_spec, predict_logits
from tests.conftest import ROOT
from tests.training_samples import small_split

SPEC = make_input_spec(32)
SMALL = "shufflenet_v2_x0_5"
CPU = torch.device("cpu")
# A network of each family whose end is built in another way.
FAMILIES = (
    "resnet18",
    "mobilenet_v2",
    "densenet121",
    "efficientnet_b0",
    "convnext_tiny",
    "swin_t",
    SMALL,
    "mnasnet0_5",
)
START = {"head": "gap", "num_classes": 7, "pictures": torch.zeros(8, 34, 34, dtype=torch.uint8), "input_spec": SPEC}


@pytest.fixture(scope="module")
def trained(data_folder, tmp_path_factory):
    """The run folder of a small network, trained with all that trains the project's own, stopped once and resumed."""
    votes = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    columns = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    votes.write_text(columns + "3,1,0,0,6,0,0,0,0,0\n" * 200)
    output = tmp_path_factory.mktemp("runs")
    flags = ["--arch", SMALL, "--init", "scratch", "--input-size", "32", "--batch-size", "16", "--device", "cpu"]
    more = ["--votes", str(votes), "--mixup", "0.2", "--corruption", "0.5", "--epochs", "2", "--precision", "fp32"]
    command = ["--data", str(data_folder), "--output", str(output), *flags, *more]
    assert train.main([*command, "--max-minutes", "0.0001"]) == 1
    assert train.main(["--output", str(output), "--resume"]) == 0
    (run,) = output.iterdir()
    return run


@pytest.mark.parametrize("arch", FAMILIES)
def test_each_family_answers_for_the_classes_asked_and_tells_its_features_and_last_maps(arch):
    network = make_network(arch, num_classes=5, dropout=0.3).eval()
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        logits, features = network.observe(pictures)
        torch.testing.assert_close(network(pictures), logits)
    assert logits.shape == (2, 5) and features.shape == (2, network.num_features)
    maps = []
    network.last_maps(pictures[:1]).register_forward_hook(lambda *given: maps.append(given[-1]))
    with torch.no_grad():
        network(pictures)
    assert maps[0].shape[0] == 2 and maps[0].shape[2] == maps[0].shape[3] >= 1  # [N, C, H, W], channels second
    assert {layer.p for layer in network.modules() if type(layer) is nn.Dropout} <= {0.0, 0.3}
    assert any(layer.p == 0.3 for layer in network.modules() if type(layer) is nn.Dropout)


def test_a_name_that_is_none_gets_the_nearest_and_all_that_there_are():
    with pytest.raises(ArchitectureError, match="did you mean resnet18?.*vgg16, alexnet.*wide_resnet50_2"):
        make_network("resnet8")


def test_a_size_that_a_network_cannot_take_is_refused_before_training(data_folder, tmp_path, capsys):
    check_input_size("vgg16", 32)
    check_input_size("resnet18", 32)
    flags = ["--data", str(data_folder), "--output", str(tmp_path / "runs"), "--init", "scratch", "--input-size", "32"]
    assert train.main([*flags, "--arch", "alexnet"]) == 2
    assert "alexnet cannot take pictures of 32 pixels: raise --input-size" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_only_vgg16_has_is_refused_for_others(capsys):
    for flags in (["--freeze-blocks", "1"], ["--head", "fc"]):
        with pytest.raises(SystemExit) as refused:
            train.parse_arguments(["--arch", "resnet18", *flags])
        assert refused.value.code == 2 and "are vgg16's" in capsys.readouterr().err


@pytest.mark.parametrize("arch", ["mnasnet0_5", "mobilenet_v3_small"])
def test_what_was_learned_in_few_steps_is_known_in_evaluation_too(arch):
    # torchvision 0.29.1, models/mnasnet.py and mobilenetv3.py: their BatchNorm's momentum is 0.0003 and 0.01, with
    # which these networks answer by chance in evaluation mode when they have learned all in training mode.
    torch.manual_seed(0)
    network, targets = make_network(arch, num_classes=2, dropout=0.0), torch.arange(32) % 2
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)

    def bright_half() -> torch.Tensor:
        pictures = torch.randn(32, 3, 32, 32) / 2
        pictures[targets == 1, :, :16] += 1
        pictures[targets == 0, :, 16:] += 1
        return pictures

    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(bright_half()), targets).backward()
        optimizer.step()
    with torch.no_grad():
        right = [(network.train(mode)(bright_half()).argmax(1) == targets).float().mean() for mode in (True, False)]
    assert min(right) > 0.8


def test_a_checkpoint_says_which_network_it_holds_and_gives_the_same_answers(trained):
    checkpoint = load_checkpoint(trained / "best.pt")
    assert (checkpoint["arch"], checkpoint["head"]) == (SMALL, "linear")
    network = build_network(checkpoint)
    assert isinstance(network, TorchvisionNetwork)
    pictures = small_split().pictures[:, :34, :34]
    answers = predict_logits(prepare_for_inference(network, CPU, "fp32", SPEC), pictures, SPEC)
    coarse = predict_logits(prepare_for_inference(network, CPU, "bf16", SPEC), pictures, SPEC)
    torch.testing.assert_close(coarse, answers, atol=0.1 * answers.std().item() + 0.02, rtol=0.05)


def test_int8_is_for_vgg16_and_never_chosen_for_others(trained):
    network = build_network(load_checkpoint(trained / "best.pt"))
    assert choose_precision("auto", CPU, network) != "int8"
    with pytest.raises(Int8Error, match="--precision auto"):
        prepare_for_inference(network, CPU, "int8", SPEC)


def test_evaluation_classification_and_explanation_take_its_checkpoint(trained, data_folder, capsys):
    flags = ["--evaluate", "--checkpoint", str(trained / "best.pt"), "--data", str(data_folder), "--precision", "fp32"]
    capsys.readouterr()
    assert train.main(flags) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["accuracy"] == json.loads((trained / "report.json").read_text())["accuracy"]
    classifier = ExpressionClassifier.load(trained / "best.pt", device="cpu")
    faces = classifier.analyze(np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8), whole_image=True)
    (explanation,) = classifier.explain(faces)
    assert explanation.heat.shape == (34, 34) and np.isfinite(explanation.heat).all()


@pytest.mark.parametrize("arch", ["densenet121", "swin_t"])
def test_networks_that_work_in_place_on_their_maps_or_keep_channels_last_are_explained(arch):
    torch.manual_seed(0)
    network = make_network(arch, num_classes=2).eval()
    grey = torch.randint(0, 256, (3, 69, 69), dtype=torch.uint8)
    heat = heat_maps(network, grey, torch.tensor([0, 1, 0]), make_input_spec(64), tta="flip")
    assert heat.shape == (3, 69, 69) and heat.min() == 0 and (heat.max((1, 2)) > 0).any()
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_teacher_may_be_another_network(trained):
    answers = ask_teachers([trained / "best.pt"], small_split(), list(CLASS_NAMES), CPU)
    torch.testing.assert_close(answers.sum(1), torch.ones(24))


def test_an_onnx_file_of_it_answers_as_it_does(trained, tmp_path):
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    assert export_onnx(load_checkpoint(trained / "best.pt"), tmp_path / "a.onnx", None) < 1e-3


def test_torchvisions_own_weights_and_a_checkpoint_are_starts(tmp_path):
    torch.manual_seed(0)
    published = torchvision.models.get_model(SMALL)
    torch.save(published.state_dict(), tmp_path / "published.pth")
    begun = start_network(str(tmp_path / "published.pth"), arch=SMALL, **START)
    assert torch.equal(begun.trunk.conv1[0].weight, published.conv1[0].weight)
    assert begun.classifier[1].weight.shape == (7, 1024)
    checkpoint = make_checkpoint(begun, list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1, half=False)
    save_atomically(tmp_path / "a.pt", checkpoint)
    again = start_network(str(tmp_path / "a.pt"), arch=SMALL, **START)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in begun.state_dict().items())


@pytest.mark.parametrize("arch", FAMILIES)
def test_each_family_is_stored_and_read_again(arch, tmp_path):
    network = make_network(arch).eval()
    checkpoint = make_checkpoint(network, list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1, half=False)
    save_atomically(tmp_path / "a.pt", checkpoint)
    again = build_network(load_checkpoint(tmp_path / "a.pt"))
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(pictures), network(pictures))


def test_densenets_file_with_names_of_old_is_a_start(tmp_path):
    published = torchvision.models.densenet121()
    old = {re.sub(r"(denselayer\d+)\.(norm|conv)([12])\.", r"\1.\2.\3.", key): value
           for key, value in published.state_dict().items()}  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    begun = start_network(str(tmp_path / "old.pth"), arch="densenet121", **START)
    ours, theirs = (each.denseblock1.denselayer1.conv1.weight for each in (begun.trunk.features, published.features))
    assert torch.equal(ours, theirs)


def test_weights_of_another_network_are_refused_in_a_sentence(tmp_path):
    torch.save(torchvision.models.get_model(SMALL).state_dict(), tmp_path / "small.pth")
    with pytest.raises(StartWeightsError, match="does not fit resnet18: .* conv1.weight for one"):
        start_network(str(tmp_path / "small.pth"), arch="resnet18", **START)
    own = make_checkpoint(VGG16(), list(CLASS_NAMES), SPEC, metrics={}, config={}, epoch=1)
    save_atomically(tmp_path / "own.pt", own)
    with pytest.raises(StartWeightsError, match="holds vgg16_bn, and --arch is resnet18"):
        start_network(str(tmp_path / "own.pt"), arch="resnet18", **START)
    save_atomically(tmp_path / "odd.pt", {**own, "arch": SMALL})
    with pytest.raises(CheckpointError, match=f"unknown network: {SMALL} with head gap"):
        load_checkpoint(tmp_path / "odd.pt")


def test_a_demo_with_the_shipped_weights_imports_no_torchvision():
    asks = "from models import ExpressionClassifier as C; C.load(); import sys; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asks], cwd=ROOT, check=False).returncode == 0


def test_what_takes_one_size_only_or_has_no_linear_end_is_not_offered():
    assert not {"vit_b_16", "inception_v3", "squeezenet1_0", "vgg16", "vgg16_bn"} & set(architectures())
    assert {"resnet18", "mobilenet_v2", "densenet121", "efficientnet_b0", "convnext_tiny"} <= set(architectures())
