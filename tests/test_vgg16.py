import pytest
import torch
from torchvision.models import vgg16, vgg16_bn

from models.inference import fold_batch_norm, prepare_for_inference
from models.inference.int8 import Int8VGG16
from models.inference.packing import PackedVGG16
from models.vgg16 import VGG16, WidthError
from models.views import make_input_spec

SPEC = make_input_spec(48)


@pytest.mark.parametrize("batch_norm, published", [(True, vgg16_bn), (False, vgg16)])
def test_trunk_has_the_keys_and_shapes_of_torchvision(batch_norm, published):
    with torch.device("meta"):
        ours, theirs = VGG16(head="fc", batch_norm=batch_norm, num_classes=1000), published()
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }


def test_trunk_computes_what_torchvision_computes():
    torch.manual_seed(0)
    theirs = vgg16_bn().features.eval()
    ours = VGG16().eval()
    ours.features.load_state_dict(theirs.state_dict())
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours.features(picture), theirs(picture))


@pytest.mark.parametrize("side", [32, 48, 75, 224])
def test_gap_head_takes_any_size_from_32(side):
    with torch.no_grad():
        assert VGG16(num_classes=7).eval()(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_gap_head_has_14_7_million_parameters_and_fc_134():
    with torch.device("meta"):
        counts = {head: sum(p.numel() for p in VGG16(head=head).parameters()) for head in ("gap", "fc")}
    assert counts["gap"] == pytest.approx(14.7e6, rel=0.01)
    assert counts["fc"] == pytest.approx(134e6, rel=0.01)


def test_dropout_is_off_at_inference():
    network = VGG16(dropout=0.9).eval()
    picture = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(network(picture), network(picture))


def test_folding_batch_norm_keeps_the_answers():
    torch.manual_seed(0)
    network = VGG16()
    with torch.no_grad():  # statistics and scales that are not 0 and 1
        network(torch.randn(8, 3, 48, 48))
        for key, value in network.state_dict().items():
            if key.startswith("features") and value.dim() == 1 and value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.3)
        network.classifier[1].weight.mul_(30)
        folded = fold_batch_norm(network.eval())
        picture = torch.randn(4, 3, 48, 48)
        expected, answer = network(picture).softmax(1), folded(picture).softmax(1)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    assert expected.std() > 0.01
    torch.testing.assert_close(answer, expected, atol=1e-4, rtol=0)


def test_bfloat16_network_answers_nearly_as_float32():
    torch.manual_seed(0)
    network, picture = VGG16().eval(), torch.randn(4, 3, 48, 48)
    with torch.no_grad():
        exact = prepare_for_inference(network, torch.device("cpu"), "fp32", SPEC)(picture)
        fast = prepare_for_inference(network, torch.device("cpu"), "bf16", SPEC)(picture.bfloat16()).float()
    torch.testing.assert_close(fast, exact, atol=0.02 * exact.abs().max().item(), rtol=0.05)


@pytest.mark.skipif(not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="needs AVX2 or AVX512")
@pytest.mark.parametrize("head, side", [("gap", 75), ("fc", 64)])
def test_packed_kernels_answer_as_the_plain_ones(head, side, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")  # where alone they are taken
    torch.manual_seed(0)
    network = VGG16(head=head, num_classes=3).eval()
    pictures = torch.randn(3, 3, side, side).contiguous(memory_format=torch.channels_last)
    packed = prepare_for_inference(network, torch.device("cpu"), "fp32", SPEC)
    assert isinstance(packed, PackedVGG16)
    with torch.no_grad():
        expected = network(pictures)
        torch.testing.assert_close(packed(pictures), expected, atol=1e-4 * expected.abs().max().item(), rtol=1e-3)


@pytest.mark.parametrize("processor", ["DEFAULT", "AVX2"])
def test_a_processor_that_gains_nothing_by_packed_kernels_computes_with_plain_ones(processor, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    assert isinstance(prepare_for_inference(VGG16(), torch.device("cpu"), "fp32", SPEC), VGG16)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_preparing_leaves_the_network_as_it_is(batch_norm):
    network = VGG16(batch_norm=batch_norm)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    prepare_for_inference(network, torch.device("cpu"), "bf16", SPEC)
    after = network.state_dict()
    assert all(value.dtype == after[key].dtype and torch.equal(value, after[key]) for key, value in before.items())


def test_blocks_end_with_their_pooling():
    network = VGG16()
    lengths = [len(network.block(number)) for number in range(1, 6)]
    assert lengths == [7, 7, 10, 10, 10]
    assert all(isinstance(network.block(number)[-1], torch.nn.MaxPool2d) for number in range(1, 6))


def test_unknown_head_is_refused():
    with pytest.raises(ValueError, match="gap, fc"):
        VGG16(head="transformer")


@pytest.mark.parametrize("width, channels", [(1 / 4, (16, 32, 64, 128, 128)), (5 / 16, (20, 40, 80, 160, 160))])
def test_a_share_of_the_width_has_that_share_of_the_channels(width, channels):
    network = VGG16(width=width).eval()
    assert tuple(network.block(number)[0].out_channels for number in range(1, 6)) == channels
    assert network.num_features == channels[-1] and network.width == width
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 48, 48)).shape == (2, 7)


@pytest.mark.parametrize("width, message", [
    (0.3, r"19/64 \(0.296875\) and 20/64 \(0.3125\)"), (0.001, r"the nearest that do are 1/64 \(0.015625\)$"),
    (0, "above 0, 1 at most"), (1.5, "above 0, 1 at most"), (-1, "above 0"), (float("nan"), "above 0"),
])  # fmt: skip
def test_a_width_without_whole_channels_is_refused_with_the_nearest(width, message):
    with pytest.raises(WidthError, match=message):
        VGG16(width=width)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("width", [1 / 4, 3 / 8])
def test_a_narrow_network_answers_in_every_precision(width, precision):
    if precision == "int8" and not Int8VGG16.runs_here():
        pytest.skip("needs an x86 processor with AVX2")
    torch.manual_seed(0)
    network = VGG16(width=width)
    with torch.no_grad():
        network(torch.randn(8, 3, 48, 48))  # statistics that are not 0 and 1
        network.classifier[1].weight.mul_(30)
        pictures = torch.randn(4, 3, 48, 48).clamp(-2, 2).contiguous(memory_format=torch.channels_last)
        expected = network.eval()(pictures)
        fast = prepare_for_inference(network, torch.device("cpu"), precision, SPEC)
        answer = fast(pictures.bfloat16() if precision == "bf16" else pictures).float()
    assert (answer - expected).abs().mean() < 0.2 * expected.std()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
def test_kernels_are_packed_only_where_channels_come_in_sixteens(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    for width, kind in ((1 / 4, PackedVGG16), (3 / 8, VGG16)):
        assert isinstance(prepare_for_inference(VGG16(width=width), torch.device("cpu"), "fp32", SPEC), kind)
