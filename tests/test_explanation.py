"""Networks that are built by hand here, so that it is known where they look."""

import numpy as np
import pytest
import torch
from torch import nn

from models import vgg16
from models.checkpoint import make_checkpoint
from models.classifier import ExpressionClassifier, Face
from models.errors import UserError
from models.explanation import heat_maps
from models.pictures import read_picture
from models.views import make_input_spec
from tests.conftest import ROOT

SIDE, SPEC = 64, make_input_spec(64)
RESIZE = SPEC["resize"]
MARGIN = (RESIZE - SIDE) // 2
BRIGHT, DARK = 0, 1


@pytest.fixture
def network(monkeypatch):
    """Its first channel sees brightness, its second darkness; class 0 is the first's sum, class 1 the second's."""
    monkeypatch.setattr(vgg16, "BLOCKS", tuple(tuple(2 for _ in block) for block in vgg16.BLOCKS))
    made = vgg16.VGG16(num_classes=2, batch_norm=False).eval()
    with torch.no_grad():
        for layer in made.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.dirac_(layer.weight)  # hands each channel on as it is
        first = made.features[0]
        first.weight.zero_()
        first.weight[BRIGHT, 0, 1, 1], first.weight[DARK, 0, 1, 1] = 1, -1
        made.classifier[-1].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    return made


def with_bright(rows: slice, columns: slice) -> torch.Tensor:
    """A dark face, bright in one place: uint8 `[1, R, R]`."""
    grey = torch.zeros(1, RESIZE, RESIZE, dtype=torch.uint8)
    grey[:, rows, columns] = 255
    return grey


def explain(network, grey, *classes: int, tta: str = "none") -> np.ndarray:
    return heat_maps(network, grey, torch.tensor(classes), SPEC, tta)


LOW, HIGH = slice(0, MARGIN + 16), slice(MARGIN + 48, RESIZE)  # of the four places that a map has across the view


@pytest.mark.parametrize("rows, columns", [(LOW, LOW), (LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)])
@pytest.mark.parametrize("tta", ["none", "flip", "ten"])
def test_the_corner_that_the_answer_depends_on_is_lit_and_no_other(network, rows, columns, tta):
    (heat,) = explain(network, with_bright(rows, columns), BRIGHT, tta=tta)
    assert heat.shape == (RESIZE, RESIZE) and heat.dtype == np.float32
    assert heat.max() == 1 and heat.min() == 0
    in_corner = heat[rows, columns].sum() / heat.sum()
    assert in_corner > 0.5 and heat[30:38, 30:38].max() < 0.05


def test_another_class_lights_other_places(network):
    bright, dark = explain(network, with_bright(LOW, LOW).repeat(2, 1, 1), BRIGHT, DARK)
    assert bright[MARGIN + 4, MARGIN + 4] > 0.9 > 0.1 > dark[MARGIN + 4, MARGIN + 4]
    assert bright[50, 50] < 0.1 < 0.9 < dark[50, 50]


def test_where_nothing_speaks_for_a_class_its_map_is_empty(network):
    bright, dark = explain(network, with_bright(slice(None), slice(None)).repeat(2, 1, 1), BRIGHT, DARK)
    assert bright.max() == 1 and (dark == 0).all()


def test_the_head_of_linear_layers_is_explained_too(network):
    network.head, network.pool = "fc", nn.AdaptiveAvgPool2d(7)
    layers = nn.Linear(2 * 49, 4), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4, 2)
    network.classifier = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for layer in (network.classifier[0], network.classifier[-1]):
            layer.weight.zero_()
        network.classifier[0].weight[0, :49], network.classifier[0].weight[1, 49:] = 1, 1
        network.classifier[-1].weight[BRIGHT, 0], network.classifier[-1].weight[DARK, 1] = 1, 1
    bright, dark = explain(network, with_bright(HIGH, LOW).repeat(2, 1, 1), BRIGHT, DARK)
    assert bright[-8, 8] > 0.9 and bright[8, -8] == 0
    assert dark[-8, 8] == 0 and dark[8, -8] > 0.9


def test_the_map_lies_where_the_view_was_cut_and_the_margin_stays_unlit(network):
    (heat,) = explain(network, with_bright(slice(None), slice(None)), BRIGHT)
    seen = slice(MARGIN, MARGIN + SIDE)
    assert (heat[seen, seen] > 0.99).all() and heat.sum() == pytest.approx(SIDE * SIDE, rel=0.01)
    (of_ten,) = explain(network, with_bright(slice(None), slice(None)), BRIGHT, tta="ten")
    assert (of_ten > 0.99).all()  # ten crops leave no margin


def test_a_mirrored_face_has_the_mirrored_map(network):
    torch.manual_seed(0)
    grey = torch.randint(0, 256, (1, RESIZE + 1, RESIZE + 1), dtype=torch.uint8)  # of an even margin
    spec = {**SPEC, "resize": RESIZE + 1}
    one, other = (heat_maps(network, face, torch.tensor([BRIGHT]), spec, "flip")[0] for face in (grey, grey.flip(-1)))
    assert one.max() == 1 and np.allclose(one, other[:, ::-1], atol=1e-5)


def test_faces_are_explained_in_batches_as_alone_and_in_bfloat16_as_in_float32(network):
    grey = torch.cat([with_bright(LOW, HIGH), with_bright(HIGH, HIGH), with_bright(LOW, LOW)])
    together = explain(network, grey, BRIGHT, BRIGHT, DARK)
    one_by_one = heat_maps(network, grey, torch.tensor([BRIGHT, BRIGHT, DARK]), SPEC, "none", batch_size=1)
    np.testing.assert_allclose(together, one_by_one, atol=1e-6)
    np.testing.assert_allclose(explain(network.bfloat16(), grey, BRIGHT, BRIGHT, DARK), together, atol=0.02)


def test_the_network_stays_as_it_is_and_collects_no_gradients(network):
    before = {key: value.clone() for key, value in network.bfloat16().state_dict().items()}
    explain(network, with_bright(LOW, LOW), BRIGHT)
    after = network.state_dict()
    assert all(value.dtype == torch.bfloat16 and torch.equal(value, before[key]) for key, value in after.items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.fixture
def classifier(network) -> ExpressionClassifier:
    checkpoint = make_checkpoint(network, ["bright", "dark"], SPEC, metrics={}, config={}, epoch=0)
    return ExpressionClassifier(network, checkpoint, torch.device("cpu"), "fp32", "flip")


def test_a_program_asks_for_each_faces_own_label_or_for_a_class(classifier):
    picture = np.full((80, 80, 3), 255, np.uint8)
    faces = classifier.analyze(picture, whole_image=True)
    (own,), (asked,) = classifier.explain(faces), classifier.explain(faces, "dark")
    assert faces[0].label == own.class_name == "bright" and asked.class_name == "dark"
    assert own.heat.max() == 1 and asked.heat.max() == 0 and own.face is faces[0].crop
    assert classifier.explain([]) == []


def test_an_unknown_class_is_answered_with_those_that_there_are(classifier):
    with pytest.raises(UserError, match="no class Dark: the classes are bright, dark"):
        classifier.explain([], "Dark")
    with pytest.raises(ValueError, match="crops"):
        classifier.explain([Face((0, 0, 9, 9), 1.0, "dark", np.array([0, 1], np.float32))])


def test_the_fast_network_explains_a_face_as_its_float32_form_does():
    crop = read_picture(ROOT / "input" / "4.jpg")[60:190, 165:280]
    exact, quickest = (ExpressionClassifier.load("fast", "cpu", precision) for precision in ("fp32", "auto"))
    (face,) = exact.analyze(crop, whole_image=True)
    (expected,), (found,) = exact.explain([face]), quickest.explain([face])
    assert found.heat.max() == 1 and np.abs(found.heat - expected.heat).mean() < 0.1
