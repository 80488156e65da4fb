"""How fast, and in how much memory, pictures are labelled: the pipeline of demo_image_batch.py beside a plain loop.

    python -m tests.benchmarks.batch                                      # speed: the shipped pictures, many times over
    python -m tests.benchmarks.batch --folder photos --detector haar      # speed on pictures of one's own
    python -m tests.benchmarks.batch --memory --pictures 20000            # memory, as a folder grows
    python -m tests.benchmarks.batch --record R                           # as a csv file as well

Loop and pipeline label the same pictures with the same classifier and detector, one after the other. The processor
time of each stage, over all processes, says how long it would take if no core ever waited for anything. Last comes a
line of JSON.
"""

import argparse
import itertools
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from demo_image_batch import INPUT
from models.batch.journal import Journal
from models.batch.pipeline import label_pictures
from models.batch.pool import WorkerPool
from models.batch.ranks import Ranks
from models.batch.sources import Picture, find_sources
from models.batch.worker import Job
from models.faces import make_detector
from models.pictures import find_pictures, read_picture, write_picture

STAGES = ("read", "detect", "classify", "write copies")


def main() -> None:
    # Here, so that the workers, which import this file, are as light as those of the script.
    import torch

    from models.classifier import ExpressionClassifier
    from tests.benchmarks.record import Table, add_record_argument

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="pictures to label; by default the shipped ones, copied")
    parser.add_argument("--pictures", type=int, default=100, help="how many")
    parser.add_argument("--memory", action="store_true", help="measure memory, on small pictures, instead of speed")
    parser.add_argument("--workers", type=int, default=Ranks().cores())
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tta", default="flip")
    add_record_argument(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or fill(Path(temporary) / "pictures", arguments.pictures, shrink=arguments.memory)
        pictures = find_sources([str(folder)]).pictures[: arguments.pictures]
        job = Job(partial(make_detector, arguments.detector), str(folder.absolute()), Path(temporary))
        classifier = ExpressionClassifier.load(device=arguments.device, tta=arguments.tta)
        how = [classifier.precision, f"tta-{arguments.tta}", f"detector-{arguments.detector}"]
        counts = {"worker": arguments.workers, "thread": torch.get_num_threads()}
        how += [f"{count}-{what}{'s' * (count != 1)}" for what, count in counts.items()]
        if arguments.memory:
            columns = ["pictures", "MB here", "MB the largest worker", "pictures/s"]
            table = Table("batch-memory", columns, *how, device=classifier.device.type)
            measure_memory(table, pictures, job, classifier, arguments.workers)
        else:
            columns = ["way", "pictures", "pictures/s", "times the loop", "s", "processor s", "s if no core waited"]
            columns += [f"ms {stage}" for stage in STAGES]
            table = Table("batch", columns, *how, device=classifier.device.type)
            measure_speed(table, pictures, job, classifier, arguments.workers)
        table.end(arguments.record)


def fill(folder: Path, count: int, shrink: bool) -> Path:
    """A folder of so many names for the shipped pictures: links, so that twenty thousand take no room.

    Shrunk, they are quick to read, and but one of twenty has a face.
    """
    folder.mkdir()
    originals = find_pictures(INPUT)
    if shrink:
        face, empty = folder.parent / "face.jpg", folder.parent / "empty.jpg"
        write_picture(face, read_picture(INPUT / "4.jpg")[::3, ::3])
        write_picture(empty, read_picture(INPUT / "5.jpg")[::6, ::6])
        originals = [face, *[empty] * 19]
    for number, original in zip(range(count), itertools.cycle(originals)):
        os.symlink(original.absolute(), folder / f"{number:06d}.jpg")
    return folder


def measure_speed(table: Any, pictures: list[Picture], job: Job, classifier: Any, workers: int) -> None:
    """Adds a row a way: pictures a second, and a picture's processor time in each stage."""
    detector = job.make_detector()
    classifier.analyze(read_picture(pictures[0].path), detector)  # warm
    started, processor_started = time.perf_counter(), time.process_time()
    for picture in pictures:
        classifier.analyze(read_picture(picture.path), detector)
    loop, processor = time.perf_counter() - started, time.process_time() - processor_started
    count, unknown = len(pictures), ["-"] * len(STAGES)
    figures = f"{count / loop:.2f}", "1.00", f"{loop:.1f}", f"{processor:.1f}"
    table.add("plain loop", count, *figures, "-", *unknown)
    for name, annotate in (("pipeline", False), ("with annotated copies", True)):
        seconds: defaultdict[str, float] = defaultdict(float)
        with WorkerPool(workers, replace(job, annotate=annotate)) as pool:
            list(label_pictures(pictures[: 2 * workers], classifier, pool))  # the processes have started
            started = time.perf_counter()
            list(label_pictures(pictures, classifier, pool, seconds=seconds))
            wall = time.perf_counter() - started
        total = sum(seconds.values())
        on_gpu = seconds["classify"] if classifier.device.type == "cuda" else 0.0
        least = max((total - on_gpu) / Ranks().cores(), on_gpu)
        shares = [f"{1000 * seconds[stage] / count:.0f}" for stage in STAGES]
        figures = f"{count / wall:.2f}", f"{loop / wall:.2f}", f"{wall:.1f}", f"{total:.1f}"
        table.add(name, count, *figures, f"{least:.1f}", *shares)


def measure_memory(table: Any, pictures: list[Picture], job: Job, classifier: Any, workers: int) -> None:
    """Adds the memory of this process, and of the largest worker, as the pictures go by."""
    steps = {len(pictures) * share // 20 for share in (1, 2, 5, 10, 15, 20)}
    started = time.perf_counter()
    with WorkerPool(workers, job) as pool, Journal(job.output / "parts") as journal:
        for number, record in enumerate(label_pictures(pictures, classifier, pool), start=1):
            journal.append(record)
            if number in steps:
                largest = max(map(resident, (process.pid for process in multiprocessing.active_children())))
                rate = number / (time.perf_counter() - started)
                table.add(number, f"{resident(os.getpid()):.0f}", f"{largest:.0f}", f"{rate:.0f}")


def resident(process: int) -> float:
    """Memory of a process in MB."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
