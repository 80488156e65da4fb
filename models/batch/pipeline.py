"""Pictures in, records out, in order: processes read ahead, and the faces of many pictures share a batch.

with WorkerPool(2, job) as pool:
    for record in label_pictures(pictures, classifier, pool):
        journal.append(record)
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np

from models.batch.naming import class_folders
from models.batch.pool import Worker, WorkerDied, WorkerPool
from models.batch.records import NO_FACE, FaceRecord, Record
from models.batch.sources import Picture
from models.batch.worker import Reading
from models.expressions import UNCERTAIN

BATCH_FACES = 32  # larger batches gain nothing on a CPU, and a GPU is not what the pictures wait for
MOST_WAITING = 256  # pictures that wait for a batch to fill: one face may be followed by many pictures without

Read = tuple[Picture, Worker, Reading]


def label_pictures(
    pictures: Iterable[Picture],
    classifier: Any,
    pool: WorkerPool,
    min_confidence: float = 0.0,
    seconds: defaultdict[str, float] | None = None,
) -> Iterator[Record]:
    """Reads pictures, finds their faces, reads their expressions, and has the copies written.

    Args:
        pictures: Taken as they are needed, so that there may be any number.
        classifier: An `ExpressionClassifier`.
        pool: Its job says which copies are written.
        min_confidence: A less probable answer becomes `uncertain`, from 0 to 1.
        seconds: Where the processor time of each stage is added up, over all processes.

    Yields:
        A record a picture, in the pictures' order, when all that is written for it is written.

    Raises:
        OSError: The disk is full. The pictures that were not yielded are not done.
    """
    seconds = defaultdict(float) if seconds is None else seconds
    finishing: deque[tuple[Record, Future | None]] = deque()
    folders = class_folders(classifier.class_names)
    for batch in _batches(pool.read_all(pictures)):
        started = time.process_time()
        probabilities = classifier.classify([crop for _, _, reading in batch for crop in reading.crops], BATCH_FACES)
        seconds["classify"] += time.process_time() - started
        rows = iter(probabilities)
        for picture, worker, reading in batch:
            _add(seconds, reading.seconds)
            faces = _label_faces(reading, rows, classifier.class_names, min_confidence)
            record = _record(picture, reading, faces)
            folder = folders[faces[0].label] if faces else NO_FACE
            future = pool.finish(worker, picture, faces, folder) if pool.job.writes(reading.status) else None
            finishing.append((record, future))
        while finishing and (finishing[0][1] is None or finishing[0][1].done()):
            yield _finished(*finishing.popleft(), seconds)
    while finishing:
        yield _finished(*finishing.popleft(), seconds)


def _batches(readings: Iterable[Read]) -> Iterator[list[Read]]:
    """Groups whole pictures until they have faces enough for a batch."""
    batch: list[Read] = []
    faces = 0
    for item in readings:
        batch.append(item)
        faces += len(item[2].crops)
        if faces >= BATCH_FACES or len(batch) >= MOST_WAITING:
            yield batch
            batch, faces = [], 0
    if batch:
        yield batch


def _label_faces(
    reading: Reading, rows: Iterator[np.ndarray], class_names: Sequence[str], min_confidence: float
) -> tuple[FaceRecord, ...]:
    """The faces of a picture, each with the next of the batch's rows of probabilities."""
    faces = []
    for box, score in zip(reading.boxes, reading.scores, strict=True):
        row = next(rows)
        confidence = round(float(row.max()), 4)  # as the table has it, so that label and table agree
        label = class_names[int(row.argmax())] if confidence >= min_confidence else UNCERTAIN
        probabilities = tuple(round(float(value), 4) for value in row)
        faces.append(FaceRecord(box, round(score, 4), label, confidence, probabilities))
    return tuple(faces)


def _record(picture: Picture, reading: Reading, faces: tuple[FaceRecord, ...]) -> Record:
    return Record(
        picture.name,
        reading.status,
        reading.reason,
        faces,
        reading.size,
        thumbnail=reading.thumbnail,
        stamp=reading.stamp,
        written=reading.written,
    )


def _finished(record: Record, future: Future | None, seconds: defaultdict[str, float]) -> Record:
    """Waits until what is written for a picture is written, and says so in its record."""
    if future is None:
        return record
    finish = future.result()[1]
    if isinstance(finish, WorkerDied):
        return replace(record, reason=f"no copies: it {finish}")
    _add(seconds, finish.seconds)
    written = record.written | finish.written
    return replace(record, copy=finish.copy, reason=finish.reason, written=written)


def _add(total: defaultdict[str, float], seconds: dict[str, float]) -> None:
    for stage, value in seconds.items():
        total[stage] += value
