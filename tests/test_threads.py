import os
import threading

import pytest
import torch

from models import threads
from models.threads import OtherWork, describe_threads, enough, enough_threads, wait_briefly
from tests.conftest import run_script


@pytest.fixture
def others(monkeypatch):
    """Sets how many of how many cores other processes keep busy, and how many this one may."""

    def set_to(busy: float, allowed: int, usable: int | None = None) -> None:
        work = OtherWork()
        work.busy, work.allowed, work.usable = busy, allowed, usable or allowed
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


@pytest.mark.parametrize("busy, allowed, quota, most, expected", [
    (0.0, 2, 2, 2, 2), (0.3, 2, 2, 2, 2), (0.8, 2, 2, 2, 1), (2.0, 2, 2, 2, 1), (3.1, 16, 16, 16, 13),
    (0.0, 16, 16, 4, 4), (15.0, 16, 16, 8, 1), (0.0, 2, 2, 64, 2), (20.0, 64, 4, 64, 4), (62.0, 64, 4, 64, 2),
])  # fmt: skip
def test_there_is_a_thread_a_free_core_and_one_at_least(others, busy, allowed, quota, most, expected):
    others(busy, allowed, quota)
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


def test_a_python_thread_that_begins_with_fewer_threads_has_all_afterwards(others):
    most = torch.get_num_threads()
    torch.set_num_threads(4)
    had = []

    def begin_late():
        with enough_threads():
            had.append(torch.get_num_threads())
        had.append(torch.get_num_threads())

    try:
        others(3.0, 4)
        with enough_threads():
            late = threading.Thread(target=begin_late)
            late.start()
            late.join()
        assert had == [1, 4] and torch.get_num_threads() == 4
        others(0.0, 4)
        with enough_threads():
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(most)


def test_it_is_said_how_many_threads_there_are_and_why(others, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    others(0.1, 2)
    assert describe_threads() == "2 threads"
    others(1.2, 2)
    assert describe_threads() == "1 thread instead of 2, since other processes keep 1.2 of 2 cores busy"
    others(20.0, 64, 1)
    assert describe_threads() == "1 thread, as many as there are cores for this process"


@pytest.fixture
def counted(monkeypatch):
    """Has the next looks count this, each a time, the seconds of busy cores, and those of this process."""

    def set_to(*counters: tuple[float, float, float]) -> OtherWork:
        left = list(counters)
        monkeypatch.setattr(OtherWork, "_counters", staticmethod(lambda: left.pop(0)))
        moments = iter([each[0] for each in counters[1:]])
        monkeypatch.setattr(threads.time, "monotonic", lambda: next(moments))
        return OtherWork()

    return set_to


def test_other_work_is_what_the_cores_did_less_what_this_process_did(counted):
    work = counted((10.0, 100.0, 5.0), (11.0, 102.0, 5.5), (12.0, 102.5, 6.5))
    work.look()
    assert work.busy == pytest.approx(1.5)
    work.look()  # this process did more than the cores: a matter of when each was counted
    assert work.busy == 0.0


def test_a_look_so_soon_after_another_counts_nothing(counted):
    work = counted((10.0, 100.0, 5.0), (10.0 + threads.LOOK_SECONDS / 2, 103.0, 5.0))
    work.look()
    assert work.busy == 0.0


def test_after_a_long_time_what_runs_now_counts_and_not_the_time_between(counted, monkeypatch):
    monkeypatch.setattr(OtherWork, "_running", staticmethod(lambda: 1))
    work = counted((10.0, 100.0, 5.0), (3610.0, 7300.0, 6.0))
    work.look()
    assert work.busy == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_counts_anew():
    program = """
import os, time
from models.threads import OTHERS
while time.process_time() < 0.5: pass
OTHERS.look()
if os.fork() == 0:
    time.sleep(0.3)
    OTHERS.look()
    os._exit(int(OTHERS.busy > os.cpu_count() + 0.5))
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run_script("-c", program).returncode == 0


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux")
def test_what_linux_counts_grows_with_the_time(monkeypatch):
    moment, busy, own = OtherWork._counters()
    until = threads.time.process_time() + 0.1
    while threads.time.process_time() < until:
        pass
    later, busier, owned = OtherWork._counters()
    assert later - moment >= 0.1 and owned - own >= 0.1 and busier - busy >= 0.05


@pytest.mark.skipif(not os.path.exists("/proc/loadavg"), reason="needs Linux")
def test_at_least_this_thread_runs_now():
    assert OtherWork._running() >= 1


def test_a_system_that_tells_nothing_leaves_all_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "Path", lambda _: tmp_path / "missing")
    monkeypatch.setattr(threads, "LOOK_SECONDS", 0)
    work = OtherWork()
    work.look()
    assert work.busy == 0 and OtherWork._running() == 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert OtherWork._counters()[1] == 0 and threads.usable_cores() == os.cpu_count()


def test_a_containers_quota_and_a_system_without_one_are_understood(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "Path", lambda _: tmp_path / "cpu.max")
    assert threads.usable_cores() == 64
    for quota, cores in (("150000 100000", 2), ("max 100000", 64), ("20000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert threads.usable_cores() == cores
