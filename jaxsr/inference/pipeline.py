"""Threads that read and write pictures while the calling thread keeps the device busy."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

# The fault of one picture: it is damaged, or too large for the device. All else is a defect.
FAILURES = (ValueError, OSError, MemoryError, jax.errors.JaxRuntimeError)

# In flight, from before reading until after writing: as many pictures, and as many pixels of input,
# or a single larger picture.
PICTURES, PIXELS = 32, 2**25
# No batch holds more pixels of input than one picture of 512 x 512, by which a GPU is busy.
BATCH_PIXELS = 2**18


class Enlarged(NamedTuple):
    """Enlarged pixels, remarks for the record, and the seconds that the device took."""

    pixels: np.ndarray
    notes: Sequence[str] = ()
    seconds: float = 0.0


# Pixels [H, W, C], or [N, H, W, C] of one shape, to enlarged pixels of their dtype, bare or with
# notes; the pipeline takes the time.
Enlarge = Callable[[np.ndarray], np.ndarray | Enlarged]


class Ask:
    """What a task may ask for: pixels enlarged, or the device for itself."""

    def __init__(self, desk: "_Desk"):
        self._desk = desk

    def __call__(self, pixels: np.ndarray) -> Enlarged:
        """Hand in pixels and wait for them."""
        return self._desk.ask(pixels)

    @contextmanager
    def device(self) -> Iterator[Callable[[], None]]:
        """Keep the device from all others, and get what to call now and then.

        It raises CancelledError once the job has been closed.
        """
        with self._desk.device:
            yield self._desk.check


class Task(NamedTuple):
    """What a thread does with one picture, given what enlarges; `pixels` is the picture's size."""

    pixels: int
    work: Callable[[Ask], Any]


def overlap(tasks: Iterable[Task], enlarge: Enlarge, *, batch: int = 1) -> Iterator[Any]:
    """Yield what each task gives, in their order; tasks run in threads, `enlarge` in the caller's.

    What tasks ask to have enlarged at the same time, in equal shape and dtype, goes in batches of
    up to `batch` pictures. Batches of one shape have one size, filled up where pictures are
    missing, so that a picture meets the same program in any company. A batch that fails is made
    again one by one, with a note. Closing the generator waits for what is being written, drops the
    rest and leaves no thread.
    """
    desk, order = _Desk(), deque[Future]()
    tasks = iter(tasks)
    upcoming = next(tasks, None)
    pool = ThreadPoolExecutor(PICTURES, thread_name_prefix="jaxsr-picture")
    try:
        while upcoming or order:
            while upcoming and desk.has_room(upcoming):
                order.append(desk.admit(upcoming, pool))
                upcoming = next(tasks, None)
            while order and order[0].done():
                yield order.popleft().result()
            group = desk.wait(upcoming, order, batch)
            if group:
                with desk.device:
                    _serve(group, enlarge, batch)
    finally:
        desk.close()
        pool.shutdown(cancel_futures=True)


class _Request(NamedTuple):
    """Pixels that a task has handed in, and where it waits for them enlarged."""

    pixels: np.ndarray
    answer: Future[Enlarged]

    def like(self, other: "_Request") -> bool:
        mine, others = self.pixels, other.pixels
        return (mine.shape, mine.dtype) == (others.shape, others.dtype)


class _Desk:
    """Where tasks hand in what is to be enlarged, and the count of what is under way."""

    def __init__(self):
        self._changed, self._closed = threading.Condition(), False
        self.device = threading.Lock()
        self._sizes: dict[Future, int] = {}
        self._requests: list[_Request] = []

    def admit(self, task: Task, pool: ThreadPoolExecutor) -> Future:
        result = pool.submit(task.work, Ask(self))
        with self._changed:
            self._sizes[result] = task.pixels
        result.add_done_callback(self._leave)
        return result

    def has_room(self, task: Task) -> bool:
        with self._changed:
            busy, pixels = len(self._sizes), sum(self._sizes.values())
        return not busy or busy < PICTURES and pixels + task.pixels <= PIXELS

    def wait(self, upcoming: Task | None, order: deque[Future], batch: int) -> list[_Request]:
        """Wait for something to serve, to admit or to give out; return what to serve together."""

        def awake() -> bool:
            done = not order or order[0].done()
            return bool(done or self._requests or upcoming and self.has_room(upcoming))

        with self._changed:
            self._requests = [each for each in self._requests if not each.answer.done()]
            self._changed.wait_for(awake)
            together = [each for each in self._requests if each.like(self._requests[0])]
        return together[: _size(together[0].pixels, batch)] if together else []

    def close(self) -> None:
        """Send everybody away who waits or comes later."""
        with self._changed:
            self._closed = True
            for request in self._requests:
                request.answer.cancel()

    def check(self) -> None:
        """In a task's thread: leave if the job has been closed."""
        with self._changed:
            if self._closed:
                raise CancelledError

    def ask(self, pixels: np.ndarray) -> Enlarged:
        """In a task's thread: hand in pixels and wait for them."""
        request = _Request(pixels, Future())
        with self._changed:
            if self._closed:
                raise CancelledError
            self._requests.append(request)
            self._changed.notify()
        return request.answer.result()

    def _leave(self, result: Future) -> None:
        """In a task's thread, or in the calling one if it was quick."""
        with self._changed:
            del self._sizes[result]
            self._changed.notify()


def _size(pixels: np.ndarray, batch: int) -> int:
    """How many pictures like this one go together."""
    if pixels.ndim != 3:
        return 1
    height, width, _ = pixels.shape
    return max(1, min(batch, BATCH_PIXELS // max(1, height * width)))


def _serve(group: list[_Request], enlarge: Enlarge, batch: int) -> None:
    """Answer requests of one shape and dtype, together or each alone."""
    size, notes = _size(group[0].pixels, batch), ()
    if size > 1:
        try:
            made = _timed(enlarge, _stack(group, size))
        except FAILURES as error:
            notes = (f"made alone, for a batch of {size} failed: {sentence(error)}",)
        else:
            share = made.seconds / len(group)
            for request, pixels in zip(group, made.pixels, strict=False):
                request.answer.set_result(Enlarged(pixels, made.notes, share))
            return
    for request in group:
        try:
            made = _timed(enlarge, request.pixels)
        except FAILURES as error:
            request.answer.set_exception(error)
        else:
            request.answer.set_result(made._replace(notes=(*notes, *made.notes)))


def _stack(group: list[_Request], size: int) -> np.ndarray:
    """[size, H, W, C], filled up with the first picture: unlike zeros, it lies in its range."""
    pixels = [request.pixels for request in group]
    return np.stack(pixels + pixels[:1] * (size - len(group)))


def _timed(enlarge: Enlarge, pixels: np.ndarray) -> Enlarged:
    start = time.monotonic()
    made = enlarge(pixels)
    if not isinstance(made, Enlarged):
        made = Enlarged(made)
    return made._replace(seconds=time.monotonic() - start)


def sentence(error: BaseException) -> str:
    """What went wrong, in one line; of the system's errors without number and temporary name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]
