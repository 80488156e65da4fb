"""Which device to compute on, what it multiplies in quickly, and how a CPU keeps its memory.

>>> device = choose_device("auto")
>>> float_precision(device)
'bf16'
"""

import ctypes
import functools
import re
import sys
import time
from collections.abc import Callable

import torch

from models.errors import UserError


class DeviceError(UserError):
    """The device or precision asked for is not to be had here; the message names the remedy."""


def choose_device(name: str = "auto") -> torch.device:
    """The device called `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DeviceError(f"{name} is no device that is known here: take auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "no CUDA GPU can be used here: take --device cpu, or install a CUDA build of torch and its driver"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"there is no {name}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0")
    return device


def explain_device(device: torch.device) -> str:
    """Why `auto` is this device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "this torch is built without CUDA" if torch.version.cuda is None else "no CUDA GPU is found"


def float_precision(device: torch.device) -> str:
    """What a network is trained in: `bf16` where a processor or GPU has it and is not clearly faster in `fp32`."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if cpu_gains_from_bfloat16() else "fp32"


def cpu_gains_from_bfloat16() -> bool:
    """Whether bfloat16 is worth taking: the processor has it, and is not clearly faster in float32."""
    return bfloat16_speed() > 0.8


@functools.cache
def bfloat16_speed() -> float:
    """How many times as fast as in float32 the processor multiplies matrices in bfloat16; 0 where it has no such thing.

    Without AVX512-BF16 and AMX bfloat16 is emulated and slow. With AVX512-BF16 alone it depends: Zen 4 gains from it,
    an Intel Xeon whose AMX the virtual machine hides loses. So the two race, some 40 ms once a process.
    """
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return 0.0
    return matrix_seconds(torch.float32) / matrix_seconds(torch.bfloat16)


def matrix_seconds(dtype: torch.dtype) -> float:
    """Processor time of one thread for the product of two 512×512 matrices."""
    matrix = torch.ones(512, 512, dtype=dtype)
    return processor_seconds(lambda: matrix @ matrix)


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of one thread for a piece of work, the least of five: what else runs does not change it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = []
        for _ in range(6):  # the first makes oneDNN's kernel
            start = time.thread_time()
            work()
            seconds.append(time.thread_time() - start)
        return min(seconds)
    finally:
        torch.set_num_threads(threads)


def make_ready_to_train(device: torch.device) -> None:
    """Has a CPU keep its memory, and a GPU's library time its ways of computing, since crops are of one size."""
    if device.type == "cpu":
        keep_freed_memory()
    else:
        torch.backends.cudnn.benchmark = True


def keep_freed_memory() -> None:
    """Has glibc keep large freed blocks instead of giving them back to the kernel after each operation.

    Training on a CPU frees and takes again hundreds of megabytes a step, and each time the kernel hands out
    zeroed pages one fault at a time: keeping them made a step of 64 pictures at 96 pixels 1.2 times as fast (18.8 and
    19.2 pictures/s without, 22.5 and 22.9 with; 2 cores, Zen 4, bfloat16).
    Does nothing where the C library is another.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)
        mallopt(top_pad, 256 << 20)
