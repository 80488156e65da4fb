import argparse

import pytest
import torch

from models import device, threads
from models.command_line import describe_detector, tell_choices
from models.device import explain_device
from models.inference import choice
from models.inference.int8 import Int8VGG16
from models.vgg16 import VGG16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("precision, vnni, amx, bfloat16, said", [
    ("int8", True, False, 2.0, "AVX512-VNNI: convolutions 4 times as fast as in float32 here"),
    ("int8", False, False, 0.0, "AVX2: convolutions 4 times as fast as in float32 here"),
    ("bf16", True, False, 1.94, "AVX512-BF16: matrices 1.9 times as fast as in float32 here"),
    ("bf16", True, True, 8.04, "AMX: matrices 8 times as fast as in float32 here"),
    ("fp32", True, False, 0.4, "matrices 2 times as fast as in bfloat16 here"),
    ("fp32", False, False, 0.0, "bfloat16 needs AVX512-BF16 or AMX"),
])  # fmt: skip
def test_a_precision_is_explained_by_instructions_and_a_race(monkeypatch, precision, vnni, amx, bfloat16, said):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512" if vnni else "AVX2")
    monkeypatch.setattr(choice, "int8_speed", lambda: 3.51)
    monkeypatch.setattr(choice, "bfloat16_speed", lambda: bfloat16)
    assert choice.explain_precision(precision, CPU) == said


@pytest.mark.parametrize("runs, arch, head, said", [
    (False, "vgg16_bn", "gap", "int8 needs AVX2"),
    (True, "vgg16", "gap", "int8 is for VGG16 with BatchNorm"),
    (True, "resnet18", "linear", "int8 is for VGG16 with BatchNorm"),
    (True, "vgg16_bn", "fc", "int8 is slower with so large a head"),
])  # fmt: skip
def test_it_is_said_why_a_network_does_not_answer_in_int8(monkeypatch, runs, arch, head, said):
    monkeypatch.setattr(Int8VGG16, "runs_here", lambda: runs)
    monkeypatch.setattr(device, "bfloat16_speed", lambda: 2.0)
    monkeypatch.setattr(choice, "bfloat16_speed", lambda: 2.0)
    assert choice.explain_precision("bf16", CPU, arch, head).endswith(f" here; {said}")


def test_a_gpu_is_named_and_says_whether_it_multiplies_in_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce 1")
    assert explain_device(GPU) == "GeForce 1"
    assert choice.explain_precision("bf16", GPU) == "it multiplies in bfloat16"
    assert choice.explain_precision("fp32", GPU) == "it has no bfloat16"


@pytest.mark.parametrize(
    "version, said", [(None, "this torch is built without CUDA"), ("13.0", "no CUDA GPU is found")]
)
def test_without_a_gpu_it_is_said_whether_torch_could_use_one(monkeypatch, version, said):
    monkeypatch.setattr(torch.version, "cuda", version)
    assert explain_device(CPU) == said


@pytest.mark.skipif(not Int8VGG16.runs_here(), reason="needs an x86 processor with AVX2")
def test_the_race_of_int8_has_both_compute_and_leaves_the_threads(monkeypatch):
    before, raced = torch.get_num_threads(), []
    monkeypatch.setattr(choice, "processor_seconds", lambda work: raced.append(work().shape) or len(raced))
    choice.int8_speed.cache_clear()
    try:
        assert choice.int8_speed() == 1 / 2  # float32's time is asked for first
    finally:
        choice.int8_speed.cache_clear()
    assert raced[0] == raced[1] and torch.get_num_threads() == before


def test_what_was_left_open_is_told_with_its_reason_and_what_was_asked_for_without(monkeypatch, capsys):
    monkeypatch.setattr(choice, "int8_speed", lambda: 4.0)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(threads, "enough", lambda most: most)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    left_open = argparse.Namespace(device="auto", precision="auto", detector="auto", detector_model=None)
    network = VGG16(width=1 / 8)
    tell_choices(left_open, CPU, "int8", network, describe_detector(left_open))
    asked = argparse.Namespace(device="cpu", precision="int8", detector="haar", detector_model=None)
    tell_choices(asked, CPU, "int8", network, describe_detector(asked))
    tell_choices(asked, CPU, "int8", network, threads=False)
    assert capsys.readouterr().err.splitlines() == [
        "computing on cpu in int8 (this torch is built without CUDA; AVX512-VNNI: convolutions 4 times as fast as in "
        "float32 here), 2 threads; faces by rpn (found most in all, see R/)",
        "computing on cpu in int8, 2 threads; faces by haar",
        "computing on cpu in int8",
    ]


@pytest.mark.parametrize("detector", ["auto", "rpn"])
def test_a_finder_with_a_network_of_ones_own_has_no_measured_reason(detector):
    arguments = argparse.Namespace(detector=detector, detector_model="own.onnx")
    assert describe_detector(arguments) == "faces by rpn with own.onnx"
