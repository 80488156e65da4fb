import os

import pytest
import torch

from models import threads
from models.threads import OtherWork, describe_threads, enough, enough_threads, wait_briefly
from tests.conftest import run_script


@pytest.fixture
def others(monkeypatch):
    """Sets how many of how many cores other programs keep busy."""

    def set_to(busy: float, usable: int) -> None:
        work = OtherWork()
        work.busy, work.usable = busy, usable
        monkeypatch.setattr(work, "look", lambda: None)
        monkeypatch.setattr(threads, "OTHERS", work)

    return set_to


@pytest.mark.parametrize("said, spins", [({}, str(threads.SPINS)), ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
                                         ({"GOMP_SPINCOUNT": "7"}, "7")])  # fmt: skip
def test_threads_wait_briefly_unless_the_environment_says_how(said, spins, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize("first", ["import models", "import train", "import demo_image_batch", "import preprocess",
                                   "import demo_camera", "import demo_image", "import tests.benchmarks.training",
                                   "import models.training.weights", "import models.faces.training"])  # fmt: skip
def test_how_to_wait_is_set_before_torch_is_loaded(first, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):  # a child would inherit what importing models has set here
        monkeypatch.delenv(name, raising=False)
    program = f"""
import builtins, os, sys
real = builtins.__import__
def watch(name, *rest, **more):
    if name.split(".")[0] == "torch" and "torch" not in sys.modules:
        assert "GOMP_SPINCOUNT" in os.environ, "torch came first"
    return real(name, *rest, **more)
builtins.__import__ = watch
{first}
print(os.environ["GOMP_SPINCOUNT"])
"""
    ended = run_script("-c", program)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("busy, usable, most, expected", [
    (0.0, 2, 2, 2), (0.3, 2, 2, 2), (0.8, 2, 2, 1), (2.0, 2, 2, 1), (3.1, 16, 16, 13), (0.0, 16, 4, 4),
    (15.0, 16, 8, 1), (0.0, 2, 64, 2),
])  # fmt: skip
def test_there_is_a_thread_a_free_core_and_one_at_least(others, busy, usable, most, expected):
    others(busy, usable)
    assert enough(most) == expected


def test_torch_has_its_threads_back_afterwards(others):
    most = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        others(2.0, 2)
        with pytest.raises(KeyError), enough_threads():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(most)


def test_it_is_said_how_many_threads_there_are_and_why(others, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    others(0.1, 2)
    assert describe_threads() == "2 threads"
    others(1.2, 2)
    assert describe_threads() == "1 thread instead of 2, since other processes keep 1.2 of 2 cores busy"
    others(0.0, 1)
    assert describe_threads() == "1 thread, as many as there are cores for this process"


def test_other_work_is_what_the_cores_did_less_what_this_process_did(monkeypatch):
    counted = iter([(10.0, 100.0, 5.0), (12.0, 103.0, 6.0), (14.0, 104.0, 7.5)])
    monkeypatch.setattr(OtherWork, "_counters", staticmethod(lambda: next(counted)))
    moment = iter([12.0, 12.1, 14.0])
    monkeypatch.setattr(threads.time, "monotonic", lambda: next(moment))
    work = OtherWork()
    work.look()
    assert work.busy == pytest.approx(1.0)
    work.look()  # too soon for another count
    assert work.busy == pytest.approx(1.0)
    work.look()  # this process did more than the cores: a matter of when each was counted
    assert work.busy == 0.0


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux")
def test_what_linux_counts_grows_with_the_time(monkeypatch):
    moment, busy, own = OtherWork._counters()
    until = threads.time.process_time() + 0.1
    while threads.time.process_time() < until:
        pass
    later, busier, owned = OtherWork._counters()
    assert later - moment >= 0.1 and owned - own >= 0.1 and busier - busy >= 0.05


def test_a_containers_quota_and_a_system_without_one_are_understood(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "Path", lambda _: tmp_path / "cpu.max")
    assert threads.usable_cores() == 64
    for quota, cores in (("150000 100000", 2), ("max 100000", 64), ("20000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert threads.usable_cores() == cores
