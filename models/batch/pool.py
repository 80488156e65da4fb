"""Processes that read pictures and find their faces, ahead of the network, and a thread of this process for each.

    with WorkerPool(2, job) as pool:
        for picture, worker, reading in pool.read_all(pictures):
            ...                                              # classify reading.crops
            pool.finish(worker, picture, labelled_faces, "happy")

The processes are spawned, not forked: forking a process that has threads, as torch's, can lock up. The threads pass
requests on, so that a process finds its next one at once even while the network computes. A process that dies or hangs
costs the picture that it was at; another takes its place.
"""

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from models.batch.records import UNREADABLE, FaceRecord
from models.batch.sources import Picture
from models.batch.worker import Job, Reading, serve

AHEAD = 8  # pictures that each process is ahead of the network: what it does while a batch is classified
LONGEST_SECONDS = 120.0  # that a request may take before its process counts as hanging

Request = tuple[Future, tuple]  # what is answered, and a method of `Hands` with its arguments


class WorkerError(RuntimeError):
    """The processes cannot be started."""


class WorkerDied(Exception):
    """The process ended, or was ended, while it was at a request; the text says how."""


class WorkerPool:
    """Several processes. A context manager, at whose end they are gone; leaving it lets each end what it is at."""

    def __init__(self, count: int, job: Job):
        self.job = job
        self._wake = threading.Condition()
        self._reads: deque[Request] = deque()
        self._closed = False
        self.workers = [Worker(self, job) for _ in range(count)]

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        for worker in self.workers:
            worker.thread.join()

    def read_all(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, "Worker", Reading]]:
        """Has pictures read, some ahead of the one that is asked for, each by the process that is free first.

        Yields:
            Each picture, the worker that keeps what `finish` draws on, and the reading, in the pictures' order.

        Raises:
            OSError: The thumbnails cannot be written.
        """
        pending: deque[tuple[Picture, Future]] = deque()
        remaining = iter(pictures)
        while True:
            while len(pending) < AHEAD * len(self.workers) and (picture := next(remaining, None)) is not None:
                pending.append((picture, self._submit(self._reads, "read", picture)))
            if not pending:
                return
            picture, future = pending.popleft()
            worker, answer = future.result()
            yield picture, worker, Reading(UNREADABLE, str(answer)) if isinstance(answer, WorkerDied) else answer

    def finish(self, worker: "Worker", picture: Picture, faces: Sequence[FaceRecord], folder: str) -> Future:
        """Has the worker that read a picture write its copies, a sorted one into the folder of this name.

        Returns:
            A future of the worker, and a `Finish` or, where the process died, `WorkerDied`; or it raises OSError.
        """
        return self._submit(worker.finishes, "finish", picture, faces, folder)

    def _submit(self, queue: "deque[Request]", *request: Any) -> Future:
        future: Future = Future()
        with self._wake:
            queue.append((future, request))
            self._wake.notify_all()
        return future

    def next_request(self, finishes: "deque[Request]") -> "Request | None":
        """Waits for what a worker should do next: what ends a picture before what begins one; None when all is over."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or finishes or self._reads)
            return None if self._closed else (finishes or self._reads).popleft()


class Worker:
    """A process, and the thread of the parent that passes requests to it and answers back."""

    def __init__(self, pool: WorkerPool, job: Job):
        self._pool, self._job = pool, job
        self._process: Any = None
        self._connection: Any = None
        self.finishes: deque[Request] = deque()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # inherited: Ctrl-C would end a process that is still at its imports
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with suppress(Exception):  # whatever it is, the first request meets the same, and says so
            self._start()  # at once, while the parent reads the weights
        while (request := self._pool.next_request(self.finishes)) is not None:
            future, message = request
            try:
                future.set_result((self, self._ask(message)))
            except Exception as error:
                future.set_exception(error)
        self._stop()

    def _start(self) -> None:
        """Starts the process and waits until it takes requests.

        Raises:
            WorkerError: It ended before.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=serve, args=(other_end, self._job), daemon=True)
        self._process.start()
        other_end.close()
        try:
            self._receive(seconds=None)
        except WorkerDied as death:
            raise WorkerError(f"a worker process could not start: {death}") from death

    def _ask(self, message: tuple) -> Any:
        """Sends a request; returns its answer, or `WorkerDied` in its place; raises an OSError that is the answer."""
        if self._process is None or not self._process.is_alive():  # if it ended at no request, none is to blame
            self._stop()
            self._start()
        with suppress(OSError):  # it has just ended: receiving says how
            self._connection.send(message)
        try:
            answer = self._receive(LONGEST_SECONDS)
        except WorkerDied as death:
            return death
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _receive(self, seconds: float | None) -> Any:
        """What the process sends within so many seconds, or `WorkerDied` raised, when it has been ended."""
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
            how = f"takes longer than {seconds:.0f} seconds"
            self._process.kill()
        except (EOFError, OSError):
            how = ""
        process = self._process
        self._stop()
        raise WorkerDied(how or f"ended the process that was at it ({_meaning(process.exitcode)})")

    def _stop(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.join()
            self._process = None


def _meaning(code: int | None) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        return "killed; the memory may have run out"
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
