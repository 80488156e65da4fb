import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.checkpoint import build_network, make_checkpoint, save_atomically
from models.classifier import ExpressionClassifier
from models.device import DeviceError, bfloat16_speed, matrix_seconds
from models.inference import choose_precision, fold_batch_norm, int8, prepare_for_inference
from models.inference.int8 import Int8Error, Int8VGG16, _Int8Convolution, _Uint8Pooling, folded
from models.pictures import read_picture
from models.vgg16 import VGG16
from models.views import make_input_spec, normalise, predict_logits, value_range
from tests.conftest import ROOT, run_script

CPU, SPEC = torch.device("cpu"), make_input_spec(48)
needs_older = pytest.mark.skipif(not int8._remembers(), reason="needs torch's older int8 operations, and VNNI")
needs_avx2 = pytest.mark.skipif(not Int8VGG16.runs_here(), reason="needs an x86 processor with AVX2")


def trained_like(head: str = "gap", batch_norm: bool = True, width: float = 1.0) -> VGG16:
    """A network whose BatchNorms hold the statistics of what they see, and scales and biases of their own."""
    torch.manual_seed(0)
    network = VGG16(num_classes=4, head=head, width=width)
    with torch.no_grad():
        for norm in (layer for layer in network.features if isinstance(layer, nn.BatchNorm2d)):
            norm.momentum = None  # the mean of all batches
            norm.weight.uniform_(100, 300)
            norm.bias.normal_(0, 50)
        for _ in range(3):
            network.features(normalise(faces(8), SPEC))
        for layer in network.classifier:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    network.eval()
    return network if batch_norm else fold_batch_norm(network)


def faces(count: int, side: int = 48) -> torch.Tensor:
    """Smooth grey pictures, uint8 `[N, side, side]`."""
    coarse = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(count))
    return (F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 255).squeeze(1).to(torch.uint8)


@needs_avx2
@pytest.mark.parametrize("head", ["gap", "fc"])
def test_int8_answers_nearly_as_float32_with_either_head(narrow, head):
    network = trained_like(head)
    pictures = normalise(faces(32), SPEC)
    with torch.no_grad():
        exact, fast = network(pictures), prepare_for_inference(network, CPU, "int8", SPEC)(pictures)
    assert fast.dtype == torch.float32 and exact.std() > 0.1
    share = 0.15 if torch.cpu._is_vnni_supported() else 0.2  # weights of 7 bits: 0.16; bfloat16: 0.03
    assert (fast - exact).abs().mean() < share * exact.std()
    clear = exact.topk(2).values.diff().abs().squeeze() > 0.5 * exact.std()
    assert clear.sum() > 8 and torch.equal(fast.argmax(1)[clear], exact.argmax(1)[clear])


@needs_avx2
def test_pictures_from_black_to_white_are_told_apart_to_a_grey_level():
    network = prepare_for_inference(VGG16().eval(), CPU, "int8", SPEC)
    grey = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    levels = network.features[0](normalise(grey, SPEC))
    levels = (levels.int_repr() if levels.is_quantized else levels).int()
    assert levels.min() == 0 and levels.max() == 255
    for channel in levels.flatten(2)[0]:
        steps = channel.diff()
        assert steps.min() >= 0 and steps.max() <= 1 + (channel.max() - channel.min() > 255)


@needs_avx2
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_products_are_added_whole(sign):
    convolution, norm = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64).eval()
    nn.init.constant_(convolution.weight, sign * 0.01), nn.init.constant_(convolution.bias, 0 if sign == 1 else 6)
    exact = norm(convolution(torch.ones(1, 64, 6, 6))).relu()
    quantised = _Int8Convolution(*folded(convolution, norm), scale=1 / 255, zero_point=0, output_scale=None)
    fast = quantised(torch.full((1, 64, 6, 6), 255, dtype=torch.uint8))
    assert exact.mean() > 1
    torch.testing.assert_close(fast.contiguous(), exact, rtol=0.01, atol=0.01)


@needs_older
@pytest.mark.parametrize("side, width", [(48, 1.0), (56, 1 / 4), (33, 1 / 4)])
def test_torchs_older_and_newer_operations_compute_the_same(monkeypatch, side, width):
    network, pictures = trained_like(width=width), normalise(faces(5, side), SPEC)
    older = Int8VGG16(network, value_range(SPEC))
    monkeypatch.setattr(int8, "_remembers", lambda: False)
    newer = Int8VGG16(network, value_range(SPEC))
    assert type(older.features[1]) is not type(newer.features[1])
    with torch.no_grad():
        expected = newer(pictures)
        for count in (5, 1, 3, 5):  # as in the first call, and others
            difference = (older(pictures[:count]) - expected[:count]).abs().mean() / expected.std()
            assert difference < 0.06  # levels that are rounded the other way; against float32 it is 0.15


@needs_older
def test_the_announced_end_of_older_operations_is_not_told_to_whoever_runs_a_demo():
    answer = run_script(
        "-c",
        "import warnings; warnings.simplefilter('always'); from models import ExpressionClassifier; import numpy; "
        "ExpressionClassifier.load(precision='int8').classify(numpy.zeros((1, 48, 48), 'uint8'))",
    )
    assert answer.returncode == 0 and "deprecated" not in answer.stderr


@pytest.mark.parametrize("height, width", [(2, 2), (7, 6), (6, 7), (9, 3), (5, 5)])
def test_pooling_drops_an_odd_row_and_column_as_max_pooling_does(height, width):
    maps = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    for layout in (torch.contiguous_format, torch.channels_last):
        pooled = _Uint8Pooling()(maps.contiguous(memory_format=layout))
        assert pooled.dtype == torch.uint8 and torch.equal(pooled.float(), nn.MaxPool2d(2)(maps.float()))


@needs_avx2
def test_a_face_has_the_same_answer_alone_and_among_others(narrow):
    network = prepare_for_inference(trained_like(), CPU, "int8", SPEC)
    grey = faces(9, SPEC["resize"])
    together = predict_logits(network, grey, SPEC, batch_size=64)
    alone = torch.cat([predict_logits(network, face, SPEC) for face in grey.split(1)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@needs_avx2
def test_shipped_weights_see_in_int8_what_they_see_in_float32():
    exact, fast = (ExpressionClassifier.load(device="cpu", precision=name) for name in ("fp32", "int8"))
    for picture in (read_picture(ROOT / "input" / name) for name in ("1.jpg", "4.jpg")):
        expected = exact.analyze(picture)
        found = fast.analyze(picture)
        assert [face.label for face in found] == [face.label for face in expected] != []
        for one, other in zip(found, expected, strict=True):
            assert np.abs(one.probabilities - other.probabilities).max() < 0.03
        for one, other in zip(fast.explain(found), exact.explain(expected), strict=True):
            assert other.heat.max() == 1 and np.abs(one.heat - other.heat).mean() < 0.02


@needs_avx2
def test_weights_as_they_are_stored_and_a_layer_that_died_are_taken(narrow):
    network = trained_like()
    with torch.no_grad():
        network.features[1].weight.zero_(), network.features[1].bias.fill_(-1)
    checkpoint = make_checkpoint(network, list("abcd"), SPEC, metrics={}, config={}, epoch=0)
    pictures = normalise(faces(4), SPEC)
    answers = [
        prepare_for_inference(build_network(checkpoint, as_stored), CPU, "int8", SPEC)(pictures)
        for as_stored in (False, True)
    ]
    assert torch.equal(*answers) and answers[0].isfinite().all()
    assert checkpoint["state_dict"]["features.0.weight"].dtype == torch.float16


@needs_avx2
def test_the_network_given_stays_as_it_is(narrow):
    network = trained_like()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    prepare_for_inference(network, CPU, "int8", SPEC)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_range_of_pictures_is_that_of_black_and_white():
    lowest, highest = value_range(SPEC)
    assert lowest == pytest.approx((0 - 0.485) / 0.229) and highest == pytest.approx((1 - 0.406) / 0.225)


def test_a_network_without_batch_norm_is_refused_with_a_remedy(narrow):
    with pytest.raises(Int8Error, match="BatchNorm.*--precision auto"):
        prepare_for_inference(trained_like(batch_norm=False), CPU, "int8", SPEC)


@needs_avx2
@pytest.mark.parametrize("changed, bfloat16, precision", [
    ({}, True, "int8"),
    ({}, False, "int8"),
    ({"batch_norm": False}, True, "bf16"),
    ({"batch_norm": False}, False, "fp32"),
    ({"head": "fc"}, True, "bf16"),
    ({"head": "fc"}, False, "int8"),
])  # fmt: skip
def test_auto_takes_int8_where_it_can_and_pays(narrow, tmp_path, monkeypatch, changed, bfloat16, precision):
    monkeypatch.setattr("models.device.cpu_gains_from_bfloat16", lambda: bfloat16)
    content = make_checkpoint(trained_like(**changed), list("abcd"), SPEC, metrics={}, config={}, epoch=0)
    save_atomically(tmp_path / "small.pt", content)
    classifier = ExpressionClassifier.load(tmp_path / "small.pt", device="cpu")
    assert classifier.precision == precision
    assert classifier.classify([np.zeros((48, 48), np.uint8)]).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("int8, bfloat16, training, inference", [
    (False, False, "fp32", "fp32"),
    (False, True, "bf16", "bf16"),
    (True, False, "fp32", "int8"),
    (True, True, "bf16", "int8"),
])  # fmt: skip
def test_auto_is_the_fastest_that_the_processor_multiplies_in(narrow, monkeypatch, int8, bfloat16, training, inference):
    monkeypatch.setattr("models.device.cpu_gains_from_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(Int8VGG16, "runs_here", lambda: int8)
    network = VGG16()
    assert choose_precision("auto", CPU) == training
    assert choose_precision("auto", CPU, network) == inference
    assert [choose_precision(name, CPU, network) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize("instructions, bfloat16_ms, precision", [
    (True, 1.0, "bf16"), (True, 1.9, "bf16"), (True, 2.1, "bf16"), (True, 3.5, "fp32"), (False, 1.0, "fp32"),
])  # fmt: skip
def test_training_takes_bfloat16_unless_float32_wins_the_race(monkeypatch, instructions, bfloat16_ms, precision):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("models.device.matrix_seconds", {torch.bfloat16: bfloat16_ms, torch.float32: 2.0}.get)
    bfloat16_speed.cache_clear()
    try:
        assert choose_precision("auto", CPU) == precision
    finally:
        bfloat16_speed.cache_clear()


def test_the_race_is_timed_on_one_thread_and_gives_the_others_back(monkeypatch):
    threads, during = torch.get_num_threads(), []
    monkeypatch.setattr("models.device.time.thread_time", lambda: during.append(torch.get_num_threads()) or 0.0)
    matrix_seconds(torch.float32)
    assert set(during) == {1}
    assert torch.get_num_threads() == threads


def test_int8_is_refused_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(Int8VGG16, "runs_here", lambda: True)
    assert choose_precision("int8", CPU) == "int8"
    with pytest.raises(DeviceError, match="--precision auto"):
        choose_precision("int8", torch.device("cuda"))
    monkeypatch.setattr(Int8VGG16, "runs_here", lambda: False)
    with pytest.raises(DeviceError, match="--precision auto"):
        choose_precision("int8", CPU)
